"""Judges pieces on this machine: on all its cores, or in this process where that is better."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from guardrail.errors import ClassifierUnavailable
from guardrail.scan.judging import Job, Judge, Result, Results, judged, probe
from guardrail.scan.pieces import Piece, Place, Reading, pieces
from guardrail.scan.worker import begin

__all__ = ["Local"]

_AHEAD = 3  # pieces that wait for each process
_WORTH = 1 << 20  # bytes of work for which a process is worth its start


class Local:
    """Judges on this machine.

    Args:
        job: what to do.
        workers: processes at most; as many as there are cores unless given.

    Attributes:
        scores: what the classifier says about a few turns.

    Raises:
        ClassifierError: the classifier does not work here.
    """

    def __init__(self, job: Job, workers: int | None = None) -> None:
        self._job = job
        self._classifier = job.build()
        self._workers = workers or _cores()
        self.scores = probe(self._classifier)

    def results(self, readings: Sequence[Reading], place: Place) -> Results:
        """Yield the results of all pieces from a place on, in their order."""
        work = pieces(readings, place)
        size = sum(reading.source.size for reading in readings[place.file :])
        workers = min(self._workers, 1 + size // _WORTH)
        if workers == 1 or not self._classifier.scales_by_process:
            yield from map(Judge(self._job, self._classifier), work)
        else:
            yield from _in_processes(self._job, work, workers)

    def close(self) -> None:
        """Close the classifier."""
        self._classifier.close()


def _in_processes(job: Job, work: Iterator[Piece], workers: int) -> Results:
    """Yield results in the order of their pieces; only a few pieces are in memory at a time."""
    # Not forked: this process may have threads, and a copy of what it holds would not be small.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=begin)
    waiting: deque[Future[Result]] = deque()
    try:
        for piece in work:
            waiting.append(pool.submit(judged, job, piece))
            if len(waiting) >= _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise ClassifierUnavailable(
            "a process that judges has ended; is there memory enough? fewer --workers take less"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))  # those that this process may use
    return os.cpu_count() or 1
