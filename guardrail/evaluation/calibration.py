"""Thresholds and a temperature from labelled rows, with the evidence for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import numpy as np

from guardrail.config import ClassifierConfig
from guardrail.errors import needing
from guardrail.evaluation.candidates import Candidate
from guardrail.evaluation.columns import Columns
from guardrail.evaluation.evidence import (
    Evidence,
    evidence,
    held_out,
    is_better,
    is_first,
    texts_of,
)
from guardrail.evaluation.figures import Figure, shown
from guardrail.evaluation.judge import answers
from guardrail.evaluation.measures import calibration_error, proportion
from guardrail.evaluation.plan import Data, Plan, Progress
from guardrail.evaluation.rule import Rule, Scores, choose
from guardrail.evaluation.table import CATEGORIES, Bools, Codes, Floats, decide
from guardrail.evaluation.targets import InsufficientData, Target
from guardrail.policy import Policy
from guardrail.types import Category

with needing("eval"):
    from scipy.optimize import minimize_scalar

__all__ = ["Calibration", "calibrate"]

_LEAST_OF_CATEGORY = 30  # unsafe rows; with fewer a threshold of its own follows chance
_EDGE = 1e-6  # scores of exactly 0 and 1 have no logit
_TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True)
class Calibration:
    """What was chosen, and why.

    Args:
        target: what was asked for.
        data: the sets' names.
        rows, unsafe: how many rows there were, and how many of them unsafe.
        repeated: how many of them say what an earlier one says.
        temperature: divides the logits of scores; thresholds mean the new scores.
        error_before, error_after: calibration error without and with it.
        rule: the thresholds.
        chosen_on: what they do on the rows they were chosen on.
        held_out: what thresholds chosen so do on other rows: each fifth of the rows was judged by
            those of the other four. None where a fold was too small.
        other_way: the same as `held_out`, had single categories been given thresholds of their
            own where here they are not, or the other way round. None where it was not tried.
        by_category: recall in each category, and how many unsafe rows of it there were.
        left_out: why a category has no threshold of its own.
        created: when.
    """

    target: Target
    data: Sequence[str]
    rows: int
    unsafe: int
    repeated: int
    temperature: float
    error_before: float
    error_after: float
    rule: Rule
    chosen_on: Evidence
    held_out: Evidence | None
    other_way: Evidence | None
    by_category: Mapping[Category, tuple[Figure | None, int]]
    left_out: Mapping[Category, str]
    created: str


def calibrate(
    data: Data,
    target: Target,
    candidate: Candidate | None = None,
    *,
    columns: Columns | None = None,
    per_category: bool | None = None,
    temperature: bool = True,
    folder: str | Path | None = None,
    fresh: bool = False,
    batch: int = 64,
    seed: int = 0,
    progress: Progress | None = None,
) -> Calibration:
    """Return thresholds that reach a target on labelled rows.

    Args:
        data: files, hub ids or `Dataset`s, like the turns that will come.
        target: what to reach.
        candidate: the classifier, with the policy that is to get the thresholds.
        columns: which column of the data is what.
        per_category: also choose thresholds of single categories, where there are rows enough;
            None if that does better on rows that they were not chosen on.
        temperature: also bring scores to scale; otherwise they stay as they are.
        folder: keeps the verdicts; `evaluate` finds them there too.
        fresh: forget what the folder holds of these data.
        batch: rows that are asked about at once.
        seed: of the folds.
        progress: is told how far it has come.

    Raises:
        InsufficientData: the rows are too few to say, or no threshold reaches the target and tells
            unsafe rows from safe ones.
        ConfigError: the data cannot be read.
        ClassifierError: the classifier does not work.
    """
    one = candidate or Candidate("embedded", ClassifierConfig())
    one.check()
    asked = _untempered(one) if temperature else one
    with Plan.made(
        data, columns, folder=folder, fresh=fresh, batch=batch, progress=progress
    ) as plan:
        rows, texts = _judged(plan, asked, all_categories=per_category is not False)
        names = [each.name for each in plan.sets]
    _require_both(rows.unsafe)
    first = is_first(texts)
    target.require(rows.unsafe[first])
    heat = _temperature(rows.unsafe, rows.score) if temperature else 1.0
    scaled = replace(
        rows, score=_tempered(rows.score, heat), categories=_tempered(rows.categories, heat)
    )
    owned, left_out = _owned(scaled.part(first)) if per_category is not False else ((), {})
    elsewhere = held_out(scaled, texts, target, owned, seed)
    other_way = held_out(scaled, texts, target, (), seed) if owned else None
    if per_category is None and is_better(other_way, elsewhere, target):
        owned, elsewhere, other_way = (), other_way, elsewhere
    rule = choose(scaled, target, owned)
    if rule is None:
        raise InsufficientData(f"no threshold reaches {target} on these rows")
    found = rule.found(scaled)
    chosen_on = evidence(rows.unsafe, found)
    _require_use(chosen_on, target)
    return Calibration(
        target,
        names,
        len(rows.unsafe),
        int(rows.unsafe.sum()),
        int((~first).sum()),
        heat if temperature else _own_temperature(one),
        calibration_error(rows.unsafe, rows.score),
        calibration_error(scaled.unsafe, scaled.score),
        rule,
        chosen_on,
        elsewhere,
        other_way,
        _by_category(scaled, found),
        left_out,
        datetime.now(UTC).date().isoformat(),
    )


def _own_temperature(candidate: Candidate) -> float:
    config = candidate.classifier
    return config.score_temperature if isinstance(config, ClassifierConfig) else 1.0


def _untempered(candidate: Candidate) -> Candidate:
    """Return the candidate without an earlier calibration's temperature."""
    config = candidate.classifier
    if not isinstance(config, ClassifierConfig):
        return candidate
    return replace(candidate, classifier=config.model_copy(update={"score_temperature": 1.0}))


