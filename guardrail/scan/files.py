"""Files that are complete or not there, and such as only grow."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from guardrail.errors import ConfigError

__all__ = ["Growing", "refuse_written", "replace", "write_whole"]


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Have a file written, and put it in its place once it is on disk."""
    draft = path.with_name(f".{path.name}.tmp")
    with draft.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    replace(draft, path)


def replace(path: Path, place: Path) -> None:
    """Move a file to its place, for good."""
    os.replace(path, place)
    if os.name == "posix":  # elsewhere folders cannot be opened, nor need to be
        folder = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Growing:
    """A file that is written to its end, and is cut back to what was sure of it.

    Args:
        path: where it is, or is to be.
        size: bytes that are sure.

    Raises:
        ConfigError: it is shorter than that, or another process writes it.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._file = path.open("ab")
        try:
            _lock(self._file, path)
            if self._file.tell() < size:
                raise ConfigError(f"{path} was changed since; --overwrite begins anew")
            self._file.truncate(size)
            self._file.seek(size)  # it would stay beyond the end, and `commit` tell of that
        except BaseException:
            self._file.close()
            raise

    def write(self, data: bytes) -> None:
        """Add to its end."""
        self._file.write(data)

    def commit(self) -> int:
        """Make sure of what is written; return how many bytes that is."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def refuse_written(path: Path) -> None:
    """Raise if another process writes a file.

    Raises:
        ConfigError: one does.
    """
    if path.exists():
        with path.open("ab") as file:
            _lock(file, path)


def _lock(file: IO[bytes], path: Path) -> None:
    try:
        import fcntl
    except ModuleNotFoundError:  # not on Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConfigError(f"{path}: another scan writes here") from None
