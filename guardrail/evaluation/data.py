"""Data sets: which rows, in which order, told apart by their content."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

from guardrail.errors import ConfigError
from guardrail.evaluation.columns import Columns, Record, rows_of
from guardrail.evaluation.readers import (
    PRESETS,
    SUFFIXES,
    Hub,
    Preset,
    Read,
    hub_id,
    read_file,
    read_folder,
    read_hub,
)
from guardrail.evaluation.rows import BadRow, Row
from guardrail.evaluation.usual import folded_label

__all__ = ["Dataset", "Survey", "require_labels"]

_PEEKED = 100  # records whose columns are looked at
_TOLD = 10  # labels that an error lists


@dataclass(frozen=True, slots=True)
class Survey:
    """What one pass over a data set has found.

    Args:
        rows: rows that can be judged.
        unsafe: how many of them are unsafe.
        left_out: records that are no rows, by reason.
        examples: where the first of each reason stands.
        digest: of all rows' content.
        labels: what the rows' labels say, each once.
    """

    rows: int
    unsafe: int
    left_out: dict[str, int]
    examples: dict[str, str]
    digest: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """Rows to judge, read anew each time they are asked for.

    Args:
        name: how reports call it; "kor-ethical-qa" and "pku-safe-rlhf" are the card's.
        read: begins a new pass over the rows.
        place: where it comes from, for people.
        sample: judge so many rows, drawn at random.
        first: judge so many rows from the start.
        seed: of the draw.
        unsafe_when: the labels that are said to mean unsafe.
    """

    name: str
    read: Callable[[], Iterable[tuple[str, Row | BadRow]]] = field(repr=False)
    place: str = ""
    sample: int | None = None
    first: int | None = None
    seed: int = 0
    unsafe_when: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.sample is not None and self.first is not None:
            raise ConfigError("a sample is drawn at random or taken from the start, not both")
        if min(self.sample or 1, self.first or 1) < 1:
            raise ConfigError("a sample has at least one row")

    @classmethod
    def open(
        cls,
        data: str | Path,
        columns: Columns | None = None,
        *,
        sample: int | None = None,
        first: int | None = None,
        seed: int = 0,
    ) -> Dataset:
        """Return the data set that a path, a hub id or a known name stands for.

        Args:
            data: a file; a folder that the `datasets` library reads; "owner/name" or
                "owner/name@revision:split" on the hub; "kor-ethical-qa" or "pku-safe-rlhf"; any of
                them after "NAME=" to call it so.
            columns: which column is what.
            sample: judge so many rows, drawn at random.
            first: judge so many rows from the start.
            seed: of the draw.

        Raises:
            ConfigError: there is no such data.
        """
        name, place = _named(str(data))
        preset = PRESETS.get(name) or _preset_of(place)
        columns = (columns or Columns()).with_defaults(preset.columns if preset else Columns())
        records = _records(place)
        return cls(
            name,
            lambda: _rows(records, columns, place),
            place,
            sample,
            first,
            seed,
            columns.unsafe_when,
        )

    @classmethod
    def of(cls, rows: Sequence[Row], name: str = "rows") -> Dataset:
        """Return the data set of rows that are at hand."""
        return cls(name, lambda: ((row.place, row) for row in rows))

    @cached_property
    def survey(self) -> Survey:
        """What there is, before anything is drawn from it.

        Raises:
            ConfigError: nothing in it can be judged.
        """
        left_out: Counter[str] = Counter()
        examples: dict[str, str] = {}
        labels: dict[str, None] = {}
        digest = hashlib.sha256()
        rows = unsafe = 0
        for place, row in self.read():
            if isinstance(row, BadRow):
                left_out[str(row)] += 1
                examples.setdefault(str(row), place)
                continue
            rows += 1
            unsafe += row.unsafe
            labels[row.label] = None
            digest.update(_content(row))
        if not rows:
            why = "; ".join(f"{reason} ({examples[reason]})" for reason in left_out)
            place = self.place or self.name
            raise ConfigError(f"{place}: no row can be judged: {why or 'it is empty'}")
        return Survey(rows, unsafe, dict(left_out), examples, digest.hexdigest(), tuple(labels))

    @property
    def digest(self) -> str:
        """Of the content of exactly the rows that are judged."""
        drawn = json.dumps([self.survey.digest, self.sample, self.first, self.seed])
        return hashlib.sha256(drawn.encode()).hexdigest()

    def __len__(self) -> int:
        """Return how many rows are judged."""
        return min(self.survey.rows, self.sample or self.first or self.survey.rows)

    def rows(self) -> Iterator[Row]:
        """Yield the rows that are judged, in the order they stand."""
        chosen = self._chosen
        rows = (
            replace(row, place=place) for place, row in self.read() if not isinstance(row, BadRow)
        )
        if chosen is None:
            return islice(rows, self.first)
        return (row for number, row in enumerate(rows) if number in chosen)

    @cached_property
    def _chosen(self) -> frozenset[int] | None:
        if self.sample is None or self.sample >= self.survey.rows:
            return None
        return frozenset(random.Random(self.seed).sample(range(self.survey.rows), self.sample))


def require_labels(sets: Sequence[Dataset]) -> None:
    """Raise where a label that is said to mean unsafe is no row's: a slip would make all safe.

    Of sets that are read together one must have it; the others may be all safe.

    Raises:
        ConfigError: lists the labels that were found.
    """
    for value in dict.fromkeys(value for one in sets for value in one.unsafe_when):
        asked = (one for one in sets if value in one.unsafe_when)
        found = dict.fromkeys(label for one in asked for label in one.survey.labels)
        if folded_label(value) not in map(folded_label, found):
            told = ", ".join(f"{label!r:.40}" for label in islice(found, _TOLD))
            more = f" and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
            raise ConfigError(f"no row's label is {value!r}, given as unsafe; found {told}{more}")


def _named(data: str) -> tuple[str, str]:
    """Return what the data is called, and where it is."""
    name, equals, place = data.partition("=")
    if equals and not Path(data).exists():
        return name, place
    if data in PRESETS:
        return data, data
    return (Path(data).stem if Path(data).suffix.lower() in SUFFIXES else data), data


def _preset_of(place: str) -> Preset | None:
    hub = None if Path(place).exists() else hub_id(place)
    return next((one for one in PRESETS.values() if hub and one.hub.id == hub.id), None)


def _records(place: str) -> Callable[[], Read]:
    path = Path(place)
    if path.is_file():
        return lambda: read_file(path)
    if path.is_dir():
        return lambda: read_folder(path)
    hub = PRESETS[place].hub if place in PRESETS else hub_id(place)
    if path.suffix.lower() in SUFFIXES or hub is None:
        kinds = ", ".join(SUFFIXES)
        raise ConfigError(
            f"there is no file {place!r}; give a file ({kinds}), owner/name on the Hugging Face "
            f"hub, or one of {', '.join(PRESETS)}"
        )
    return lambda: read_hub(_with_split(hub))


def _with_split(hub: Hub) -> Hub:
    known = _preset_of(hub.id)
    return replace(hub, split=known.hub.split) if known and hub.split is None else hub


def _rows(
    records: Callable[[], Read], columns: Columns, place: str
) -> Iterator[tuple[str, Row | BadRow]]:
    reading = iter(records())
    peeked = list(islice(reading, _PEEKED))
    known = (record for _, record in peeked if not isinstance(record, BadRow))
    names = dict.fromkeys(name for record in known for name in record)
    try:
        found = columns.found_in(names) if names else columns
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None
    for one in (peeked, reading):
        for where, record in one:
            yield from ((where, row) for row in _each(record, found))


def _each(record: Record | BadRow, columns: Columns) -> Iterator[Row | BadRow]:
    if isinstance(record, BadRow):
        yield record
        return
    try:
        yield from rows_of(record, columns)
    except BadRow as error:
        yield error


def _content(row: Row) -> bytes:
    turns = [(turn.role, turn.content) for turn in row.conversation]
    return json.dumps([turns, row.unsafe, row.category, row.source]).encode()
