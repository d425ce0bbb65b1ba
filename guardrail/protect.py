"""The decorator that guards a chat handler, whatever its kind."""

from __future__ import annotations

import functools
import inspect
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from typing import Any, Protocol, TypeAlias, TypeVar, cast

from guardrail.errors import ConfigError, InvalidTurnError
from guardrail.streams import GuardedAsyncStream, GuardedStream
from guardrail.types import Outcome

__all__ = ["Answering", "protected"]

F = TypeVar("F", bound=Callable[..., Any])
_UserOf: TypeAlias = Callable[[tuple[Any, ...], Mapping[str, Any]], str]


class Answering(Protocol):
    """What decorated handlers ask of a guard, one call for each kind of handler."""

    def answer(self, user: str, reply: Callable[[], Any]) -> Outcome: ...
    async def aanswer(self, user: str, reply: Callable[[], Awaitable[Any]]) -> Outcome: ...
    def stream(self, *, user: str, chunks: Iterable[str]) -> GuardedStream[str]: ...
    def astream(self, *, user: str, chunks: AsyncIterable[str]) -> GuardedAsyncStream[str]: ...


def protected(handler: F, user: str | None, guard: Answering) -> F:
    """Return the handler with its replies guarded.

    Args:
        handler: what replies to the user.
        user: the parameter with the user's words; None for the first `str` argument.
        guard: judges.

    Raises:
        ConfigError: the handler has no parameter of that name, or cannot be called.
    """
    if isinstance(handler, (staticmethod, classmethod)):
        inner = protected(handler.__func__, user, guard)
        return cast("F", type(handler)(inner))
    if isinstance(handler, type):
        raise ConfigError(f"{handler!r} is a class: decorate the method of it that replies")
    if not callable(handler):
        raise ConfigError(f"{handler!r} cannot be called, so it has no replies to guard")
    user_of = _first_text(handler) if user is None else _argument(handler, user)

    @functools.wraps(handler)
    def whole(*args: Any, **kwargs: Any) -> str:
        return guard.answer(user_of(args, kwargs), lambda: handler(*args, **kwargs)).text

    @functools.wraps(handler)
    async def awhole(*args: Any, **kwargs: Any) -> str:
        outcome = await guard.aanswer(user_of(args, kwargs), lambda: handler(*args, **kwargs))
        return outcome.text

    @functools.wraps(handler)
    def streamed(*args: Any, **kwargs: Any) -> Iterator[str]:
        with guard.stream(user=user_of(args, kwargs), chunks=handler(*args, **kwargs)) as stream:
            yield from stream

    @functools.wraps(handler)
    async def astreamed(*args: Any, **kwargs: Any) -> AsyncIterator[str]:
        chunks = handler(*args, **kwargs)
        async with guard.astream(user=user_of(args, kwargs), chunks=chunks) as stream:
            async for chunk in stream:
                yield chunk

    kinds: dict[Callable[[Any], bool], Callable[..., Any]] = {
        inspect.iscoroutinefunction: awhole,
        inspect.isgeneratorfunction: streamed,
        inspect.isasyncgenfunction: astreamed,
    }
    guarded = next((made for kind, made in kinds.items() if _is(kind, handler)), whole)
    return cast("F", guarded)


def _is(kind: Callable[[Any], bool], handler: Callable[..., Any]) -> bool:
    """Whether a function, a partial of one, or an object with such a `__call__` is of a kind.

    What it wraps does not matter: a decorator may have made it of another kind.
    """
    plain = handler
    while isinstance(plain, functools.partial):
        plain = plain.func
    return kind(plain) or kind(getattr(plain, "__call__", None))  # noqa: B004 - its kind, not its being


def _first_text(handler: Callable[..., Any]) -> _UserOf:
    try:
        bind = inspect.signature(handler).bind
    except (TypeError, ValueError):  # a builtin may have none
        bind = None

    def find(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        for value in (*args, *_in_order(bind, args, kwargs)):
            if isinstance(value, str):
                return value
        raise InvalidTurnError(
            "the handler was called without a str argument, so there is no user's turn to judge "
            'the reply by; name the parameter: @guard.protect(user="...")'
        )

    return find


def _in_order(
    bind: Callable[..., inspect.BoundArguments] | None,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Iterable[Any]:
    """Return the values of keyword arguments, in the order of the handler's parameters."""
    if bind is None or len(kwargs) < 2:
        return kwargs.values()
    try:
        bound = bind(*args, **kwargs)
    except TypeError:  # the handler says so itself, or knows its parameters better
        return kwargs.values()
    return (*bound.args[len(args) :], *bound.kwargs.values())


def _argument(handler: Callable[..., Any], name: str) -> _UserOf:
    signature = inspect.signature(handler)
    if name not in signature.parameters:
        known = ", ".join(repr(parameter) for parameter in signature.parameters) or "none"
        raise ConfigError(f"{handler!r} has no parameter {name!r}; it has {known}")

    def find(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        value: str  # of another type, it is refused as a turn
        if name in kwargs:
            value = kwargs[name]
        else:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            value = bound.arguments[name]
        return value

    return find
