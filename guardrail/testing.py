"""Doubles for the tests of programs that use a guard: no model, no network, no surprise.

>>> from guardrail import Guard
>>> from guardrail.testing import StubClassifier
>>> guard = Guard(StubClassifier(unsafe="BAD"))
>>> guard.check(user="hi", assistant="a BAD reply").blocked
True
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

from guardrail.audit import AuditRecord
from guardrail.classifiers.base import Classifier
from guardrail.types import Category, Conversation, Verdict

__all__ = ["ListHook", "ScriptedHandler", "StubClassifier"]


class StubClassifier(Classifier):
    """Finds a turn unsafe if it contains a marker.

    Args:
        unsafe: the marker, or a function of the judged text.
        category: what unsafe turns are, if they are to be categorised in a second step.
        delay: seconds each answer takes.
        error: raised instead of any answer.

    Attributes:
        seen: the judged texts, in the order they came.
    """

    def __init__(
        self,
        unsafe: str | Callable[[str], bool] = "UNSAFE",
        *,
        category: Category | None = None,
        delay: float = 0.0,
        error: Exception | None = None,
    ) -> None:
        self.seen: list[str] = []
        self._is_unsafe = (lambda text: unsafe in text) if isinstance(unsafe, str) else unsafe
        self._category = category
        self._delay = delay
        self._error = error

    def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Judge by the marker, after the delay."""
        if self._delay:
            time.sleep(self._delay)
        return self._verdicts(conversations)

    async def aclassify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Judge by the marker, after the delay, without a thread."""
        if self._delay:
            await asyncio.sleep(self._delay)
        return self._verdicts(conversations)

    def categorise(self, conversations: Sequence[Conversation]) -> list[Mapping[Category, float]]:
        """Name the one category, if there is one."""
        return [{} if self._category is None else {self._category: 1.0} for _ in conversations]

    def answers_at_once(self, conversations: Sequence[Conversation]) -> bool:
        """Whether there is no delay."""
        return not self._delay

    def _verdicts(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        texts = [conversation[-1].content for conversation in conversations]
        self.seen += texts
        if self._error is not None:
            raise self._error
        return [self._verdict(text) for text in texts]

    def _verdict(self, text: str) -> Verdict:
        unsafe = self._is_unsafe(text)
        return Verdict(unsafe, 0.99 if unsafe else 0.01, classifier="stub")


class ScriptedHandler:
    """A bot that says its lines in turn, whole or in chunks, whatever the user says.

    Args:
        reply: the first line.
        replies: the others; the last one is repeated.

    Attributes:
        heard: what users said, in order.
    """

    def __init__(self, reply: str, *replies: str) -> None:
        self.heard: list[str] = []
        self._replies = (reply, *replies)
        self._lock = threading.Lock()

    def __call__(self, message: str) -> str:
        """Return the next line."""
        with self._lock:
            self.heard.append(message)
            return self._replies[min(len(self.heard), len(self._replies)) - 1]

    async def acall(self, message: str) -> str:
        """Return the next line, as an async handler does."""
        return self(message)

    def stream(self, message: str, *, size: int = 3) -> Iterator[str]:
        """Yield the next line in chunks of some characters."""
        reply = self(message)
        for start in range(0, len(reply), size):
            yield reply[start : start + size]

    async def astream(self, message: str, *, size: int = 3) -> AsyncIterator[str]:
        """Yield the next line in chunks of some characters, as an async handler does."""
        for chunk in self.stream(message, size=size):
            yield chunk


class ListHook:
    """Keeps every record in a list.

    Attributes:
        records: the records, in order.
    """

    def __init__(self) -> None:
        self.records: list[AuditRecord] = []

    def __call__(self, record: AuditRecord, /) -> None:
        """Keep one record."""
        self.records.append(record)
