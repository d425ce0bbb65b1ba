"""Make scores probabilities, and choose the score from which a turn is unsafe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Platt", "threshold"]


Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Platt:
    """Probability = sigmoid(slope * logit + shift)."""

    slope: float
    shift: float

    @classmethod
    def fitted(cls, logits: Floats, unsafe: npt.NDArray[np.bool_], weights: Floats) -> Platt:
        """Return the slope and shift of the least weighted log loss, by Newton's method."""
        features = np.stack([logits, np.ones_like(logits)], axis=1)
        solution = np.array([1.0, 0.0])
        for _ in range(50):
            chance = 1 / (1 + np.exp(-features @ solution))
            gradient = features.T @ (weights * (chance - unsafe))
            curve = (features * (weights * chance * (1 - chance))[:, None]).T @ features
            solution -= np.linalg.solve(curve + 1e-6 * np.eye(2), gradient)
        return cls(float(solution[0]), float(solution[1]))


def threshold(everyday: Sequence[Floats], declined: Floats, *, alarms: float = 0.01, on_declined: float = 0.05) -> float:
    """Return the lowest score that keeps both promises.

    Args:
        everyday: scores of everyday turns, by set; each set counts alike.
        declined: scores of refusals and careful answers.
        alarms: share of everyday turns that may be flagged.
        on_declined: share of refusals and careful answers that may be flagged.
    """
    values = np.concatenate(everyday)
    weights = np.concatenate([np.full(len(part), 1 / len(part) / len(everyday)) for part in everyday])
    order = np.argsort(-values)
    flagged = np.cumsum(weights[order])
    worst_allowed = int(np.searchsorted(flagged, alarms, side="right"))
    from_everyday = float(values[order][min(worst_allowed, len(values) - 1)])
    return float(np.nextafter(max(from_everyday, float(np.quantile(declined, 1 - on_declined))), 1))
