"""The decorator that guards a chat handler, whatever its kind."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, TypeVar, cast

from guardrail.errors import ConfigError, InvalidTurnError, UnguardedCall

__all__ = ["protected"]

F = TypeVar("F", bound=Callable[..., Any])
_UserOf: TypeAlias = Callable[[tuple[Any, ...], Mapping[str, Any]], str]


def protected(
    handler: F,
    user: str | None,
    answer: Callable[[str, Callable[[], Any]], str],
    aanswer: Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[str]],
) -> F:
    """Return the handler with its replies guarded.

    Args:
        handler: what replies to the user.
        user: the parameter with the user's words; None for the first `str` argument.
        answer: takes the user's words and a call that has the handler reply; returns what to show.
        aanswer: the same for an `async def` handler.

    Raises:
        ConfigError: the handler has no parameter of that name.
        UnguardedCall: the handler is of a kind that cannot be guarded.
    """
    user_of = _first_text if user is None else _argument(handler, user)

    @functools.wraps(handler)
    def guarded(*args: Any, **kwargs: Any) -> str:
        return answer(user_of(args, kwargs), lambda: handler(*args, **kwargs))

    @functools.wraps(handler)
    async def aguarded(*args: Any, **kwargs: Any) -> str:
        return await aanswer(user_of(args, kwargs), lambda: handler(*args, **kwargs))

    if _is(inspect.isgeneratorfunction, handler) or _is(inspect.isasyncgenfunction, handler):
        raise UnguardedCall(f"{handler!r} is a generator; only whole replies can be guarded")
    return cast("F", aguarded if _is(inspect.iscoroutinefunction, handler) else guarded)


def _is(kind: Callable[[Any], bool], handler: Callable[..., Any]) -> bool:
    """Whether a function, a partial of one, or an object with such a `__call__` is of a kind."""
    plain = inspect.unwrap(handler)
    while isinstance(plain, functools.partial):
        plain = plain.func
    return kind(plain) or kind(getattr(plain, "__call__", None))  # noqa: B004 - its kind, not its being


def _first_text(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    for value in (*args, *kwargs.values()):
        if isinstance(value, str):
            return value
    raise InvalidTurnError(
        "the handler was called without a str argument, so there is no user's turn to judge the "
        'reply by; name the parameter: @guard.protect(user="...")'
    )


def _argument(handler: Callable[..., Any], name: str) -> _UserOf:
    signature = inspect.signature(handler)
    if name not in signature.parameters:
        known = ", ".join(repr(parameter) for parameter in signature.parameters) or "none"
        raise ConfigError(f"{handler!r} has no parameter {name!r}; it has {known}")

    def find(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        value: str = bound.arguments[name]  # of another type, it is refused as a turn
        return value

    return find
