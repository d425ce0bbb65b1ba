"""Until when an answer is wanted: said by who asks, heard by classifiers that wait on others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

__all__ = ["seconds_left", "within"]

_until: ContextVar[float | None] = ContextVar("guardrail_until", default=None)


@contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """Say that what is asked inside is wanted within so many seconds; None adds no limit.

    Threads of `Workers` and tasks begun inside hear it too. Of nested limits the nearest counts.
    """
    until = _nearest(_until.get(), seconds)
    token = _until.set(until)
    try:
        yield
    finally:
        with suppress(ValueError):  # a coroutine that is given up may be closed in another context
            _until.reset(token)


def seconds_left() -> float | None:
    """Return in how many seconds the answer is wanted; None when nobody said."""
    until = _until.get()
    return None if until is None else max(0.0, until - time.monotonic())


def _nearest(until: float | None, seconds: float | None) -> float | None:
    if seconds is None:
        return until
    wanted = time.monotonic() + seconds
    return wanted if until is None else min(until, wanted)
