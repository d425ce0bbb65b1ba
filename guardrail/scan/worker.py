"""How a process that judges begins; imports nothing, so that it comes before numpy."""

from __future__ import annotations

import multiprocessing
import os
import signal
from threading import Thread

__all__ = ["begin"]

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def begin() -> None:
    """Prepare this process: one thread, deaf to interrupts, and gone when its parent is."""
    os.environ.update(dict.fromkeys(_THREADS, "1"))  # each core has a process already
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()  # returns when it has ended, however
        os._exit(1)
