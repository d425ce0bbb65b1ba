"""One TOML file, and environment variables before it, to the objects they describe."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from inspect import signature
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Self

import tomli_w
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from guardrail.audit import Hook, JsonlHook, LoggingHook, RecordText
from guardrail.classifiers.base import Classifier
from guardrail.errors import ConfigError, GuardrailError
from guardrail.policy import Policy

__all__ = ["AuditConfig", "ClassifierConfig", "Config"]

_PREFIX = "GUARDRAIL_"
_SECRET = re.compile("key|token")  # what stands under such a name is not repeated
_CONFIG = f"{_PREFIX}CONFIG"
_CLASSIFIERS = {
    "cascade": "guardrail.classifiers:Cascade",
    "embedded": "guardrail.classifiers:Embedded",
    "fallback": "guardrail.classifiers:Fallback",
    "kosafeguard": "guardrail.classifiers:KoSafeGuard",
    "remote": "guardrail.classifiers:Remote",
}


def _known_kind(kind: str) -> str:
    if kind not in _CLASSIFIERS and not re.fullmatch(r"\w+(\.\w+)*:\w+", kind):
        known = ", ".join(repr(name) for name in _CLASSIFIERS)
        raise ValueError(f"should be one of {known}, or 'module:Class'")
    return kind


class ClassifierConfig(BaseModel):
    """Which classifier judges; every other key of the table is an argument of it.

    An argument that is a table with a `kind`, or an array of such, is a classifier itself: what
    "fallback" and "cascade" are made of.

    Args:
        kind: a classifier of this package, or "module:Class" of your own.
        score_temperature: divides the logits of its scores, as `guardrail calibrate` measures it.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: Annotated[str, AfterValidator(_known_kind)] = "embedded"
    score_temperature: Annotated[float, Field(gt=0.0)] = 1.0

    def build(self) -> Classifier:
        """Return the classifier.

        Raises:
            ConfigError: there is no such classifier, or it takes no such argument.
            ClassifierError: it cannot work here.
        """
        make = _load(self.kind)
        arguments = {name: _built(value) for name, value in (self.model_extra or {}).items()}
        try:
            classifier = make(**arguments)
        except (TypeError, ValueError, ConfigError) as error:
            raise ConfigError(f"[classifier] kind = {self.kind!r}: {error}") from error
        if not isinstance(classifier, Classifier):
            raise ConfigError(f"[classifier] kind = {self.kind!r} is not a Classifier")
        return classifier if self.score_temperature == 1.0 else self._tempered(classifier)

    def check(self) -> None:
        """Look whether there is such a classifier that takes such arguments; build none that costs.

        Raises:
            ConfigError: there is not.
            MissingExtraError: what it needs is not installed.
        """
        takes = signature(_load(self.kind))
        for value in (self.model_extra or {}).values():
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, Mapping) and "kind" in part:
                    _nested(part).check()
        try:
            takes.bind(**(self.model_extra or {}))
        except TypeError as error:
            said = f"{error}; it takes {', '.join(takes.parameters)}"
            raise ConfigError(f"[classifier] kind = {self.kind!r}: {said}") from error
        if self.kind == "embedded":
            self.build()

    def _tempered(self, classifier: Classifier) -> Classifier:
        from guardrail.classifiers.tempered import Tempered

        return Tempered(classifier, self.score_temperature)


def _built(argument: Any) -> Any:
    """Return an argument of a classifier, with the classifiers in it built."""
    if isinstance(argument, list):
        return [_built(one) for one in argument]
    if isinstance(argument, Mapping) and "kind" in argument:
        return _nested(argument).build()
    return argument


def _nested(table: Mapping[str, Any]) -> ClassifierConfig:
    try:
        return ClassifierConfig(**table)
    except ValidationError as error:
        raise ConfigError(_explained(error, "[classifier]")) from error


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

    def check(self) -> None:
        """Look whether the file can be there; create none.

        Raises:
            ConfigError: it cannot.
        """
        if self.file is not None and not self.file.absolute().parent.is_dir():
            raise ConfigError(f"there is no folder {str(self.file.parent)!r}")


