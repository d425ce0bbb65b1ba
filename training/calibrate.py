"""Make scores probabilities, and choose the score from which a turn is unsafe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from guardrail.classifiers.base import Classifier
from training.evaluate import DECLINED, MIXED, ORDINARY, Sets, scores

__all__ = ["RAW", "Calibration", "calibrated"]

Floats = npt.NDArray[np.float64]

ALARMS = 0.01
"""Share of everyday turns that may be flagged."""

ON_DECLINED = 0.04
"""Share of refusals and careful answers that may be flagged."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Probability = sigmoid(slope * logit + shift), and unsafe is what reaches the threshold."""

    slope: float
    shift: float
    threshold: float


RAW = Calibration(1.0, 0.0, 0.5)
"""No calibration."""


def calibrated(classifier: Classifier, sets: Sets) -> Calibration:
    """Return the calibration of a classifier that has none, from every other turn of a mix."""
    found = {name: scores(classifier, turns) for name, turns in sets.items()}
    half = {name: slice(0, None, 2) for name in MIXED}
    logit = np.concatenate([_logit(found[name][half[name]]) for name in MIXED])
    unsafe = np.array([turn.unsafe for name in MIXED for turn in sets[name][half[name]]])
    weight = np.concatenate([_even(found[name][half[name]]) for name in MIXED])
    slope, shift = _platt(logit, unsafe, weight)
    declined = np.concatenate([found[name] for name in DECLINED])
    level = _threshold([found[name] for name in ORDINARY], declined)
    chance = 1 / (1 + np.exp(-(slope * _logit(np.array([level])) + shift)))
    return Calibration(slope, shift, float(chance[0]))


def _logit(score: Floats) -> Floats:
    clipped = np.clip(score, 1e-9, 1 - 1e-9)
    logit: Floats = np.log(clipped / (1 - clipped))
    return logit


def _even(score: Floats) -> Floats:
    return np.full(len(score), 1 / len(score))


def _platt(logit: Floats, unsafe: npt.NDArray[np.bool_], weight: Floats) -> tuple[float, float]:
    """Return slope and shift of the least weighted log loss."""
    fitted = LogisticRegression(C=np.inf).fit(logit[:, None], unsafe, sample_weight=weight)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def _threshold(everyday: Sequence[Floats], declined: Floats) -> float:
    """Return the lowest score that keeps both shares; each everyday set counts alike."""
    values = np.concatenate(everyday)
    weight = np.concatenate([_even(part) / len(everyday) for part in everyday])
    order = np.argsort(-values)
    flagged = np.cumsum(weight[order])
    first_kept = int(np.searchsorted(flagged, ALARMS, side="right"))
    highest = max(values[order][first_kept], np.quantile(declined, 1 - ON_DECLINED))
    return float(np.nextafter(highest, 1))
