"""One process's dealings with one server: how often, and until when.

    prompts -> a place -> circuit -> request -> reading
                 ^                      |
                 +----- wait, again <---+ what may pass

All of it runs on the session's own loop, so nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.stop import stop_before_delay
from tenacity.wait import wait_random_exponential

from guardrail.classifiers.labelled import Reading
from guardrail.classifiers.remote.circuit import Circuit
from guardrail.classifiers.remote.failures import CutShort, may_pass
from guardrail.classifiers.remote.limits import Limits, Stats
from guardrail.classifiers.remote.line import Line
from guardrail.classifiers.remote.loop import OwnLoop
from guardrail.classifiers.remote.server import Server
from guardrail.classifiers.remote.writing import Prompt
from guardrail.errors import ClassifierError, ClassifierTimeout

__all__ = ["Session"]

_MOST = 0.9  # of its patience, below which a request has been cut short
_backoff = wait_random_exponential(multiplier=0.1, max=2.0)


@dataclass(frozen=True, slots=True)
class _Span:
    """The time of a call.

    Args:
        until: when its answers must be there.
        patience: seconds that a request would have had at its beginning.
    """

    until: float
    patience: float


class Session:
    """Asks a server, for callers on any thread.

    Args:
        server: to ask.
        limits: to keep to.
    """

    def __init__(self, server: Server, limits: Limits) -> None:
        self.stats = Stats()
        self.line = Line(server.name, limits, self.stats)
        """Where who asks is admitted first."""
        self.process = os.getpid()
        self._server = server
        self._limits = limits
        self._loop = OwnLoop("guardrail-remote")
        self._circuit = Circuit(server.name, failures=limits.failures, rest=limits.rest)
        self._answered = -math.inf

    @property
    def circuit_open(self) -> bool:
        """Whether the server is left alone now."""
        return self._circuit.is_open

    def submit(
        self, prompts: Sequence[Prompt], since: float, until: float
    ) -> Future[list[Reading]]:
        """Begin to ask; cancelling the future takes the questions back.

        Args:
            prompts: one question each.
            since: when the call began, by `time.monotonic`.
            until: when the answers must be there, likewise.

        Raises:
            ClassifierUnavailable: the session is closed.
        """
        patience = min(self._limits.timeout, until - since)
        return self._loop.submit(self._ask_all, prompts, _Span(until, patience))

    def close(self) -> None:
        """Close every connection; what is under way fails. Another process's session is left."""
        if self.process == os.getpid():
            self._loop.close(self._server.close)
        else:
            self._server.leave()

    async def _ask_all(self, prompts: Sequence[Prompt], span: _Span) -> list[Reading]:
        """Ask all, a few at a time, so that one call of many leaves others their turn."""
        if len(prompts) == 1:
            return [await self._ask(prompts[0], span)]
        readings: dict[int, Reading] = {}
        left = iter(enumerate(prompts))
        workers = min(len(prompts), self._limits.concurrency)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._ask_next(left, readings, span))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [readings[place] for place in range(len(prompts))]

    async def _ask_next(
        self, left: Iterator[tuple[int, Prompt]], readings: dict[int, Reading], span: _Span
    ) -> None:
        for place, prompt in left:
            readings[place] = await self._ask(prompt, span)

    async def _ask(self, prompt: Prompt, span: _Span) -> Reading:
        try:
            return await self._attempt(prompt, span)
        except ClassifierError as error:
            if not may_pass(error):
                raise
            return await self._ask_again(error, prompt, span)

    async def _ask_again(self, first: ClassifierError, prompt: Prompt, span: _Span) -> Reading:
        """Go on after a first attempt, which the library is told of and need not make.

        Its way to call takes a good part of the time of a call, and most calls need none of it.
        """
        failed = [first]

        async def attempt() -> Reading:
            if failed:
                raise failed.pop()
            return await self._attempt(prompt, span)

        retrying = AsyncRetrying(
            sleep=asyncio.sleep,
            retry=retry_if_exception(may_pass),
            wait=_wait,
            stop=stop_after_attempt(self._limits.max_retries + 1)
            | stop_before_delay(span.until - time.monotonic()),
            reraise=True,
        )
        reading: Reading = await retrying(attempt)
        return reading

    async def _attempt(self, prompt: Prompt, span: _Span) -> Reading:
        async with self.line.place(span.until) as leave:
            with self._circuit.watching():
                content = await self._request(prompt, span)
                if not self._circuit.is_tried:  # else who follows would be refused until then
                    leave()
                    await asyncio.sleep(0)  # whose turn it is now asks first; then this is read
                return self._read(content, prompt)

    async def _request(self, prompt: Prompt, span: _Span) -> bytes:
        self.stats.requests += 1
        seconds = min(self._limits.timeout, span.until - time.monotonic())
        try:
            async with asyncio.timeout(seconds):
                content = await self._server.ask(prompt)
        except TimeoutError:
            kind = CutShort if self._is_short(seconds, span) else ClassifierTimeout
            raise kind(f"{self._server.name} did not answer in time") from None
        self._answered = time.monotonic()
        return content

    def _read(self, content: bytes, prompt: Prompt) -> Reading:
        answered = self._server.read(content, prompt)
        self.stats.answers += 1
        self.stats.prompt_tokens += answered.prompt_tokens
        self.stats.cached_tokens += answered.cached_tokens
        return answered.reading

    def _is_short(self, seconds: float, span: _Span) -> bool:
        """Whether a request had lost its time to others, and others had their answers."""
        silence = time.monotonic() - self._answered
        return seconds < _MOST * span.patience and silence < self._limits.timeout


def _wait(state: RetryCallState) -> float:
    """Return the seconds until the next attempt: the server's own, or more each time."""
    error = state.outcome.exception() if state.outcome else None
    asked = getattr(error, "after", None)
    backoff: float = _backoff(state)
    return backoff if asked is None else max(float(asked), backoff)
