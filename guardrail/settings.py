"""Settings that are checked as they are made, and say in one sentence what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from guardrail.errors import ConfigError

if TYPE_CHECKING:  # it has no public name
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)

__all__ = ["NoSwitch", "OffByFalse", "Settings", "at_least", "probability"]


def _off(value: object) -> object:
    is_false = value is False or (isinstance(value, str) and value.strip().lower() == "false")
    return None if is_false else value


def _no_switch(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("should be a number")
    return value


def probability(name: str, value: float) -> float:
    """Return a value that is a number from 0 to 1.

    Raises:
        ConfigError: it is not.
    """
    if not _is_number(value) or not 0.0 <= value <= 1.0:
        raise ConfigError(f"{name} must be a number from 0 to 1, not {value!r}")
    return value


def at_least(least: int, name: str, value: int) -> int:
    """Return a value that is a whole number and not too small.

    Raises:
        ConfigError: it is not.
    """
    if not _is_number(value) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} must be a whole number, {least} or more, not {value!r}")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# A file and the environment have no None: what may be None is switched off by `false` there.
OffByFalse = BeforeValidator(_off)
# To Python, True and False are numbers.
NoSwitch = BeforeValidator(_no_switch)


class _Explaining(ModelMetaclass):
    """Makes the calls of a class raise `ConfigError`.

    Settings inside of others, in a file say, are not made by calls: whoever reads the file names
    the place too.
    """

    def __call__(cls, *args: Any, **values: Any) -> Any:  # noqa: N805 - of a metaclass
        try:
            return super().__call__(*args, **values)
        except ValidationError as error:
            raise ConfigError("; ".join(_explained(cls, one) for one in error.errors())) from None


class Settings(BaseModel, metaclass=_Explaining):
    """Base of settings: they never change, and take no names that they do not know.

    Raises:
        ConfigError: at a call; it names the setting and what would be right.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def _explained(kind: Any, error: Mapping[str, Any]) -> str:
    name = ".".join(str(key) for key in error["loc"])
    if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
        known = ", ".join(kind.model_fields)
        return f"{kind.__name__}: unknown setting {name!r}; known are {known}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{kind.__name__}: {name} = {error['input']!r:.80}: {message}"
