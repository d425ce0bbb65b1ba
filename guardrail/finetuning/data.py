"""The rows to learn from and the rows to be measured on, kept apart."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from guardrail.errors import ConfigError
from guardrail.evaluation.columns import Columns
from guardrail.evaluation.data import Dataset, require_labels
from guardrail.evaluation.plan import refuse_equal_names
from guardrail.evaluation.rows import Row
from guardrail.finetuning.duplicates import alike, near_duplicates
from guardrail.finetuning.settings import Duplicates, Settings

__all__ = ["HELD_OUT", "Data", "Source", "gather"]

HELD_OUT = "held-out"
"""The name of the rows that are kept for evaluation where no set is given for that."""


@dataclass(frozen=True, slots=True)
class Source:
    """One set of rows, for the record.

    Args:
        name: of the set.
        place: where it is.
        rows, unsafe: how many there are.
        left_out: records that were no rows, by reason.
        digest: of their content.
    """

    name: str
    place: str
    rows: int
    unsafe: int
    left_out: Mapping[str, int]
    digest: str


@dataclass(frozen=True, slots=True)
class Data:
    """What a run learns from and is measured on.

    Args:
        train: rows to learn from.
        sets: rows to be measured on, by the set's name.
        sources: of the training rows, then of the sets.
        dropped: training rows that nearly stood in a set, by its name.
    """

    train: Sequence[Row]
    sets: Mapping[str, Sequence[Row]]
    sources: Sequence[Source]
    dropped: Mapping[str, int]


def gather(
    train: Sequence[str | Path | Dataset],
    sets: Sequence[str | Path | Dataset],
    settings: Settings,
    columns: Columns | None = None,
) -> Data:
    """Read everything, and take out of the training rows what nearly stands in a set.

    Raises:
        ConfigError: the data cannot be read, one kind of row is missing, or there are near
            duplicates and they are to be refused.
    """
    also = Columns(by=(settings.turn_column,) if settings.turn_column else ())
    learned = [_opened(one, (columns or Columns()).with_defaults(also)) for one in train]
    measured = [_opened(one, columns) for one in sets]
    if not learned:
        raise ConfigError("name the data to learn from")
    refuse_equal_names("evaluation sets", [one.name for one in measured])
    require_labels([*learned, *measured])
    rows = [row for one in learned for row in one.rows()]
    named: dict[str, Sequence[Row]] = {one.name: list(one.rows()) for one in measured}
    sources = [_source(one) for one in (*learned, *measured)]
    if not named:
        rows, held = _held_out(rows, settings)
        named = {HELD_OUT: held}
        unsafe = sum(row.unsafe for row in held)
        sources.append(Source(HELD_OUT, "", len(held), unsafe, {}, learned[0].digest))
    kept, dropped = _apart(rows, named, settings.duplicates)
    _require_both(kept, sum(dropped.values()))
    return Data(kept, named, sources, dropped)


def _opened(data: str | Path | Dataset, columns: Columns | None) -> Dataset:
    return data if isinstance(data, Dataset) else Dataset.open(data, columns)


def _source(data: Dataset) -> Source:
    survey = data.survey
    return Source(data.name, data.place, len(data), survey.unsafe, survey.left_out, data.digest)


def _held_out(rows: Sequence[Row], settings: Settings) -> tuple[list[Row], list[Row]]:
    """Return the rows to learn from and those to be measured on, the same share of each label.

    Near duplicates are held out together or not at all, so that none has to be dropped.
    """
    groups = alike(map(_words, rows))
    random.Random(settings.seed).shuffle(groups)
    left = {
        kind: round(sum(row.unsafe is kind for row in rows) * settings.hold_out)
        for kind in (False, True)
    }
    held: set[int] = set()
    for group in groups:
        kinds = Counter(rows[place].unsafe for place in group)
        if all(kinds[kind] <= left[kind] for kind in kinds):
            held.update(group)
            left = {kind: left[kind] - kinds[kind] for kind in left}
    if not held:
        raise ConfigError(
            f"{len(rows)} rows, {len(groups)} without near duplicates, are too few to hold out "
            f"{settings.hold_out:g} of them; name an evaluation set"
        )
    learned = [row for place, row in enumerate(rows) if place not in held]
    return learned, [row for place, row in enumerate(rows) if place in held]


def _apart(
    rows: Sequence[Row], sets: Mapping[str, Sequence[Row]], policy: Duplicates
) -> tuple[list[Row], dict[str, int]]:
    """Return the rows that stand in no set, and how many did, by the set's name."""
    others = [(name, row) for name, one in sets.items() for row in one]
    found = near_duplicates(map(_words, rows), [_words(row) for _, row in others])
    if found and policy is Duplicates.REFUSE:
        place, other = next(iter(found.items()))
        name, twin = others[other]
        raise ConfigError(
            f"{len(found)} training rows nearly stand in an evaluation set, the first: "
            f"{rows[place].place}, {twin.place} of {name}; take them out, or have them dropped"
        )
    dropped = Counter(others[other][0] for other in found.values())
    return [row for place, row in enumerate(rows) if place not in found], dict(dropped)


def _words(row: Row) -> str:
    return f"{row.asked}\n{row.text}"


def _require_both(rows: Iterable[Row], dropped: int) -> None:
    unsafe = {row.unsafe for row in rows}
    if len(unsafe) < 2:
        kind = "safe" if unsafe == {True} else "unsafe"
        why = f": {dropped} nearly stand in an evaluation set and were left out" if dropped else ""
        raise ConfigError(f"there is no {kind} row to learn from, and both kinds are needed{why}")