_ALL_CATEGORIES = Policy(threshold=0.0)  # finds everything unsafe, so it wants all categories


def _judged(plan: Plan, candidate: Candidate, *, all_categories: bool) -> tuple[Scores, Codes]:
    """Have all rows judged; return those with a verdict, and which of them say the same."""
    policy = _ALL_CATEGORIES if all_categories else candidate.policy
    questions = plan.questions(candidate.slug)
    with candidate.opened() as classifier:
        for each, question in zip(plan.sets, questions, strict=True):
            what = f"{candidate.name}: {each.name}"
            plan.have_judged(question, classifier, [policy], what)
    decided = decide(chain.from_iterable(map(answers, questions)), candidate.policy)
    here = decided.judged
    scores = Scores(
        plan.table.unsafe[here],
        plan.table.category[here],
        decided.score[here],
        decided.categories[here].astype(float),
    )
    return scores, texts_of(plan.rows())[here]


def _require_both(unsafe: Bools) -> None:
    if not 0 < unsafe.sum() < len(unsafe):
        kind = "safe" if unsafe.any() else "unsafe"
        raise InsufficientData(f"there is no {kind} row with a verdict, and both kinds are needed")


def _require_use(found: Evidence, target: Target) -> None:
    """Raise where thresholds find unsafe rows no better than a blind choice of as many would."""
    if found.recall and found.false_alarms and found.recall.value > found.false_alarms.value:
        return
    raise InsufficientData(
        f"thresholds for {target} find {shown(found.recall)} % of the unsafe rows and "
        f"{shown(found.false_alarms)} % of the safe ones: of no use; another target or classifier "
        "may do better, and `guardrail eval` shows what each threshold gives"
    )


def _temperature(unsafe: Bools, score: Floats) -> float:
    """Return the temperature at which the scores explain the labels best (Guo and others 2017)."""
    logits = _logits(score)
    sign = np.where(unsafe, -1.0, 1.0)

    def surprise(log_temperature: float) -> float:
        return float(np.logaddexp(0.0, sign * logits / np.exp(log_temperature)).mean())

    low, high = np.log(_TEMPERATURES)
    best = minimize_scalar(surprise, bounds=(low, high), method="bounded")
    return round(float(np.exp(best.x)), 3)


def _logits(score: Floats) -> Floats:
    inside = np.clip(score, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(inside / (1 - inside)))


def _tempered(score: Floats, temperature: float) -> Floats:
    if temperature == 1.0:
        return score
    inside = np.clip(score, 1e-12, 1 - 1e-12)
    logits = np.log(inside / (1 - inside)) / temperature
    return np.asarray(1 / (1 + np.exp(-np.maximum(logits, -700.0))))


def _owned(rows: Scores) -> tuple[tuple[Category, ...], dict[Category, str]]:
    """Return the categories that get a threshold of their own, and why the others do not."""
    owned: list[Category] = []
    left_out: dict[Category, str] = {}
    for place, category in enumerate(CATEGORIES):
        there = int((rows.unsafe & (rows.category == place)).sum())
        if np.isnan(rows.categories[:, place]).any():
            left_out[category] = "the classifier does not score it"
        elif there < _LEAST_OF_CATEGORY:
            left_out[category] = f"{there} different unsafe rows, {_LEAST_OF_CATEGORY} are needed"
        else:
            owned.append(category)
    return tuple(owned), left_out


def _by_category(rows: Scores, found: Bools) -> dict[Category, tuple[Figure | None, int]]:
    parts = {
        category: found[rows.unsafe & (rows.category == place)]
        for place, category in enumerate(CATEGORIES)
    }
    return {name: (proportion(part), len(part)) for name, part in parts.items() if len(part)}
