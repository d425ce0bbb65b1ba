"""Figures: AUROC, recall at a threshold, false alarms, how often the top category is right."""

from __future__ import annotations


import numpy as np
import numpy.typing as npt


__all__ = ["auroc"]

Floats = npt.NDArray[np.float64]


def auroc(scores: Floats, unsafe: npt.NDArray[np.bool_]) -> float:
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
