"""A program whose scans are killed at each thing they do to a file, and then go on.

python -m tests.unit.scan.dying IN FOLDER SUFFIX
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from pathlib import Path
from typing import Any

from tests.unit.scan.helpers import judge

_DEEDS = {"open", "os.rename", "os.remove", "os.mkdir", "os.truncate"}


def main(place: Path, folder: Path, suffix: str) -> None:
    """Leave one result for each thing that a scan does, as a kill before it and a resume make it."""
    for deed in count(1):
        out = folder / f"{deed:03}{suffix}"
        killed = _killed(place, out, deed)
        judge(place, out, shard_rows=200)
        if not killed:
            return


def _killed(place: Path, out: Path, deed: int) -> bool:
    child = os.fork()
    if not child:
        _die_before(deed)
        judge(place, out, shard_rows=200)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _die_before(deed: int) -> None:
    left = deed

    def hook(event: str, _: tuple[Any, ...]) -> None:
        nonlocal left
        if event in _DEEDS:
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
