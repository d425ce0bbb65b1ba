"""Figures from labels, decisions and scores: scikit-learn's, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from guardrail.errors import needing
from guardrail.evaluation.bootstrap import Cells, resampled, weighted
from guardrail.evaluation.figures import NAMES, Figure, Figures
from guardrail.evaluation.table import Bools, Decided, Floats, Table

with needing("eval"):
    from sklearn import metrics

__all__ = ["Judgement", "calibration_error", "judgement", "measure", "proportion", "wilson"]

_PROPORTIONS = ("accuracy", "precision", "recall", "false_alarms", "named")


@dataclass(frozen=True)
class Judgement:
    """Rows that have a verdict, and what it was.

    Args:
        unsafe: (N,) what the rows are.
        found: (N,) what was decided.
        score: (N,) probability of unsafe.
        named: (N,) 1 where the category came out right, 0 where not, -1 where it is not asked.
    """

    unsafe: Bools
    found: Bools
    score: Floats
    named: np.ndarray[tuple[int], np.dtype[np.int8]]


def judgement(table: Table, decided: Decided, chosen: Bools | None = None) -> Judgement:
    """Return the rows with a verdict, of those chosen."""
    here = decided.judged if chosen is None else decided.judged & chosen
    asked = table.unsafe & (table.category >= 0) & (decided.category >= 0)
    named = np.where(asked, table.category == decided.category, -1).astype(np.int8)
    return Judgement(table.unsafe[here], decided.found[here], decided.score[here], named[here])


def measure(rows: Judgement, *, resamples: int = 1000, seed: int = 0) -> Figures:
    """Return the figures of some rows.

    Args:
        rows: what was judged.
        resamples: of the bootstrap, for the intervals; none gives each figure alone.
        seed: of the bootstrap.
    """
    values = _values(rows)
    spread = _spread(rows, resamples, seed) if resamples and len(rows.unsafe) else {}
    figures = {
        name: Figure(value, *_interval(name, value, spread, rows))
        for name, value in values.items()
        if not np.isnan(value)
    }
    return Figures(len(rows.unsafe), int(rows.unsafe.sum()), **figures)


def _values(rows: Judgement) -> dict[str, float]:
    """Return the figures by scikit-learn; NaN where rows of one kind alone would say nothing."""
    unsafe, found, score = rows.unsafe, rows.found, rows.score
    if not len(unsafe):
        return {}
    both = 0 < unsafe.sum() < len(unsafe)
    nan = float("nan")
    true, predicted = unsafe.astype(int), found.astype(int)
    asked = rows.named >= 0
    return {
        "accuracy": float(metrics.accuracy_score(true, predicted)),
        "f1": float(metrics.f1_score(true, predicted, zero_division=nan)) if both else nan,
        "precision": float(metrics.precision_score(true, predicted, zero_division=nan))
        if both
        else nan,
        "recall": float(metrics.recall_score(true, predicted, zero_division=nan)),
        "false_alarms": float(found[~unsafe].mean()) if not unsafe.all() else nan,
        "auroc": float(metrics.roc_auc_score(true, score)) if both else nan,
        "average_precision": float(metrics.average_precision_score(true, score)) if both else nan,
        "calibration_error": calibration_error(unsafe, score) if both else nan,
        "named": float(rows.named[asked].mean()) if asked.any() else nan,
    }


def calibration_error(unsafe: Bools, score: Floats, bins: int = 10) -> float:
    """Return the expected calibration error, in bins of equal width."""
    place = np.minimum((score * bins).astype(int), bins - 1)
    surplus = np.bincount(place, weights=score - unsafe, minlength=bins)
    return float(np.abs(surplus).sum() / len(score))


def _spread(rows: Judgement, resamples: int, seed: int) -> Mapping[str, Floats]:
    cells = Cells.of(rows.unsafe, rows.found, rows.score, rows.named)
    drawn = [weighted(cells, weights) for weights in resampled(cells.counts, resamples, seed)]
    return {name: np.concatenate([one[name] for one in drawn]) for name in NAMES}


def _interval(
    name: str, value: float, spread: Mapping[str, Floats], rows: Judgement
) -> tuple[float, float]:
    """Return the bootstrap's interval; Wilson's where all resamples are alike.

    A bootstrap of rows that are all right can only say that all are right.
    """
    if name not in spread:
        return value, value
    if name in _PROPORTIONS and value in (0.0, 1.0):
        return wilson(round(value * _of(name, rows)), _of(name, rows))
    known = spread[name][~np.isnan(spread[name])]
    if not len(known):
        return value, value
    low, high = np.percentile(known, [2.5, 97.5])
    return min(float(low), value), max(float(high), value)


def _of(name: str, rows: Judgement) -> int:
    """Return how many rows a proportion is taken of."""
    counts = {
        "accuracy": len(rows.unsafe),
        "precision": int(rows.found.sum()),
        "recall": int(rows.unsafe.sum()),
        "false_alarms": int((~rows.unsafe).sum()),
        "named": int((rows.named >= 0).sum()),
    }
    return counts[name]


def proportion(flags: Bools, *, resamples: int = 1000, seed: int = 0) -> Figure | None:
    """Return the share of flags that are set, with its bootstrap interval; None of no flags.

    As in `measure`, the interval is Wilson's where all flags are alike.
    """
    count, of = int(flags.sum()), len(flags)
    if not of:
        return None
    if count in (0, of) or not resamples:
        return Figure(count / of, *wilson(count, of))
    drawn = np.random.default_rng(seed).binomial(of, count / of, resamples) / of
    low, high = np.percentile(drawn, [2.5, 97.5])
    value = count / of
    return Figure(value, min(float(low), value), max(float(high), value))


def wilson(count: int, of: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the 95 % interval of a proportion (Wilson 1927)."""
    if not of:
        return 0.0, 1.0
    share = count / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * np.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    low, high = float(middle - half), float(middle + half)
    return min(max(0.0, low), share), max(min(1.0, high), share)  # rounding leaves the share inside
