"""What exceptions tell of replies: a parser quotes what it could not parse, a client what it got.

An exception passes as it is only where its words do; otherwise one of ours takes its place, with
nothing of it but the name of its class.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from guardrail.errors import GuardrailError, UnguardedCall
from guardrail.guard import Guard
from guardrail.integrations.escapes import readable
from guardrail.types import Conversation, Outcome, Role, Turn

__all__ = ["aattempt", "attempt", "passable", "words_of"]

T = TypeVar("T")
_AS_THEY_ARE = (GuardrailError, StopIteration, StopAsyncIteration)


def attempt(work: Callable[[], T], guard: Guard, asked: Conversation) -> T:
    """Do some work, and raise what it raises if the words of that pass.

    Args:
        work: may raise what quotes a reply.
        guard: judges.
        asked: the conversation up to the user's turn.

    Raises:
        UnguardedCall: they do not.
    """
    try:
        return work()
    except _AS_THEY_ARE:
        raise
    except Exception as error:
        failed = error
    raise passable(failed, guard.review(words_of(failed, asked)))


async def aattempt(work: Callable[[], Awaitable[T]], guard: Guard, asked: Conversation) -> T:
    """Do what `attempt` does, without blocking the event loop."""
    try:
        return await work()
    except _AS_THEY_ARE:
        raise
    except Exception as error:
        failed = error
    raise passable(failed, await guard.areview(words_of(failed, asked)))


def words_of(error: Exception, asked: Conversation) -> list[Conversation]:
    """Return what is to be judged before an exception passes; nothing, where it says nothing.

    Args:
        error: with all that it came from.
        asked: the conversation up to the user's turn.
    """
    texts = (readable(text) for one in _chain(error, set()) for text in _texts(one) if text)
    words = "\n".join(dict.fromkeys(texts))
    return [(*asked, Turn(Role.ASSISTANT, words))] if words else []


def passable(error: Exception, outcomes: list[Outcome]) -> Exception:
    """Return the exception, or the one that takes its place; to be raised outside of `except`.

    Args:
        error: what came.
        outcomes: of its words.
    """
    if not any(outcome.blocked for outcome in outcomes):
        return error
    return UnguardedCall(
        f"the model or chain failed with {type(error).__name__}, whose words did not pass the guard"
    )


def _chain(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    """Yield an exception, and those it came from and consists of."""
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    for one in (error.__cause__, error.__context__, *getattr(error, "exceptions", ())):
        yield from _chain(one, seen)


def _texts(error: BaseException) -> Iterator[str]:
    yield str(error)
    yield from _strings([*error.args, vars(error)])
    if isinstance(error, ValidationError):
        yield from _strings(error.errors(include_url=False))  # str() cuts the inputs
    with suppress(Exception):  # there is none, or nobody has read it
        yield from _strings(error.response.text)  # type: ignore[attr-defined] # of HTTP libraries


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            yield from _strings(list(value.values()))
        case list() | tuple():
            for one in value:
                yield from _strings(one)
        case BaseModel():
            yield from _strings(value.model_dump(warnings=False))
