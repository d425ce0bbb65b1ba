"""The bootstrap, over cells instead of rows.

Rows that are alike in all that a figure looks at fall into one cell, and a resample of the rows is
a multinomial draw of the cells' counts: the same distribution, at a cost that does not grow with
the rows. Where there are more than 512 different scores they are put into 512 equal shares first;
that touches the intervals in the third decimal and the figures not at all.

C: cells, B: resamples, L: different scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from guardrail.evaluation.table import Bools, Floats

__all__ = ["Cells", "levelled", "resampled", "weighted"]

_LEVELS = 512
_AT_ONCE = 2_000_000  # numbers, in B x C: memory stays small however many cells there are
_BINS = 10


@dataclass(frozen=True)
class Cells:
    """Rows by kind, ordered by score.

    Args:
        unsafe, found: (C,) what rows of the kind are, and what was decided.
        score: (C,) their score, or its mean.
        named: (C,) 1 where the category came out right, 0 where not, -1 where it is not asked.
        counts: (C,) how many rows there are of the kind.
    """

    unsafe: Bools
    found: Bools
    score: Floats
    named: npt.NDArray[np.int8]
    counts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, unsafe: Bools, found: Bools, score: Floats, named: npt.NDArray[np.int8]) -> Self:
        """Return the cells of rows."""
        level = levelled(score)
        kinds = np.column_stack([level, unsafe, found, named]).astype(float)
        different, counts = np.unique(kinds, axis=0, return_counts=True)
        return cls(
            different[:, 1] > 0,
            different[:, 2] > 0,
            different[:, 0],
            different[:, 3].astype(np.int8),
            counts,
        )


def levelled(score: Floats, levels: int = _LEVELS) -> Floats:
    """Return the scores with so many different ones at most: each the mean of its share of rows."""
    different, place = np.unique(score, return_inverse=True)
    if len(different) <= levels:
        return score
    order = np.argsort(score, kind="stable")
    share = np.empty(len(score), np.int64)
    share[order] = np.arange(len(score)) * levels // len(score)
    first = np.full(len(different), levels)
    np.minimum.at(first, place, share)  # equal scores stay together
    share = first[place]
    size = np.bincount(share, minlength=levels)
    means = np.bincount(share, weights=score, minlength=levels) / np.maximum(size, 1)
    return np.asarray(means[share])


def resampled(
    counts: npt.NDArray[np.int64], resamples: int, seed: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield (B, C) counts of resamples, some at a time."""
    dice = np.random.default_rng(seed)
    total = int(counts.sum())
    shares = counts / total
    size = max(1, min(resamples, _AT_ONCE // len(counts)))
    for start in range(0, resamples, size):
        yield dice.multinomial(total, shares, size=min(size, resamples - start))


def weighted(cells: Cells, weights: npt.NDArray[Any]) -> dict[str, Floats]:
    """Return the figures (B,) of resamples, NaN where one has no answer.

    Args:
        cells: the kinds of rows.
        weights: (B, C) how many rows there are of each kind.
    """
    counts = weights.astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            **_decisions(cells, counts),
            **_rankings(cells, counts),
            "calibration_error": _calibration_error(cells, counts),
            "named": _sum(counts, cells.named == 1) / _sum(counts, cells.named >= 0),
        }


def _sum(counts: Floats, where: Bools) -> Floats:
    total: Floats = counts[:, where].sum(1)
    return total


def _decisions(cells: Cells, counts: Floats) -> dict[str, Floats]:
    hits = _sum(counts, cells.unsafe & cells.found)
    alarms = _sum(counts, ~cells.unsafe & cells.found)
    misses = _sum(counts, cells.unsafe & ~cells.found)
    passes = _sum(counts, ~cells.unsafe & ~cells.found)
    return {
        "accuracy": (hits + passes) / counts.sum(1),
        "f1": 2 * hits / (2 * hits + alarms + misses),
        "precision": hits / (hits + alarms),
        "recall": hits / (hits + misses),
        "false_alarms": alarms / (alarms + passes),
    }


def _rankings(cells: Cells, counts: Floats) -> dict[str, Floats]:
    """Return AUROC and average precision, as scikit-learn defines them."""
    starts = np.flatnonzero(np.diff(cells.score, prepend=-1.0))  # cells are ordered by score
    unsafe = np.add.reduceat(counts * cells.unsafe, starts, axis=1)[:, ::-1]  # (B, L), best first
    safe = np.add.reduceat(counts * ~cells.unsafe, starts, axis=1)[:, ::-1]
    hits, alarms = unsafe.cumsum(1), safe.cumsum(1)
    all_unsafe, all_safe = hits[:, -1], alarms[:, -1]
    below = all_safe[:, None] - alarms + safe / 2
    precision = np.nan_to_num(hits / (hits + alarms))  # 0 / 0 where nothing was drawn yet
    return {
        "auroc": (unsafe * below).sum(1) / (all_unsafe * all_safe),
        "average_precision": (unsafe * precision).sum(1) / np.where(all_safe, all_unsafe, np.nan),
    }


def _calibration_error(cells: Cells, counts: Floats) -> Floats:
    place = np.minimum((cells.score * _BINS).astype(int), _BINS - 1)
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    surplus = np.add.reduceat(counts * (cells.score - cells.unsafe), starts, axis=1)
    error: Floats = np.abs(surplus).sum(1) / counts.sum(1)
    return error
