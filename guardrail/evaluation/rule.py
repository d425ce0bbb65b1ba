"""A policy's thresholds over columns of scores: the same decisions as `Policy.finds_unsafe`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from guardrail.evaluation.table import CATEGORIES, Bools, Floats
from guardrail.evaluation.targets import Target
from guardrail.policy import PRESENT, CategoryPolicy, Policy
from guardrail.types import Category

__all__ = ["Rule", "Scores", "choose"]

_CLOSE = 2.0**-12  # how exactly it is found how much stricter each threshold has to be


@dataclass(frozen=True)
class Scores:
    """Rows to choose thresholds on.

    Args:
        unsafe: (N,) what they are.
        category: (N,) place in CATEGORIES, -1 for none.
        score: (N,) probability of unsafe.
        categories: (N, 6) probability of each, NaN where not known.
    """

    unsafe: Bools
    category: npt.NDArray[np.int32]
    score: Floats
    categories: Floats

    def part(self, chosen: Bools) -> Scores:
        """Return some of the rows."""
        return Scores(
            self.unsafe[chosen],
            self.category[chosen],
            self.score[chosen],
            self.categories[chosen],
        )


@dataclass(frozen=True)
class Rule:
    """Thresholds.

    Args:
        threshold: on the score.
        own: on single categories' probabilities.
    """

    threshold: float
    own: Mapping[Category, float] = field(default_factory=dict)

    def found(self, rows: Scores) -> Bools:
        """Return which rows the policy with these thresholds finds unsafe."""
        overall: Bools = rows.score >= self.threshold
        if not self.own:
            return overall
        least = np.array([self.own.get(category, PRESENT) for category in CATEGORIES])
        is_own = np.array([category in self.own for category in CATEGORIES])
        present = rows.categories >= least  # False where not known
        known = ~np.isnan(rows.categories).all(1)
        categories = np.nan_to_num(rows.categories, nan=-1.0)
        top = np.argmax(categories, axis=1)
        accounted_for = rows.score - categories.max(1) < self.threshold
        passed_by_own = known & is_own[top] & ~present.any(1) & accounted_for
        found: Bools = present[:, is_own].any(1) | (overall & ~passed_by_own)
        return found

    def policy(self, policy: Policy) -> Policy:
        """Return a policy with these thresholds, and with no others."""
        own = {name: policy.of(name) for name in (*policy.categories, *self.own)}
        categories = {
            name: CategoryPolicy(
                action=one.action, threshold=self.own.get(name), refusal=one.refusal
            )
            for name, one in own.items()
        }
        return policy.model_copy(update={"threshold": self.threshold, "categories": categories})


def choose(rows: Scores, target: Target, owned: tuple[Category, ...] = ()) -> Rule | None:
    """Return the thresholds that reach a target; None where none do.

    What single categories find adds up, so each threshold is chosen for a stricter target, the
    least strict found with which all together reach theirs. Where there is none, categories get no
    threshold of their own.

    Args:
        rows: to choose on.
        target: to reach.
        owned: the categories that get a threshold of their own.
    """
    alone = _each(rows, target, ())
    if not owned or alone is None:
        return alone
    best, loose, strict, share = alone, 0.0, 1.0, 0.0
    while strict - loose > _CLOSE:
        rule = _each(rows, target.stricter(share), owned)
        if rule is not None and not target.is_reached(rows.unsafe, rule.found(rows)):
            loose = share
        else:
            best, strict = rule or best, share
        share = (loose + strict) / 2
    return best


def _each(rows: Scores, target: Target, owned: tuple[Category, ...]) -> Rule | None:
    overall = target.threshold(rows.unsafe, rows.score)
    if overall is None:
        return None
    own: dict[Category, float] = {}
    for category in owned:
        place = CATEGORIES.index(category)
        here = (~rows.unsafe | (rows.category == place)) & ~np.isnan(rows.categories[:, place])
        threshold = target.threshold(rows.unsafe[here], rows.categories[here, place])
        if threshold is not None:
            own[category] = threshold
    return Rule(overall, own)
