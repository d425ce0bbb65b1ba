"""Raw records out of JSONL, CSV and Parquet files, a few at a time and from any place on.

What a record says is read later, by who judges it; here only its bounds are found.
"""

from __future__ import annotations

import csv
import io
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from itertools import filterfalse, islice
from typing import Any, TypeAlias, TypeVar

from guardrail.errors import ConfigError, needing
from guardrail.evaluation.columns import Record
from guardrail.evaluation.readers import encoding_of, parsed, separator_of
from guardrail.evaluation.rows import BadRow
from guardrail.scan.cells import records
from guardrail.scan.sources import Content, Source

__all__ = ["Format", "Raw", "Run", "Unreadable", "format_of"]

T = TypeVar("T")
Raw: TypeAlias = bytes | list[str] | Record | BadRow
"""A line of JSONL, the cells of CSV, a record of Parquet; or why there is none."""

Run: TypeAlias = tuple[list[Raw], int]
"""Records that follow each other, and how many bytes of the file end with them."""

_ROWS, _BYTES = 512, 1 << 20  # of a run
_LONGEST = 16 << 20  # bytes of a record: more is a missing newline or quote
_PEEKED = 100  # records whose names are looked at


class Unreadable(Exception):
    """A file is broken from here on."""


class Format(ABC):
    """Reads a file of one kind.

    Attributes:
        header: the names of cells, where records are cells.
    """

    header: tuple[str, ...] = ()

    def __init__(self, source: Source) -> None:
        self._source = source

    @abstractmethod
    def names(self) -> list[str]:
        """Return the columns' names."""

    @abstractmethod
    def runs(self, wanted: list[str], skip: int) -> Iterator[Run]:
        """Yield the records after so many, at least with the columns that are wanted.

        Raises:
            Unreadable: the file is broken from here on.
        """


class _Lines(Format):
    """One JSON object a line; the lines are the records, blank ones too."""

    def names(self) -> list[str]:
        with _translating(self._source), self._source.opened() as (content, _):
            records = map(parsed, filterfalse(_is_bad, _lines(content)))
            known = islice((one for one in records if not isinstance(one, BadRow)), _PEEKED)
            return list(dict.fromkeys(name for record in known for name in record))

    def runs(self, wanted: list[str], skip: int) -> Iterator[Run]:
        with _translating(self._source), self._source.opened() as (content, file):
            lines = islice(_lines(content), skip, None)
            for run in _cut(lines, lambda line: 0 if _is_bad(line) else len(line)):
                yield run, file.tell()


class _Cells(Format):
    """CSV with a header; lines without any cell are no records."""

    def names(self) -> list[str]:
        with _translating(self._source), self._source.opened() as (content, _):
            self._encoding = encoding_of(_bounded(content))
        with self._text() as (text, _):
            usual = "\t" if self._source.kind == ".tsv" else ","
            self._separator = separator_of(text.readline(_LONGEST), usual)
        with self._opened() as (rows, _):
            first: Any = next(rows, [])
        if _is_bad(first):
            raise Unreadable(str(first))
        self.header = tuple(first)
        return list(first)

    def runs(self, wanted: list[str], skip: int) -> Iterator[Run]:
        with self._opened() as (rows, file):
            cells = islice(rows, 1 + skip, None)
            for run in _cut(cells, lambda row: 0 if _is_bad(row) else sum(map(len, row))):
                yield run, file.tell()

    @contextmanager
    def _opened(self) -> Iterator[tuple[Iterator[Any], BufferedReader]]:
        csv.field_size_limit(_LONGEST)
        with self._text() as (text, file):
            yield records(text, self._separator), file

    @contextmanager
    def _text(self) -> Iterator[tuple[io.TextIOWrapper, BufferedReader]]:
        with _translating(self._source), self._source.opened() as (content, file):
            text = io.TextIOWrapper(content, self._encoding, "surrogateescape", newline="")
            try:
                yield text, file
            finally:
                text.detach()  # who opened the file closes it


class _Groups(Format):
    """Parquet."""

    def names(self) -> list[str]:
        with _translating(self._source), _parquet(self._source) as file:
            return list(file.schema_arrow.names)

    def runs(self, wanted: list[str], skip: int) -> Iterator[Run]:
        with _translating(self._source), _parquet(self._source) as file:
            about = file.metadata
            groups = list(range(about.num_row_groups))
            while groups and about.row_group(groups[0]).num_rows <= skip:
                skip -= about.row_group(groups.pop(0)).num_rows
            done = about.num_rows - sum(about.row_group(group).num_rows for group in groups)
            weight = sum(about.row_group(group).total_byte_size for group in groups)
            size = max(1, min(_ROWS, _BYTES * about.num_rows // max(1, weight)))
            for batch in file.iter_batches(size, groups, wanted, use_threads=False):
                done += batch.num_rows
                left = batch.slice(skip)
                skip = max(0, skip - batch.num_rows)
                if left.num_rows:
                    yield left.to_pylist(), self._source.size * done // about.num_rows


_FORMATS: Mapping[str, type[Format]] = {
    ".jsonl": _Lines,
    ".ndjson": _Lines,
    ".csv": _Cells,
    ".tsv": _Cells,
    ".parquet": _Groups,
}


def format_of(source: Source) -> Format:
    """Return what reads a file."""
    return _FORMATS[source.kind](source)


def _is_bad(record: object) -> bool:
    return isinstance(record, BadRow)


def _lines(content: Content) -> Iterator[Any]:
    """Yield the lines; one that never ends is a bad row."""
    while line := content.readline(_LONGEST):
        if len(line) == _LONGEST and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = content.readline(_LONGEST)
            yield BadRow(f"a line of more than {_LONGEST >> 20} MiB")
        else:
            yield line


def _bounded(content: Content) -> Iterator[bytes]:
    return iter(lambda: content.readline(_LONGEST), b"")


def _cut(records: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """Yield the records, so many at a time that they are neither too many nor too large.

    Those before an error come before it.
    """
    run: list[T] = []
    weight = 0
    failed: Exception | None = None
    try:
        for record in records:
            run.append(record)
            weight += size(record)
            if len(run) >= _ROWS or weight >= _BYTES:
                yield run
                run, weight = [], 0
    except Exception as error:
        failed = error
    if run:
        yield run
    if failed is not None:
        raise failed


@contextmanager
def _parquet(source: Source) -> Iterator[Any]:
    with needing("scan"):
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    try:
        # Read as it is needed: a row group may be larger than memory.
        with ParquetFile(source.path, buffer_size=_BYTES, pre_buffer=False) as file:
            yield file
    except ArrowException as error:
        raise Unreadable(str(error)) from error


@contextmanager
def _translating(source: Source) -> Iterator[None]:
    """Tell a broken file, which is set aside, from a disk or a right that fails."""
    try:
        yield
    except (EOFError, zlib.error, UnicodeDecodeError) as error:
        raise Unreadable(str(error)) from error
    except OSError as error:
        if error.errno is None:  # the libraries' own, about what the file holds
            raise Unreadable(str(error)) from error
        raise ConfigError(f"cannot read {str(source.path)!r}: {error.strerror}") from error
