"""Thresholds reach their target, decide as the policy does, and are tried on other rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail import Category, Policy, Verdict
from guardrail.evaluation import Goal, Target
from guardrail.evaluation.evidence import evidence, held_out, is_better, is_first
from guardrail.evaluation.rule import Rule, Scores, choose
from guardrail.evaluation.table import CATEGORIES

PROBABILITY = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
OWN = st.dictionaries(st.sampled_from(list(Category)), PROBABILITY, max_size=6)


@given(
    score=PROBABILITY,
    categories=st.dictionaries(
        st.sampled_from(list(Category)), PROBABILITY, min_size=6, max_size=6
    ),
    threshold=PROBABILITY,
    own=OWN,
)
def test_columns_are_decided_as_the_policy_decides(
    score: float, categories: dict[Category, float], threshold: float, own: dict[Category, float]
) -> None:
    """The rule over arrays is `Policy.finds_unsafe`."""
    rule = Rule(threshold, own)
    ordered = {name: categories[name] for name in CATEGORIES}
    rows = Scores(
        np.array([True]),
        np.array([-1], np.int32),
        np.array([score]),
        np.array([list(ordered.values())]),
    )

    assert rule.found(rows)[0] == rule.policy(Policy()).finds_unsafe(Verdict(True, score, ordered))


@given(
    rows=st.lists(st.tuples(st.booleans(), PROBABILITY), min_size=1, max_size=50),
    goal=st.sampled_from(Goal),
    value=st.sampled_from([0.05, 0.3, 0.5, 0.9]),
)
def test_a_threshold_reaches_its_target(
    rows: list[tuple[bool, float]], goal: Goal, value: float
) -> None:
    """On the rows it was chosen on, and no other one finds more."""
    unsafe, score = (np.array(column) for column in zip(*rows, strict=True))
    threshold = Target(goal, value).threshold(unsafe, score)

    def reaches(at: float) -> bool:
        found = score >= at
        hits, alarms = (found & unsafe).sum(), (found & ~unsafe).sum()
        match goal:
            case Goal.FALSE_ALARMS:
                return bool(alarms <= value * (~unsafe).sum())
            case Goal.RECALL:
                return bool(hits >= value * unsafe.sum())
        return bool(hits >= value * (hits + alarms) and hits > 0)

    if threshold is None:
        assert not any(reaches(at) for at in np.unique(score))
        return
    assert 0 <= threshold <= 1
    assert reaches(threshold)
    if goal is not Goal.RECALL:
        assert not any(
            reaches(at)
            for at in np.unique(score)
            if at < threshold and (score >= at).sum() > (score >= threshold).sum()
        )


@pytest.mark.parametrize(
    "target",
    [Target(Goal.FALSE_ALARMS, 0.1), Target(Goal.PRECISION, 0.6), Target(Goal.RECALL, 0.8)],
)
@given(seed=st.integers(0, 50))
def test_categories_together_reach_the_target(target: Target, seed: int) -> None:
    """Their false alarms add up, and the sum is what is promised."""
    dice = np.random.default_rng(seed)
    size = 200
    unsafe = dice.random(size) < 0.4
    rows = Scores(
        unsafe,
        np.where(unsafe, dice.integers(0, 6, size), -1).astype(np.int32),
        dice.random(size) ** (1 - 0.5 * unsafe),
        dice.random((size, 6)) ** (1 - 0.5 * unsafe[:, None]),
    )
    rule = choose(rows, target, tuple(Category))

    assert rule is None or target.is_reached(unsafe, rule.found(rows))
    assert (rule is None) == (choose(rows, target) is None)


def test_repeats_do_not_vouch_for_each_other() -> None:
    """Held out are all rows of a text, so that a threshold is never tried on what it was chosen on."""
    texts = np.repeat(np.arange(60), 5).astype(np.int32)
    dice = np.random.default_rng(0)
    unsafe, score = np.repeat(dice.random(60) < 0.5, 5), np.repeat(dice.random(60), 5)
    rows = Scores(unsafe, np.full(300, -1, np.int32), score, np.full((300, 6), np.nan))
    target = Target(Goal.FALSE_ALARMS, 0.2)
    once = rows.part(is_first(texts))

    assert held_out(rows, texts, target, (), 0).recall.value == (  # type: ignore[union-attr]
        held_out(once, texts[::5], target, (), 0).recall.value  # type: ignore[union-attr]
    )


def test_the_nearer_to_the_target_is_better() -> None:
    """Recall that is bought with a missed target is none."""
    unsafe = np.repeat([True, False], 100)
    precise, greedy = (
        evidence(unsafe, np.arange(200) % 100 < np.where(unsafe, hits, alarms))
        for hits, alarms in ((50, 5), (90, 30))
    )

    assert is_better(precise, greedy, Target(Goal.PRECISION, 0.9))
    assert is_better(greedy, precise, Target(Goal.PRECISION, 0.5))
    assert is_better(greedy, precise, Target(Goal.RECALL, 0.8))
