"""One thread with an event loop of its own, on which a classifier's connections live.

A pool of connections belongs to one event loop, and callers come from many, or from none. On a
loop of its own, callers of both kinds share one pool and one limit, whatever is late is cancelled
down to its socket, and no caller's loop is borrowed or patched.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from guardrail.errors import ClassifierUnavailable

__all__ = ["OwnLoop"]

T = TypeVar("T")

_CLOSING_S = 5.0
_CLOSED = "this classifier is closed; make a new one"


class OwnLoop:
    """Runs coroutines on a daemon thread, which starts when first needed.

    Args:
        name: of the thread, for debuggers.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, work: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> Future[T]:
        """Begin work; cancelling the future cancels it, and closing this fails it.

        Raises:
            ClassifierUnavailable: this is closed.
        """
        with self._lock:
            if self._closed:
                raise ClassifierUnavailable(_CLOSED)
            return asyncio.run_coroutine_threadsafe(self._told(work(*args)), self._running())

    async def _told(self, work: Coroutine[Any, Any, T]) -> T:
        """Do work; who waits for it is told of a close, which else looked like his own leave."""
        try:
            return await work
        except asyncio.CancelledError:
            if self._closed:
                raise ClassifierUnavailable(_CLOSED) from None
            raise

    def close(self, last: Callable[[], Awaitable[None]]) -> None:
        """Cancel what is under way, do one last thing, and end the thread."""
        with self._lock:
            self._closed = True
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None and thread.is_alive():
            asyncio.run_coroutine_threadsafe(_end(loop, last), loop)
            if thread is not threading.current_thread():  # which may collect garbage, and so us
                thread.join(_CLOSING_S)

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=_run, args=(self._loop,), name=self._name, daemon=True
            )
            self._thread.start()
        return self._loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def _end(loop: asyncio.AbstractEventLoop, last: Callable[[], Awaitable[None]]) -> None:
    try:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await last()
    finally:
        loop.call_soon(loop.stop)
