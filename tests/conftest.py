"""What the tests share: both modes, the entry points, and a classifier that answers anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

import pytest
from hypothesis import settings

from guardrail import Category, Classifier, Guard, Outcome, Turn, Verdict
from guardrail.types import Conversation

settings.register_profile("guardrail", deadline=None, max_examples=100)
settings.load_profile("guardrail")


class Mode(Enum):
    """The half of the library a test goes through; a test that takes `mode` runs in both."""

    SYNC = "sync"
    ASYNC = "async"

    def check(
        self, guard: Guard, assistant: str, user: str = "hi", history: Iterable[Turn] = ()
    ) -> Outcome:
        """Judge one reply."""
        if self is Mode.SYNC:
            return guard.check(user=user, assistant=assistant, history=history)
        return asyncio.run(guard.acheck(user=user, assistant=assistant, history=history))

    def check_input(self, guard: Guard, user: str) -> Outcome:
        """Judge what a user said."""
        if self is Mode.SYNC:
            return guard.check_input(user=user)
        return asyncio.run(guard.acheck_input(user=user))

    def check_many(self, guard: Guard, exchanges: Iterable[tuple[str, str]]) -> list[Outcome]:
        """Judge many exchanges at once."""
        if self is Mode.SYNC:
            return guard.check_many(exchanges)
        return asyncio.run(guard.acheck_many(exchanges))

    def handler(self, reply: Callable[[str], Any]) -> Callable[[str], Any]:
        """Return the bot as a `def` or an `async def`."""

        def handler(message: str) -> Any:
            return reply(message)

        async def ahandler(message: str) -> Any:
            return reply(message)

        return handler if self is Mode.SYNC else ahandler

    def call(self, handler: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a handler of this mode."""
        answer = handler(*args, **kwargs)
        return answer if self is Mode.SYNC else asyncio.run(answer)

    def converse(self, guard: Guard, reply: Callable[[str], Any], user: str = "hi") -> Any:
        """Return what the user of a protected bot sees."""
        return self.call(guard.protect(self.handler(reply)), user)


class Answering(Classifier):
    """A classifier that answers whatever it is told to, as no honest one would.

    Args:
        answer: what `classify_many` returns, or an exception it raises, or a function it calls.
        categories: the same for `categorise`.
    """

    def __init__(self, answer: Any, categories: Any = ()) -> None:
        self.asked: list[str] = []
        self._answer = answer
        self._categories = categories

    def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Answer as told."""
        self.asked.append("verdicts")
        answer: list[Verdict] = _done(self._answer, conversations)
        return answer

    def categorise(self, conversations: Sequence[Conversation]) -> list[Mapping[Category, float]]:
        """Answer as told."""
        self.asked.append("categories")
        answer: list[Mapping[Category, float]] = _done(self._categories, conversations)
        return answer


def _done(answer: Any, conversations: Sequence[Conversation]) -> Any:
    if isinstance(answer, BaseException):
        raise answer
    return answer(conversations) if callable(answer) else answer


Entry = Callable[[Mode, Guard, str], str]
"""Takes a text into a guard somewhere, and returns what comes out."""

ENTRIES: dict[str, Entry] = {
    "check": lambda mode, guard, text: mode.check(guard, text).text,
    "check_many": lambda mode, guard, text: mode.check_many(guard, [("hi", text)])[0].text,
    "check_input": lambda mode, guard, text: mode.check_input(guard, text).text,
    "protect": lambda mode, guard, text: mode.converse(guard, lambda _: text),
}


@pytest.fixture(params=Mode, ids=lambda mode: mode.value, scope="session")
def mode(request: pytest.FixtureRequest) -> Mode:
    """Both halves of the library, in turn."""
    mode: Mode = request.param
    return mode


@pytest.fixture(params=ENTRIES, scope="session")
def entry(request: pytest.FixtureRequest) -> Entry:
    """Every way a text can take through a guard, in turn."""
    return ENTRIES[request.param]
