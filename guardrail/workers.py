"""Threads that wait for slow classifiers, so that a caller with a timeout need not."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import Any, TypeVar

__all__ = ["Workers"]

T = TypeVar("T")


class Workers:
    """A few daemon threads that start when needed and leave when idle.

    `concurrent.futures.ThreadPoolExecutor` joins its threads at interpreter exit, so one hung
    classifier would keep the program from ending; these are left behind instead.

    Args:
        name: of the threads, for debuggers.
        limit: threads at most; further jobs wait for one.
        idle_s: seconds after which an idle thread ends.
    """

    def __init__(self, *, name: str, limit: int = 32, idle_s: float = 1.0) -> None:
        self._name = name
        self._limit = limit
        self._idle_s = idle_s
        self._begin()
        if hasattr(os, "register_at_fork"):  # a forked process has none of its parent's threads
            begin = weakref.WeakMethod(self._begin)
            os.register_at_fork(after_in_child=lambda: (again := begin()) and again())

    def _begin(self) -> None:
        self._jobs: dict[Future[Any], Callable[[], Any]] = {}  # in order
        self._wake = threading.Condition()
        self._threads = 0
        self._idle = 0

    def submit(self, work: Callable[..., T], *args: Any) -> Future[T]:
        """Have a thread do the work, in the caller's context variables.

        Cancelling the future drops work that has not begun.
        """
        future: Future[T] = Future()
        context = copy_context()
        future.add_done_callback(self._forget)
        with self._wake:
            if len(self._jobs) >= self._idle and self._threads < self._limit:
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
                self._threads += 1
            self._jobs[future] = lambda: context.run(work, *args)
            self._wake.notify()
        return future

    def _forget(self, future: Future[Any]) -> None:
        """Keep nothing of work that was cancelled, however long the threads are busy."""
        if future.cancelled():
            with self._wake:
                self._jobs.pop(future, None)

    def _run(self) -> None:
        while (job := self._next()) is not None:
            _fulfil(*job)
            del job  # an idle thread keeps nothing alive

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._wake:
            self._idle += 1
            found = self._wake.wait_for(lambda: self._jobs, timeout=self._idle_s)
            self._idle -= 1
            if found:
                future = next(iter(self._jobs))
                return future, self._jobs.pop(future)
            self._threads -= 1
            return None


def _fulfil(future: Future[T], work: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except StopIteration as error:  # which no asyncio future may hold: its caller would wait on
        future.set_exception(RuntimeError(f"the work raised {error!r}"))
    except BaseException as error:
        future.set_exception(error)
