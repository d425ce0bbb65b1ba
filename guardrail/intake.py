"""What a guarded stream waits for: the next event from upstream, or the check under way."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any

from guardrail.asking import aask, ask, collect, start
from guardrail.classifiers.base import Classifier
from guardrail.errors import ClassifierError, InvalidTurnError
from guardrail.flow import Classify
from guardrail.gate import Chunk, End, Judged

__all__ = ["AsyncIntake", "Intake"]

_logger = logging.getLogger("guardrail")
_AHEAD = 256  # events taken in before the consumer has seen them
_PATIENCE_S = 0.05  # that a consumer's thread waits for a check before it asks upstream for more


class Intake:
    """Takes events in on the consumer's thread, while a worker thread waits for the classifier.

    A verdict that comes while that thread waits for upstream has to wait for upstream, too. So
    after an event that was long in coming, the check under way is given a moment before the next.
    """

    def __init__(self, upstream: Iterable[Any], classifier: Classifier) -> None:
        if not isinstance(upstream, Iterable) or isinstance(upstream, str):
            raise InvalidTurnError(
                f"chunks must be an iterable of str, not {type(upstream).__name__}; "
                "a whole reply goes to check()"
            )
        self._upstream = upstream
        self._events: Iterator[Any] | None = None
        self._classifier = classifier
        self._check: Future[Any] | None = None
        self._deadline: float | None = None
        self._patience = 0.0  # seconds of it that are left
        self._ended = False

    def begin(self, question: Classify) -> None:
        """Begin a check; one under way is given up."""
        if self._check is not None:
            self._check.cancel()
        self._deadline = None if question.timeout is None else time.monotonic() + question.timeout
        self._check = start(question, self._classifier)

    def next(self) -> Chunk | End | Judged:
        """Return the check's answers once they are there or late, or nothing else can come."""
        if self._check is not None and (self._ended or self._is_over(self._check)):
            return self._judged(self._check)
        began = time.monotonic()
        event = self._pulled()
        if time.monotonic() - began > _PATIENCE_S:
            self._patience = _PATIENCE_S
        return event

    def close(self) -> None:
        """Close upstream, and give up the check under way."""
        if self._check is not None:
            self._check.cancel()
        for owner in _owners(self._events, self._upstream):
            if hasattr(owner, "close"):
                with _logging_errors():
                    owner.close()

    def _pulled(self) -> Chunk | End:
        if self._events is None:
            self._events = iter(self._upstream)
        try:
            return Chunk(next(self._events))
        except StopIteration:
            self._ended = True
            return End()

    def _judged(self, check: Future[Any]) -> Judged:
        self._check = None
        try:
            return Judged(collect(check, self._left(), self._classifier))
        except ClassifierError as error:
            return Judged(error)

    def _is_over(self, check: Future[Any]) -> bool:
        """Whether the check has ended or is late, after what patience there is."""
        if not check.done() and self._patience:
            left, patience, self._patience = self._left(), self._patience, 0.0
            wait([check], patience if left is None else min(patience, left))
        return check.done() or self._left() == 0

    def _left(self) -> float | None:
        """Return the seconds that the check under way still has; None if it may take any."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())


class AsyncIntake:
    """Takes events in on a task of their own, which also closes upstream, and checks on another."""

    def __init__(self, upstream: AsyncIterable[Any], classifier: Classifier) -> None:
        if not isinstance(upstream, AsyncIterable):
            raise InvalidTurnError(
                f"chunks must be an async iterable of str, not {type(upstream).__name__}; "
                "a whole reply goes to acheck()"
            )
        self._upstream = upstream
        self._classifier = classifier
        self._arrived: deque[Chunk | End | BaseException] = deque()
        self._wake = asyncio.Event()  # something has arrived
        self._room = asyncio.Event()  # and has been seen
        self._feeder: asyncio.Task[None] | None = None
        self._check: asyncio.Future[Judged] | None = None
        self._given_up: set[asyncio.Future[Judged]] = set()

    def begin(self, question: Classify) -> None:
        """Begin a check; one under way is given up."""
        self._give_up()
        self._check = self._start(question)

    async def next(self) -> Chunk | End | Judged:
        """Return what comes first: the check's answers, or an event."""
        if self._feeder is None:
            self._feeder = asyncio.create_task(self._feed())
            self._feeder.add_done_callback(_note)
        while True:
            if self._check is not None and self._check.done():
                judged, self._check = self._check.result(), None
                return judged
            if self._arrived:
                return self._taken(self._arrived.popleft())
            self._wake.clear()
            await self._wake.wait()

    def leave(self) -> None:
        """Have upstream closed by the task that takes it in, and give up the check under way."""
        self._give_up()
        if self._feeder is not None:
            self._feeder.cancel()

    async def close(self) -> None:
        """Do what `leave` does, and wait until it is done."""
        self.leave()
        tasks: list[asyncio.Future[Any]] = [*self._given_up]
        if self._feeder is not None:
            tasks.append(self._feeder)
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._feeder is None:
            await self._close_upstream(None)

    def _start(self, question: Classify) -> asyncio.Future[Judged]:
        if self._classifier.answers_at_once(question.conversations):
            done = asyncio.get_running_loop().create_future()
            done.set_result(_answered(question, self._classifier))
            return done
        check = asyncio.create_task(_aanswered(question, self._classifier))
        check.add_done_callback(lambda _: self._wake.set())
        return check

    def _give_up(self) -> None:
        if self._check is not None and self._check.cancel():
            self._given_up.add(self._check)
            self._check.add_done_callback(self._given_up.discard)
        self._check = None

    def _taken(self, arrived: Chunk | End | BaseException) -> Chunk | End:
        self._room.set()
        if isinstance(arrived, BaseException):
            raise arrived
        return arrived

    async def _feed(self) -> None:
        """Take events in until upstream ends, then close it, all on one task."""
        events: AsyncIterator[Any] | None = None
        try:
            events = aiter(self._upstream)
            async for event in events:
                await self._arrive(Chunk(event))
            await self._arrive(End())
        except BaseException as error:  # a cancellation of upstream's own too
            self._arrived.append(error)
            self._wake.set()
            raise
        finally:
            await self._close_upstream(events)

    async def _arrive(self, arrived: Chunk | End) -> None:
        while len(self._arrived) >= _AHEAD:
            self._room.clear()
            await self._room.wait()
        self._arrived.append(arrived)
        self._wake.set()

    async def _close_upstream(self, events: AsyncIterator[Any] | None) -> None:
        for owner in _owners(events, self._upstream):
            close = getattr(owner, "aclose", None) or getattr(owner, "close", None)
            if close is not None:
                with _logging_errors():
                    await close()


def _note(feeder: asyncio.Task[None]) -> None:
    """Take note of how a feeder failed, which its consumer is told by other means."""
    if not feeder.cancelled():
        feeder.exception()


def _answered(question: Classify, classifier: Classifier) -> Judged:
    try:
        return Judged(ask(question, classifier))
    except ClassifierError as error:
        return Judged(error)


async def _aanswered(question: Classify, classifier: Classifier) -> Judged:
    try:
        return Judged(await aask(question, classifier))
    except ClassifierError as error:
        return Judged(error)


def _owners(events: object, upstream: object) -> list[object]:
    """Return what is to be closed: the iterator, if there is one of its own, then its source."""
    return [upstream] if events is None or events is upstream else [events, upstream]


@contextmanager
def _logging_errors() -> Iterator[None]:
    """Log what closing raises: the refusal that follows matters more."""
    try:
        yield
    except Exception:
        _logger.warning("closing a stream failed", exc_info=True)
