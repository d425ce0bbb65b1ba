"""The line before a server: who is let in, whose turn is near, and who is asked for now.

    call -> admitted, or refused at once -> near -> prompts are written -> place -> request

A caller on an event loop waits there until its turn is near, with nothing written yet. Were all
calls of a burst written at once, that would take longer than the server's first answers, and keep
Python's one lock from the thread that is to receive them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from weakref import WeakKeyDictionary

from guardrail.classifiers.remote.limits import Limits, Stats
from guardrail.errors import ClassifierTimeout, ClassifierUnavailable

__all__ = ["Line"]

_NEAR = 2  # calls for each place: one that has it, and one that is ready to follow


class Line:
    """Admits calls on any thread, and gives their requests places on the session's event loop.

    Args:
        server: for messages.
        limits: to keep to.
        stats: count the calls that are refused.
    """

    def __init__(self, server: str, limits: Limits, stats: Stats) -> None:
        self._server = server
        self._limits = limits
        self._stats = stats
        self._lock = threading.Lock()  # of what follows
        self._calls = 0
        self._near: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]
        self._near = WeakKeyDictionary()
        self._places = asyncio.Semaphore(limits.concurrency)

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Count a call in while it lasts.

        Raises:
            ClassifierUnavailable: as many wait already as may.
        """
        with self._lock:
            if self._calls >= self._limits.concurrency + self._limits.queue:
                self._stats.rejected += 1
                raise ClassifierUnavailable(
                    f"{self._calls} calls wait for {self._server} already; raise concurrency if "
                    "it can do more at once, or queue"
                )
            self._calls += 1
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1

    @asynccontextmanager
    async def near(self, until: float) -> AsyncIterator[None]:
        """Wait on the caller's own event loop until few of its calls are left before this one.

        Args:
            until: when its answer must be there, by `time.monotonic`.

        Raises:
            ClassifierTimeout: that time came first.
        """
        turns = self._turns(asyncio.get_running_loop())
        await self._acquired(turns, until)
        try:
            yield
        finally:
            turns.release()

    @asynccontextmanager
    async def place(self, until: float) -> AsyncIterator[Callable[[], None]]:
        """Hold one of the places, and give what leaves it early; on the session's event loop.

        Args:
            until: when the answer must be there, by `time.monotonic`.

        Raises:
            ClassifierTimeout: that time came first.
        """
        await self._acquired(self._places, until)
        with ExitStack() as held:
            held.callback(self._places.release)
            yield held.close

    def _turns(self, loop: asyncio.AbstractEventLoop) -> asyncio.Semaphore:
        with self._lock:
            if loop not in self._near:
                self._near[loop] = asyncio.Semaphore(_NEAR * self._limits.concurrency)
            return self._near[loop]

    async def _acquired(self, places: asyncio.Semaphore, until: float) -> None:
        try:
            async with asyncio.timeout(until - time.monotonic()):
                await places.acquire()
        except TimeoutError:
            raise ClassifierTimeout(
                f"{self._limits.concurrency} other requests to {self._server} left this one no time"
            ) from None