class Config(BaseSettings):
    """All settings of a guard.

    Args:
        classifier: judges.
        policy: what is done about verdicts.
        audit: where records of decisions go.
        gateway: for `guardrail serve`, which reads and checks it; it may hold keys, so that it is
            never shown.
        records: for `guardrail serve`, too.
        telemetry: for `guardrail serve`, too.
        ray: for `guardrail.integrations.ray_serve`, which reads and checks it.
    """

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    classifier: ClassifierConfig = ClassifierConfig()
    policy: Policy = Policy()
    audit: AuditConfig = AuditConfig()
    gateway: Any = Field(default=None, exclude=True)
    records: Any = Field(default=None, exclude=True)
    telemetry: Any = Field(default=None, exclude=True)
    ray: Any = Field(default=None, exclude=True)
    _place: str = PrivateAttr(default="")

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
        return _Environment(settings_cls), init_settings

    @classmethod
    def load(cls, path: str | PathLike[str] | None = None) -> Self:
        """Read a TOML file and the environment.

        Args:
            path: the file; None for the one named by `GUARDRAIL_CONFIG`, if any.

        Raises:
            ConfigError: names the file or the variable, the key, and what would be right.
        """
        place = path or os.environ.get(_CONFIG) or None
        settings = {} if place is None else _read(Path(place), named_by="" if path else _CONFIG)
        _refuse_misspelt_variables()
        try:
            config = cls(**settings)
        except ValidationError as error:
            raise ConfigError(_explained(error, str(place or "environment"), cls)) from error
        except SettingsError as error:
            raise ConfigError(f"{_unread(error)}: a table is JSON: {error.__cause__}") from error
        config._place = str(place or "")
        return config

    def build_classifier(self) -> Classifier:
        """Return the classifier.

        Raises:
            ConfigError: names the file or the variable too; see `ClassifierConfig.build`.
            ClassifierError: it cannot work here.
        """
        with self._naming("classifier"):
            return self.classifier.build()

    def build_hooks(self) -> list[Hook]:
        """Return the hooks that keep records.

        Raises:
            ConfigError: names the file or the variable too; see `AuditConfig.hooks`.
        """
        with self._naming("audit", "audit.file: "):
            return self.audit.hooks()

    def check(self) -> None:
        """Look whether both can be built.

        Raises:
            ConfigError: names the file or the variable, and what would be right.
            MissingExtraError: what the classifier needs is not installed.
        """
        with self._naming("audit", "audit.file: "):
            self.audit.check()
        with self._naming("classifier"):
            self.classifier.check()

    @contextmanager
    def _naming(self, table: str, key: str = "") -> Iterator[None]:
        """Say where the settings come from that turn out to be wrong."""
        try:
            yield
        except ConfigError as error:
            places = filter(None, (self._place, _variable([table])))
            raise ConfigError(f"{', '.join(places) or 'environment'}: {key}{error}") from error

    def spelled_out(self) -> Self:
        """Return the same settings with every text of the policy written down."""
        return self.model_copy(update={"policy": self.policy.spelled_out()})

    def to_toml(self) -> str:
        """Return a file that says the same, with every default written out."""
        values = self.spelled_out().model_dump(mode="json", exclude_none=True)
        for name, field in Policy.model_fields.items():
            if getattr(self.policy, name) is None and field.default is not None:
                values["policy"][name] = False
        readable = tomli_w.dumps(values, multiline_strings=True)
        # A carriage return is lost in a string of several lines; escaped, it is kept.
        return readable if tomllib.loads(readable) == values else tomli_w.dumps(values)


class _Environment(EnvSettingsSource):
    """Environment variables; arguments of the classifier are read as JSON where they are JSON."""

    def __call__(self) -> dict[str, Any]:
        values = super().__call__()
        arguments = values.get("classifier")
        if isinstance(arguments, dict):
            for name in arguments.keys() - {"kind"}:
                arguments[name] = _plain_or_json(arguments[name])
        return values


