"""Two candidates on the same rows: how far apart they are, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from guardrail.evaluation.bootstrap import Cells, levelled, resampled, weighted
from guardrail.evaluation.figures import Figure
from guardrail.evaluation.measures import Judgement, measure
from guardrail.evaluation.table import Bools, Decided, Floats, Table

__all__ = ["COMPARED", "Difference", "compare"]

COMPARED = ("accuracy", "f1", "precision", "recall", "false_alarms", "auroc", "average_precision")
_LEVELS = 128  # of each score: pairs of them are what the resamples draw


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better another candidate is than the first, on rows that both judged.

    Args:
        first, other: their names.
        data: name of the data set; empty for all together.
        rows: how many.
        figures: other minus first; the interval is of the paired difference.
        only_first, only_other: rows that only one of them got right.
    """

    first: str
    other: str
    data: str
    rows: int
    figures: Mapping[str, Figure]
    only_first: int
    only_other: int


def compare(
    table: Table,
    first: tuple[str, Decided],
    other: tuple[str, Decided],
    *,
    data: str = "",
    chosen: Bools | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Difference:
    """Return how two candidates differ; see `Difference`."""
    here = first[1].judged & other[1].judged
    here = here if chosen is None else here & chosen
    pair = [_of(table, decided, here) for _, decided in (first, other)]
    spread = _spread(pair[0], pair[1], resamples, seed) if here.any() and resamples else {}
    right = [rows.found == rows.unsafe for rows in pair]
    return Difference(
        first[0],
        other[0],
        data,
        int(here.sum()),
        _figures(pair, spread),
        int((right[0] & ~right[1]).sum()),
        int((right[1] & ~right[0]).sum()),
    )


def _of(table: Table, decided: Decided, here: Bools) -> Judgement:
    asked = np.full(int(here.sum()), -1, np.int8)
    return Judgement(table.unsafe[here], decided.found[here], decided.score[here], asked)


def _figures(pair: list[Judgement], spread: Mapping[str, Floats]) -> dict[str, Figure]:
    before, after = (measure(rows, resamples=0) for rows in pair)
    figures = {}
    for name in COMPARED:
        one, two = before.get(name), after.get(name)
        if one is not None and two is not None:
            value = two.value - one.value
            figures[name] = Figure(value, *_interval(value, spread.get(name)))
    return figures


def _interval(value: float, drawn: Floats | None) -> tuple[float, float]:
    known = drawn[~np.isnan(drawn)] if drawn is not None else np.empty(0)
    if not len(known):
        return value, value
    low, high = np.percentile(known, [2.5, 97.5])
    return min(float(low), value), max(float(high), value)


def _spread(one: Judgement, two: Judgement, resamples: int, seed: int) -> dict[str, Floats]:
    """Return what the difference is in each resample of the pairs."""
    kinds = np.column_stack(
        [
            one.unsafe,
            one.found,
            levelled(one.score, _LEVELS),
            two.found,
            levelled(two.score, _LEVELS),
        ]
    ).astype(float)
    kinds, counts = np.unique(kinds, axis=0, return_counts=True)
    cells = [_cells(kinds[:, 0], kinds[:, at], kinds[:, at + 1], counts) for at in (1, 3)]
    drawn = []
    for weights in resampled(counts, resamples, seed):
        before, after = (weighted(each, weights[:, order]) for each, order in cells)
        drawn.append({name: after[name] - before[name] for name in COMPARED})
    return {name: np.concatenate([one[name] for one in drawn]) for name in COMPARED}


def _cells(
    unsafe: Floats, found: Floats, score: Floats, counts: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> tuple[Cells, np.ndarray[tuple[int], np.dtype[np.intp]]]:
    """Return the cells as one candidate sees them, ordered by its score, and that order."""
    order = np.argsort(score, kind="stable")
    nothing = np.full(len(order), -1, np.int8)
    return Cells(unsafe[order] > 0, found[order] > 0, score[order], nothing, counts[order]), order
