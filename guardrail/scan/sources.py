"""The files that are scanned."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TypeAlias

from guardrail.errors import ConfigError

__all__ = ["KINDS", "Content", "Source", "sources"]

Content: TypeAlias = BufferedReader | gzip.GzipFile

KINDS = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
"""How the names of files end; but for Parquet, ".gz" may follow."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file of logged turns.

    Args:
        path: where it is.
        name: how results call it: its path below the folder that is scanned.
        size: in bytes.
        modified: when it was last written, in nanoseconds.
    """

    path: Path
    name: str
    size: int
    modified: int

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return _kind(self.path)

    @contextmanager
    def opened(self) -> Iterator[tuple[Content, BufferedReader]]:
        """Have its content ready, unpacked, beside the file itself, which tells how far one is."""
        with self.path.open("rb") as file:
            if self.path.suffix.lower() != ".gz":
                yield file, file
                return
            with gzip.open(file) as content:
                yield content, file


def sources(place: Path) -> list[Source]:
    """Return a file, or all files below a folder that can be read, by name.

    Files and folders whose names begin with a dot or an underscore are left out.

    Raises:
        ConfigError: there is nothing to read.
    """
    if place.is_file():
        return [_source(place, place.name)]
    if not place.is_dir():
        raise ConfigError(f"there is no file or folder {str(place)!r}")
    names = sorted(path.relative_to(place) for path in place.rglob("*") if path.is_file())
    found = [_source(place / name, name.as_posix()) for name in names if _is_data(name)]
    if not found:
        raise ConfigError(f"{str(place)!r} holds no file that ends in {', '.join(KINDS)}")
    return found


def _source(path: Path, name: str) -> Source:
    if not _kind(path):
        raise ConfigError(
            f"{path}: the name must end in one of {', '.join(KINDS)}, or .gz after it"
        )
    about = path.stat()
    return Source(path, name, about.st_size, about.st_mtime_ns)


def _kind(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if suffixes[-1:] == [".gz"]:
        suffixes = [suffix for suffix in suffixes[:-1] if suffix != ".parquet"]
    return suffixes[-1] if suffixes and suffixes[-1] in KINDS else ""


def _is_data(name: Path) -> bool:
    return bool(_kind(name)) and not any(part.startswith((".", "_")) for part in name.parts)
