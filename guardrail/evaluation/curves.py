"""What the plots show: a few hundred points each, however many rows there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from guardrail.errors import needing
from guardrail.evaluation.measures import Judgement
from guardrail.evaluation.table import CATEGORIES, Decided, Floats, Table

with needing("eval"):
    from sklearn import metrics

__all__ = ["Confusion", "Curves", "Numbers", "confusion", "curves"]

_POINTS = 300
_BINS = 10
_BARS = 40
_SWEEP = 201
_ALARMS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1)

Numbers = Sequence[float]


@dataclass(frozen=True, slots=True)
class Curves:
    """Curves of one candidate, by score.

    Args:
        recall, precision: of the precision-recall curve.
        alarms, hits: false alarms and recall, of the ROC curve.
        edges, safe_bars, unsafe_bars: the histogram of scores.
        thresholds, swept_recall, swept_precision, swept_alarms: what each threshold would give.
        means, shares, sizes: of the calibration plot: mean score, share of unsafe rows, rows.
        at_alarms: the recall that can be had at some shares of false alarms, as (false alarms
            allowed, threshold, recall).
    """

    recall: Numbers
    precision: Numbers
    alarms: Numbers
    hits: Numbers
    edges: Numbers
    safe_bars: Numbers
    unsafe_bars: Numbers
    thresholds: Numbers
    swept_recall: Numbers
    swept_precision: Numbers
    swept_alarms: Numbers
    means: Numbers
    shares: Numbers
    sizes: Numbers
    at_alarms: Sequence[tuple[float, float, float]]


def curves(rows: Judgement) -> Curves | None:
    """Return the curves of some rows; None unless they are of both kinds."""
    unsafe, score = rows.unsafe, rows.score
    if not 0 < unsafe.sum() < len(unsafe):
        return None
    precision, recall, _ = metrics.precision_recall_curve(unsafe, score)
    alarms, hits, thresholds = metrics.roc_curve(unsafe, score, drop_intermediate=False)
    edges = np.linspace(0, 1, _BARS + 1)
    return Curves(
        *_thinned(recall, precision),
        *_thinned(alarms, hits),
        edges.tolist(),
        np.histogram(score[~unsafe], edges)[0].tolist(),
        np.histogram(score[unsafe], edges)[0].tolist(),
        *_sweep(rows),
        *_calibration(rows),
        _at_alarms(alarms, hits, thresholds),
    )


def _thinned(x: Floats, y: Floats) -> tuple[Numbers, Numbers]:
    """Return a curve with a few hundred points, evenly spread along it."""
    length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    wanted = np.linspace(0, length[-1], _POINTS)
    chosen = np.unique(np.clip(np.searchsorted(length, wanted), 0, len(x) - 1))
    return np.round(x[chosen], 5).tolist(), np.round(y[chosen], 5).tolist()


def _sweep(rows: Judgement) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    thresholds = np.linspace(0, 1, _SWEEP)
    hits, alarms = (
        len(scores) - np.searchsorted(np.sort(scores), thresholds)  # at the threshold counts
        for scores in (rows.score[rows.unsafe], rows.score[~rows.unsafe])
    )
    found = hits + alarms
    precision = np.divide(hits, found, out=np.ones(_SWEEP), where=found > 0)
    recall = hits / rows.unsafe.sum()
    false_alarms = alarms / (~rows.unsafe).sum()
    rounded = (np.round(one, 5).tolist() for one in (thresholds, recall, precision, false_alarms))
    return tuple(rounded)


def _calibration(rows: Judgement) -> tuple[Numbers, Numbers, Numbers]:
    place = np.minimum((rows.score * _BINS).astype(int), _BINS - 1)
    sizes = np.bincount(place, minlength=_BINS)
    filled = sizes > 0
    means = np.bincount(place, weights=rows.score, minlength=_BINS)[filled] / sizes[filled]
    shares = np.bincount(place, weights=rows.unsafe, minlength=_BINS)[filled] / sizes[filled]
    return np.round(means, 5).tolist(), np.round(shares, 5).tolist(), sizes[filled].tolist()


def _at_alarms(
    alarms: Floats, hits: Floats, thresholds: Floats
) -> Sequence[tuple[float, float, float]]:
    found = []
    for allowed in _ALARMS:
        place = int(np.searchsorted(alarms, allowed, side="right")) - 1
        threshold = min(1.0, float(thresholds[place]))
        found.append((allowed, threshold, float(hits[place])))
    return found


@dataclass(frozen=True, slots=True)
class Confusion:
    """How rows of each category were judged.

    Args:
        true: the rows' names: the categories, and "safe".
        judged: the columns' names: "passed", the categories, and "unnamed" for what was found
            unsafe in none of them.
        counts: rows of each true kind (a line each) that were judged so.
    """

    true: Sequence[str]
    judged: Sequence[str]
    counts: Sequence[Sequence[int]]


def confusion(table: Table, decided: Decided) -> Confusion | None:
    """Return how rows of each category were judged; None where no category is known."""
    here = decided.judged & ((table.category >= 0) | ~table.unsafe)
    if not (table.unsafe & (table.category >= 0) & here).any():
        return None
    known = len(CATEGORIES)
    true = np.where(table.unsafe, table.category, known)[here]
    named = np.where(decided.category >= 0, decided.category + 1, known + 1)
    judged = np.where(decided.found, named, 0)[here]
    counts = np.bincount(true * (known + 2) + judged, minlength=(known + 1) * (known + 2))
    return Confusion(
        (*CATEGORIES, "safe"),
        ("passed", *CATEGORIES, "unnamed"),
        counts.reshape(known + 1, known + 2).tolist(),
    )
