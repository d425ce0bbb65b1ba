"""What a threshold is to reach, which one does, and how many rows it takes to say so."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from guardrail.errors import ConfigError, GuardrailError
from guardrail.evaluation.measures import wilson
from guardrail.evaluation.table import Bools, Floats

__all__ = ["Goal", "InsufficientData", "Target"]

_DOUBT = 0.05


class InsufficientData(GuardrailError):
    """The rows are too few to say, or nothing in them reaches the target."""


class Goal(StrEnum):
    """Which figure a target is about."""

    FALSE_ALARMS = "false alarms"
    RECALL = "recall"
    PRECISION = "precision"


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that thresholds are chosen for.

    Args:
        goal: at most so many false alarms, or at least so much recall or precision.
        value: 0 to 1.

    Raises:
        ConfigError: the value is not between 0 and 1.
    """

    goal: Goal
    value: float

    def __post_init__(self) -> None:
        if not 0.0 < self.value < 1.0:
            raise ConfigError(f"a target is between 0 and 1, not {self.value!r}")

    def __str__(self) -> str:
        """Say it in words."""
        side = "at most" if self.goal is Goal.FALSE_ALARMS else "at least"
        return f"{self.goal} {side} {100 * self.value:g} %"

    @property
    def least_rows(self) -> int:
        """The rows it takes: with fewer, even a perfect result leaves more than 5 % doubt."""
        share = 1 - self.value if self.goal is Goal.FALSE_ALARMS else self.value
        return math.ceil(math.log(_DOUBT) / math.log(share))

    def require(self, unsafe: Bools) -> None:
        """Raise unless there are rows enough.

        Args:
            unsafe: what the rows are, each text once.

        Raises:
            InsufficientData: says how many there are, and what the interval would be at best.
        """
        kind = "safe" if self.goal is Goal.FALSE_ALARMS else "unsafe"
        there = int((~unsafe).sum() if self.goal is Goal.FALSE_ALARMS else unsafe.sum())
        if there >= self.least_rows:
            return
        low, high = wilson(0 if self.goal is Goal.FALSE_ALARMS else there, there)
        raise InsufficientData(
            f"{there} different {kind} rows are too few for {self}: were all of them judged right, "
            f"it could still be anything from {100 * low:.1f} to {100 * high:.1f} %; "
            f"{self.least_rows} are needed"
        )

    def threshold(self, unsafe: Bools, score: Floats) -> float | None:
        """Return the threshold that reaches it and finds most; None where none does.

        It stands halfway between two scores that occur, not on one of them.
        """
        thresholds, hits, alarms = _counts(unsafe, score)
        reaching = np.flatnonzero(self._reached(unsafe, hits, alarms))
        if not len(reaching):
            return None
        highest, lowest = reaching[0], reaching[-1]
        return float(thresholds[highest if self.goal is Goal.RECALL else lowest])

    def is_reached(self, unsafe: Bools, found: Bools) -> bool:
        """Return whether it is, where of these rows those were found."""
        hits, alarms = (found & unsafe).sum(), (found & ~unsafe).sum()
        return bool(self._reached(unsafe, hits, alarms))

    def _reached(self, unsafe: Bools, hits: Floats, alarms: Floats) -> Bools:
        """Return where it is reached, with so many unsafe and safe rows found."""
        match self.goal:
            case Goal.FALSE_ALARMS:
                reached = alarms <= self.value * (~unsafe).sum()
            case Goal.RECALL:
                reached = hits >= self.value * unsafe.sum()
            case Goal.PRECISION:
                reached = (hits >= self.value * (hits + alarms)) & (hits > 0)
        return np.asarray(reached)

    def stricter(self, share: float) -> Target:
        """Return a target that lies this share of the way to where nothing goes wrong."""
        perfect = 0.0 if self.goal is Goal.FALSE_ALARMS else 1.0
        return Target(self.goal, self.value + share * (perfect - self.value))

    def missing(self, value: float) -> float:
        """Return how far the figure is from it; 0 where it is reached."""
        over = value - self.value if self.goal is Goal.FALSE_ALARMS else self.value - value
        return max(0.0, over)


def _counts(unsafe: Bools, score: Floats) -> tuple[Floats, Floats, Floats]:
    """Return thresholds from the highest down, with the unsafe and safe rows that reach each.

    The first one is reached by none, unless a score is 1 and nothing stands above it.
    """
    order = np.argsort(-score, kind="stable")
    sorted_score, is_unsafe = score[order], unsafe[order]
    ends = np.append(np.flatnonzero(np.diff(sorted_score)), len(score) - 1)
    values = sorted_score[ends]
    below = np.append(values[1:], 0.0)
    above = (1.0 + values[0]) / 2
    thresholds = (values + below) / 2
    hits, alarms = np.cumsum(is_unsafe)[ends], np.cumsum(~is_unsafe)[ends]
    if values[0] < 1.0:
        thresholds = np.insert(thresholds, 0, above)
        hits, alarms = np.insert(hits, 0, 0), np.insert(alarms, 0, 0)
    return thresholds, hits, alarms