def _plain_or_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: one if name == "kind" else _plain_or_json(one) for name, one in value.items()}
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _refuse_misspelt_variables() -> None:
    """Refuse `GUARDRAIL_POLICY_MODE` and `GUARDRAIL_POLCY__MODE`, which nobody would read.

    Someone relies on them.
    """
    tables = ", ".join(Config.model_fields)
    for variable in os.environ:
        key = variable.upper().removeprefix(_PREFIX)
        if variable.upper().startswith(_PREFIX) and key.lower() in Policy.model_fields:
            raise ConfigError(f"{variable}: unknown variable; write {_PREFIX}POLICY__{key}")
        named, separator, _ = variable.upper().removeprefix(_PREFIX).partition("__")
        ours = variable.upper().startswith(_PREFIX) and separator
        if ours and named.lower() not in Config.model_fields:
            raise ConfigError(f"{variable}: unknown table {named.lower()!r}; known are {tables}")
        for table in Config.model_fields:
            prefix = f"{_PREFIX}{table}_".upper()
            key = variable.upper().removeprefix(prefix)
            if key != variable.upper() and not key.startswith("_"):
                raise ConfigError(f"{variable}: unknown variable; write {prefix}_{key}")


def _read(path: Path, *, named_by: str = "") -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        source = f"{named_by}: " if named_by else ""
        raise ConfigError(f"{source}cannot read {str(path)!r}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: it is not UTF-8; save it as UTF-8") from None
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error


def _load(kind: str) -> Any:
    module, _, name = _CLASSIFIERS.get(kind, kind).partition(":")
    try:
        return getattr(import_module(module), name)
    except GuardrailError:  # says itself what is missing
        raise
    except Exception as error:  # a module of one's own may raise anything
        raise ConfigError(f"[classifier] kind = {kind!r} cannot be loaded: {error}") from error


def _explained(error: ValidationError, place: str, settings: type[Config] = Config) -> str:
    return "\n".join(_explained_one(one, place, settings) for one in error.errors())


def _explained_one(error: Mapping[str, Any], place: str, settings: type[Config]) -> str:
    keys = [str(key) for key in error["loc"]]
    if is_key := keys[-1] == "[key]":
        keys.pop()
    where = _variable(keys) or place
    if is_key or error["type"] == "extra_forbidden":
        known = ", ".join(_known_keys(keys[:-1], settings))
        return f"{where}: unknown key {'.'.join(keys)!r}; known are {known}"
    is_no_table = error["type"] in ("model_type", "mapping_type", "dict_type")
    message = "should be a table" if is_no_table else error["msg"].removeprefix("Value error, ")
    value = "" if _SECRET.search(".".join(keys)) else f" = {error['input']!r}"
    return f"{where}: {'.'.join(keys)}{value}: {message}"


def _variable(keys: Sequence[str]) -> str | None:
    """Return the environment variable that sets a key, or a table around it, if there is one."""
    present = [name.upper() for name in os.environ]
    names = [_PREFIX + "__".join(keys[:end]).upper() for end in range(len(keys), 0, -1)]
    below = (name for name in present if name.startswith(f"{names[0]}__"))
    return next((name for name in names if name in present), next(below, None))


def _unread(error: SettingsError) -> str:
    """Return the variable that could not be read at all; the library only names its field."""
    field = re.search(r'field "(\w+)"', str(error))
    return f"{_PREFIX}{field[1].upper()}" if field else "environment"


def _known_keys(path: Sequence[str], settings: type[Config]) -> list[str]:
    """Return the keys of the table at a path, as far as the models name them."""
    value: Any = settings.model_construct(policy=Policy().spelled_out())
    for key in path:
        value = value[key] if isinstance(value, Mapping) else getattr(value, key)
    return sorted(type(value).model_fields) if isinstance(value, BaseModel) else sorted(value)
