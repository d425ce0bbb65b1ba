"""One TOML file, and environment variables before it, to the objects they describe."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from guardrail.audit import Hook, JsonlHook, LoggingHook, RecordText
from guardrail.classifiers.base import Classifier
from guardrail.errors import ConfigError
from guardrail.policy import Policy

__all__ = ["AuditConfig", "ClassifierConfig", "Config"]

_PREFIX = "GUARDRAIL_"
_CLASSIFIERS = {
    "embedded": "guardrail.classifiers:Embedded",
    "kosafeguard": "guardrail.classifiers:KoSafeGuard",
}


class ClassifierConfig(BaseModel):
    """Which classifier judges; every other key of the table is an argument of it.

    Args:
        kind: a classifier of this package, or "module:Class" of your own.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str = "embedded"

    def build(self) -> Classifier:
        """Return the classifier.

        Raises:
            ConfigError: there is no such classifier, or it takes no such argument.
            ClassifierError: it cannot work here.
        """
        make = _load(_CLASSIFIERS.get(self.kind, self.kind))
        try:
            classifier = make(**(self.model_extra or {}))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"[classifier] kind = {self.kind!r}: {error}") from error
        if not isinstance(classifier, Classifier):
            raise ConfigError(f"[classifier] kind = {self.kind!r} is not a Classifier")
        return classifier


class AuditConfig(BaseModel):
    """Where records of decisions go.

    Args:
        file: JSONL file they are appended to.
        log: whether they go to the logger "guardrail".
        text: how much of the conversation they hold.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Path | None = None
    log: bool = False
    text: RecordText = RecordText.NONE

    def hooks(self) -> list[Hook]:
        """Return the hooks.

        Raises:
            ConfigError: the file cannot be written.
        """
        hooks: list[Hook] = []
        if self.file is not None:
            hooks.append(JsonlHook(self.file))
        if self.log:
            hooks.append(LoggingHook())
        return hooks


class Config(BaseSettings):
    """All settings of a guard."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    classifier: ClassifierConfig = ClassifierConfig()
    policy: Policy = Policy()
    audit: AuditConfig = AuditConfig()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let environment variables go before the file, which comes as arguments."""
        return env_settings, init_settings

    @classmethod
    def load(cls, path: str | PathLike[str] | None = None) -> Self:
        """Read a TOML file and the environment.

        Args:
            path: the file; None for the one named by `GUARDRAIL_CONFIG`, if any.

        Raises:
            ConfigError: names the file or the variable, the key, and what would be right.
        """
        place = path or os.environ.get(f"{_PREFIX}CONFIG")
        settings = {} if place is None else _read(Path(place))
        try:
            return cls(**settings)
        except ValidationError as error:
            raise ConfigError(_explained(error, str(place or "environment"))) from error
        except SettingsError as error:
            raise ConfigError(f"environment: {error}: {error.__cause__}") from error

    def to_toml(self) -> str:
        """Return a file that says the same, with every default written out."""
        spelled_out = self.model_copy(update={"policy": self.policy.spelled_out()})
        values = spelled_out.model_dump(mode="json", exclude_none=True)
        return tomli_w.dumps(values, multiline_strings=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except ValueError as error:  # bad TOML, bad UTF-8
        raise ConfigError(f"{path}: {error}") from error


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        known = ", ".join(repr(kind) for kind in _CLASSIFIERS)
        raise ConfigError(
            f"[classifier] kind = {place!r}: {error}; it is one of {known}, or 'module:Class'"
        ) from error


def _explained(error: ValidationError, place: str) -> str:
    return "\n".join(_explained_one(one, place) for one in error.errors())


def _explained_one(error: Mapping[str, Any], place: str) -> str:
    keys = [str(key) for key in error["loc"]]
    variable = _PREFIX + "__".join(keys).upper()
    where = variable if variable in {name.upper() for name in os.environ} else place
    if error["type"] == "extra_forbidden":
        known = ", ".join(_known_keys(keys[:-1]))
        return f"{where}: unknown key {'.'.join(keys)!r}; known are {known}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{where}: {'.'.join(keys)} = {error['input']!r}: {message}"


def _known_keys(path: Sequence[str]) -> list[str]:
    """Return the keys of the table at a path, as far as the models name them."""
    value: Any = Config.model_construct(policy=Policy().spelled_out())
    for key in path:
        value = value[key] if isinstance(value, Mapping) else getattr(value, key)
    return sorted(type(value).model_fields) if isinstance(value, BaseModel) else sorted(value)
