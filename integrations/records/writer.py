"""Writes records off the path of requests: one thread, a bounded queue, batches."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from guardrail.audit import AuditRecord
from guardrail.integrations.records.database import Unreachable

__all__ = ["Counts", "Writer", "weakly"]

_logger = logging.getLogger("guardrail")
_BATCH = 500
_RETRY_S = (0.1, 5.0)  # the first pause after a failure, and the longest
_SAY_EVERY_S = 60.0
_FORK_S = 5.0  # that a fork waits for a write


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the records.

    Args:
        written: those in the database.
        waiting: those in the queue, or being written.
        dropped: those that came while the queue was full, or after the end.
        failed: those that the database refused, or that could not be written before the end.
    """

    written: int
    waiting: int
    dropped: int
    failed: int


class Writer:
    """Takes records at once and has a thread of its own write them.

    When the queue is full, because the database is away or too slow, what comes is dropped and
    counted: a request never waits. While the database is away the batch at hand is tried again.

    Args:
        write: writes a batch in one transaction; raises `Unreachable` for what passes by itself.
        tidy: called at the start, and from time to time.
        limit: records that wait at most.
        tidy_every_s: seconds between two calls of `tidy`.
    """

    def __init__(
        self,
        write: Callable[[Sequence[AuditRecord]], None],
        tidy: Callable[[], None],
        *,
        limit: int,
        tidy_every_s: float,
    ) -> None:
        self._write = write
        self._tidy = tidy
        self._limit = limit
        self._tidy_every_s = tidy_every_s
        self._said: dict[str, float] = {}
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=weakly(self._pause),
                after_in_parent=weakly(self._resume),
                after_in_child=weakly(self._begin),  # where there is no thread, and no queue
            )

    def _begin(self) -> None:
        self._change = threading.Condition()
        self._at_work = threading.Lock()
        self._queue: deque[AuditRecord] = deque()
        self._at_hand = 0  # records being written
        self._written = self._dropped = self._failed = 0
        self._deadline: float | None = None  # of the last writes; None while open
        self._thread: threading.Thread | None = None

    def _pause(self) -> None:
        """Let the database be: in the middle of a write its driver would be copied locked."""
        self._paused = self._at_work.acquire(timeout=_FORK_S)

    def _resume(self) -> None:
        if self._paused:
            self._at_work.release()

    @property
    def counts(self) -> Counts:
        """What became of the records so far, in this process."""
        with self._change:
            waiting = len(self._queue) + self._at_hand
            return Counts(self._written, waiting, self._dropped, self._failed)

    def start(self) -> None:
        """Start the thread, if it does not run."""
        with self._change:
            self._start()

    def _start(self) -> None:
        if self._thread is None and self._deadline is None:
            thread = threading.Thread(target=self._run, name="guardrail-records", daemon=True)
            thread.start()
            self._thread = thread

    def put(self, record: AuditRecord) -> None:
        """Have a record written; dropped and counted where the queue is full or closed."""
        with self._change:
            if self._deadline is None and len(self._queue) < self._limit:
                self._start()
                self._queue.append(record)
                self._change.notify_all()
                return
            self._dropped += 1
        self._say("are dropped, since the queue is full or closed")

    def flush(self, seconds: float) -> bool:
        """Wait until all that was put is settled, at most so long; return whether it is."""
        with self._change:
            goal = self._settled + len(self._queue) + self._at_hand
            return self._change.wait_for(lambda: self._settled >= goal, seconds)

    @property
    def _settled(self) -> int:
        return self._written + self._failed

    def close(self, seconds: float) -> None:
        """Write what waits, for at most so many seconds, and end; the rest counts as failed."""
        with self._change:
            if self._deadline is None:
                self._deadline = time.monotonic() + seconds
                self._change.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds + 1.0)
        with self._change:
            lost = len(self._queue) + self._at_hand
            self._failed += lost
            self._at_hand = 0
            self._queue.clear()
        if lost:
            _logger.error("%d audit records could not be written before the end", lost)

    def _run(self) -> None:
        next_tidy = time.monotonic()
        while True:
            if time.monotonic() >= next_tidy:
                self._try_tidying()
                next_tidy = time.monotonic() + self._tidy_every_s
            batch = self._take(next_tidy)
            if batch:
                self._settle(batch)
            elif self._deadline is not None:
                return

    def _take(self, until: float) -> list[AuditRecord]:
        """Wait for records, and take as many as fit one transaction."""
        with self._change:
            self._change.wait_for(
                lambda: self._queue or self._deadline is not None, until - time.monotonic()
            )
            size = 0 if self._is_late() else min(len(self._queue), _BATCH)
            self._at_hand = size
            return [self._queue.popleft() for _ in range(size)]

    def _settle(self, batch: Sequence[AuditRecord]) -> None:
        """Write a batch, whatever it takes; record by record where one of them is refused."""
        try:
            done = self._persist(batch)
        except Exception as error:
            if len(batch) > 1:
                for record in batch:
                    self._settle([record])
                return
            self._say("are refused by the database", type(error).__name__)
            done = False
        with self._change:
            if self._at_hand:  # not given up in the meantime
                self._at_hand -= len(batch)
                self._written += len(batch) if done else 0
                self._failed += 0 if done else len(batch)
            self._change.notify_all()

    def _persist(self, batch: Sequence[AuditRecord]) -> bool:
        """Write a batch, again and again while the database is away; return whether it worked."""
        pause, longest = _RETRY_S
        while True:
            try:
                with self._at_work:
                    self._write(batch)
            except Unreachable as error:
                self._say("cannot be written now", error)
                if not self._may_try_again(pause):
                    return False
                pause = min(2 * pause, longest)
            else:
                return True

    def _may_try_again(self, pause: float) -> bool:
        """Wait a little, or less where the end has come; return whether there is time left."""
        with self._change:
            closing = self._deadline is not None
            wake = (lambda: False) if closing else (lambda: self._deadline is not None)
            self._change.wait_for(wake, min(pause, _RETRY_S[0]) if closing else pause)
            return not self._is_late()

    def _is_late(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _try_tidying(self) -> None:
        try:
            with self._at_work:
                self._tidy()
        except Exception as error:
            self._say("that are old cannot be deleted", type(error).__name__)

    def _say(self, what: str, detail: object = "") -> None:
        """Log what goes wrong, but not with every record."""
        now = time.monotonic()
        if now - self._said.get(what, -_SAY_EVERY_S) >= _SAY_EVERY_S:
            self._said[what] = now
            _logger.error("audit records %s%s", what, f": {detail}" if detail else "")


def weakly(method: Callable[[], None]) -> Callable[[], None]:
    """Return what calls the method of an object as long as there is one."""
    known = weakref.WeakMethod(method)

    def call() -> None:
        if (there := known()) is not None:
            there()

    return call
