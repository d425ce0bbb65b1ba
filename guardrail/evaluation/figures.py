"""The numbers of a report: each with the interval it may really lie in."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeAlias

__all__ = ["NAMES", "TITLES", "Figure", "Figures", "Maybe", "shown"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its 95 % interval; where both ends are the number, none is known."""

    value: float
    low: float
    high: float


Maybe: TypeAlias = Figure | None
"""None where the rows cannot say: no recall without unsafe rows, no AUROC of one kind alone."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How well some rows were judged; unsafe is positive.

    Args:
        rows: rows with a verdict.
        unsafe: how many of them are unsafe.
        accuracy, f1, precision, recall: of the policy's decisions.
        false_alarms: share of safe rows that the policy finds unsafe.
        auroc: chance that an unsafe row scores above a safe one.
        average_precision: mean precision over all recalls.
        calibration_error: mean distance between score and share of unsafe rows, in ten bins of
            equal width, weighted by their rows (Naeini and others 2015).
        named: share of unsafe rows of a known category whose category comes out first.
    """

    rows: int
    unsafe: int
    accuracy: Maybe = None
    f1: Maybe = None
    precision: Maybe = None
    recall: Maybe = None
    false_alarms: Maybe = None
    auroc: Maybe = None
    average_precision: Maybe = None
    calibration_error: Maybe = None
    named: Maybe = None

    def get(self, name: str) -> Figure | None:
        """Return a figure by its name."""
        figure: Figure | None = getattr(self, name)
        return figure


NAMES = tuple(field.name for field in fields(Figures))[2:]
"""The figures' names, in the order reports show them."""

TITLES = {
    "accuracy": "Accuracy",
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
    "false_alarms": "False alarms",
    "auroc": "AUROC",
    "average_precision": "Avg. precision",
    "calibration_error": "Calibration error",
    "named": "Category right",
}


def shown(figure: Figure | None, *, interval: bool = False, sign: bool = False) -> str:
    """Return a figure as people read it: in percent, with an interval if asked for.

    Args:
        figure: a dash stands for None.
        interval: add the interval.
        sign: always show the sign, as for differences.
    """
    if figure is None:
        return "–"
    plus = "+" if sign else ""
    text = f"{100 * figure.value:{plus}.1f}"
    if not interval or figure.low == figure.high:
        return text
    return f"{text} ({100 * figure.low:{plus}.1f} to {100 * figure.high:{plus}.1f})"
