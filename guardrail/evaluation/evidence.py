"""What speaks for thresholds: what they do on the rows they were chosen on, and on others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from guardrail.errors import needing
from guardrail.evaluation.figures import Figure
from guardrail.evaluation.measures import proportion
from guardrail.evaluation.rows import Row
from guardrail.evaluation.rule import Scores, choose
from guardrail.evaluation.table import Bools, Codes
from guardrail.evaluation.targets import Goal, Target
from guardrail.evaluation.usual import folded
from guardrail.types import Category

with needing("eval"):
    from sklearn.model_selection import StratifiedKFold

__all__ = ["Evidence", "evidence", "held_out", "is_better", "is_first", "texts_of"]

_FOLDS = 5


@dataclass(frozen=True, slots=True)
class Evidence:
    """What thresholds do.

    Args:
        recall, false_alarms, precision: with their intervals.
    """

    recall: Figure | None
    false_alarms: Figure | None
    precision: Figure | None


def evidence(unsafe: Bools, found: Bools) -> Evidence:
    """Return what was found of which rows."""
    return Evidence(
        proportion(found[unsafe]), proportion(found[~unsafe]), proportion(unsafe[found])
    )


def texts_of(rows: Iterable[Row]) -> Codes:
    """Return a number for each row; rows that say the same, case and spaces aside, share one."""
    said = (tuple(folded(turn.content) for turn in row.conversation) for row in rows)
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(hash(one), len(numbers)) for one in said], np.int32)


def is_first(texts: Codes) -> Bools:
    """Return which rows say what no earlier one says: repeats make nothing surer."""
    first = np.zeros(len(texts), bool)
    first[np.unique(texts, return_index=True)[1]] = True
    return first


def held_out(
    rows: Scores, texts: Codes, target: Target, owned: tuple[Category, ...], seed: int
) -> Evidence | None:
    """Return what thresholds do on rows that they were not chosen on, nor on repeats of.

    Args:
        rows: each fifth of them is judged by thresholds chosen on the other four.
        texts: (N,) equal where rows say the same.
        target: to reach.
        owned: the categories that get a threshold of their own.
        seed: of the division.
    """
    fold = _folds(rows.unsafe, texts, seed)
    found = np.zeros(len(fold), bool)
    for number in range(_FOLDS):
        held = fold == number
        rule = choose(rows.part(~held), target, owned) if held.any() else None
        if rule is None:
            return None
        found[held] = rule.found(rows.part(held))
    return evidence(rows.unsafe, found)


def _folds(unsafe: Bools, texts: Codes, seed: int) -> Codes:
    """Return each row's fold; all rows are in the first where there are too few to divide."""
    _, first, place = np.unique(texts, return_index=True, return_inverse=True)
    kinds = unsafe[first]
    fold = np.zeros(len(first), np.int32)
    if min(kinds.sum(), (~kinds).sum()) >= _FOLDS:
        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
        for number, (_, held) in enumerate(folds.split(first, kinds)):
            fold[held] = number
    return fold[place]


def is_better(one: Evidence | None, other: Evidence | None, target: Target) -> bool:
    """Whether thresholds chosen in one way do at least as well as those chosen in the other.

    What comes nearer to the target is better, and of two that reach it what finds more, or for a
    target of recall what blocks less.
    """
    if one is None or other is None:
        return one is not None
    return _merit(one, target) >= _merit(other, target)


def _merit(one: Evidence, target: Target) -> tuple[float, float]:
    figures = {
        Goal.FALSE_ALARMS: one.false_alarms,
        Goal.RECALL: one.recall,
        Goal.PRECISION: one.precision,
    }
    missing = target.missing(_value(figures[target.goal]))
    if target.goal is Goal.RECALL:
        return -missing, -_value(one.false_alarms)
    return -missing, _value(one.recall)


def _value(figure: Figure | None) -> float:
    return 0.0 if figure is None else figure.value
