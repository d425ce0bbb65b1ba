"""Figures over scores: AUROC and calibration error."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["auroc", "calibration_error"]

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]


def auroc(scores: Floats, unsafe: Labels) -> float:
    """Return the chance that an unsafe turn scores above a safe one; NaN without both."""
    positive = int(unsafe.sum())
    negative = len(unsafe) - positive
    if not positive or not negative:
        return float("nan")
    values, place = np.unique(scores, return_inverse=True)
    counts = np.bincount(place, minlength=len(values))
    ranks = np.cumsum(counts) - (counts - 1) / 2
    total = float(ranks[place][unsafe].sum())
    return (total - positive * (positive + 1) / 2) / (positive * negative)


def calibration_error(scores: Floats, unsafe: Labels, weights: Floats, bins: int = 10) -> float:
    """Return how far probabilities are from frequencies, on weighted average over equal bins."""
    place = np.minimum((scores * bins).astype(int), bins - 1)
    gaps = np.bincount(place, weights * (scores - unsafe), bins)
    return float(np.abs(gaps).sum() / weights.sum())
