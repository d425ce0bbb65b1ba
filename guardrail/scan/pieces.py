"""Files cut into pieces of work, the same ones wherever one begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from guardrail.errors import ConfigError
from guardrail.evaluation.columns import Columns
from guardrail.evaluation.rows import BadRow
from guardrail.scan.formats import Format, Raw, Unreadable, format_of
from guardrail.scan.sources import Source

__all__ = ["Piece", "Place", "Reading", "pieces", "survey"]


@dataclass(frozen=True, slots=True)
class Place:
    """How far the files are read.

    Args:
        file: which of them comes next.
        records: how many of its records are done.
    """

    file: int = 0
    records: int = 0


@dataclass(frozen=True)
class Reading:
    """A file, and how it is read.

    Args:
        source: the file.
        format: reads it.
        columns: which column is what.
        fault: why nothing of it can be read.
    """

    source: Source
    format: Format
    columns: Columns
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some records of a file, to judge in one go.

    Args:
        name: how results call the file.
        first: number of the first record, from 1.
        records: as they stand in the file.
        header: names of cells, where records are cells.
        columns: which column is what.
        after: the place where they end.
        end: how many bytes of all files end with them.
    """

    name: str
    first: int
    records: list[Raw]
    header: tuple[str, ...]
    columns: Columns
    after: Place
    end: int


def survey(source: Source, columns: Columns) -> Reading:
    """Look at a file's columns.

    Raises:
        ConfigError: the file cannot be opened, or no column holds text.
    """
    reader = format_of(source)
    try:
        names = reader.names()
    except Unreadable as error:
        return Reading(source, reader, columns, str(error) or "broken")
    try:
        found = columns.found_in(names, labelled=False) if names else columns
    except ConfigError as error:
        raise ConfigError(f"{source.path}: {error}") from None
    if twice := [name for name in _wanted(found) if names.count(name) > 1]:
        raise ConfigError(f"{source.path}: there are two columns {twice[0]!r}; rename one of them")
    return Reading(source, reader, found)


def pieces(readings: Sequence[Reading], place: Place) -> Iterator[Piece]:
    """Yield all pieces from a place on."""
    before = sum(reading.source.size for reading in readings[: place.file])
    for file, reading in enumerate(readings[place.file :], start=place.file):
        done = place.records if file == place.file else 0
        yield from _pieces(Place(file, done), reading, before)
        before += reading.source.size


def _pieces(start: Place, reading: Reading, before: int) -> Iterator[Piece]:
    def piece(records: list[Raw], after: Place, end: int) -> Piece:
        name, header = reading.source.name, reading.format.header
        return Piece(name, done + 1, records, header, reading.columns, after, before + end)

    file, done = start.file, start.records

    try:
        if reading.fault:
            raise Unreadable(reading.fault)
        for records, end in reading.format.runs(_wanted(reading.columns), done):
            yield piece(records, Place(file, done + len(records)), end)
            done += len(records)
    except Unreadable as error:
        broken = BadRow(f"the file is broken from here on: {error}")
        yield piece([broken], Place(file + 1), reading.source.size)


def _wanted(columns: Columns) -> list[str]:
    named = (columns.user, columns.assistant, columns.text, columns.messages)
    return [name for name in named if name is not None]
