"""Thresholds reach their target, decide as the policy does, and stand in the file with evidence."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail import Category, Policy, Verdict
from guardrail.config import Config
from guardrail.errors import ConfigError
from guardrail.evaluation import (
    Calibration,
    Candidate,
    Dataset,
    Goal,
    InsufficientData,
    Target,
    calibrate,
    write_policy,
)
from guardrail.evaluation.rows import Row
from guardrail.evaluation.rule import Rule, Scores, choose
from guardrail.evaluation.table import CATEGORIES
from tests.unit.evaluation.helpers import Reading, row

PROBABILITY = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
OWN = st.dictionaries(st.sampled_from(list(Category)), PROBABILITY, max_size=6)


def noisy(size: int = 900, seed: int = 0) -> list[Row]:
    """Return rows of which a quarter is unsafe, with scores that overlap."""
    dice = np.random.default_rng(seed)
    unsafe = dice.random(size) < 0.25
    scores = np.clip(dice.normal(0.25 + 0.4 * unsafe, 0.17), 0.001, 0.999)
    return [
        row(score, unsafe=bool(bad), category=f"O{number % 3 + 1}" if bad else None)
        for number, (score, bad) in enumerate(zip(scores, unsafe, strict=True))
    ]


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return calibrate(
        [Dataset.of(noisy(), "desk")], Target(Goal.FALSE_ALARMS, 0.05), Candidate("r", Reading())
    )


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


@given(seed=st.integers(0, 50))
def test_categories_together_stay_within_the_target(seed: int) -> None:
    """Their false alarms add up, and the sum is what is promised."""
    dice = np.random.default_rng(seed)
    size = 200
    unsafe = dice.random(size) < 0.4
    rows = Scores(
        unsafe,
        np.where(unsafe, dice.integers(0, 6, size), -1).astype(np.int32),
        dice.random(size),
        dice.random((size, 6)),
    )
    rule = choose(rows, Target(Goal.FALSE_ALARMS, 0.1), tuple(Category))

    assert rule is not None
    assert (rule.found(rows) & ~unsafe).sum() <= 0.1 * (~unsafe).sum()


def test_calibration_meets_its_target_on_other_rows_too(calibration: Calibration) -> None:
    """Within what chance allows."""
    found = calibration.chosen_on.false_alarms
    assert found is not None
    assert 0.04 <= found.value <= 0.05
    assert calibration.held_out is not None
    assert calibration.held_out.false_alarms is not None
    assert calibration.held_out.false_alarms.low <= 0.05


def test_the_temperature_brings_scores_to_scale() -> None:
    """Scores pushed to the ends are found to be three times too sure."""
    dice = np.random.default_rng(3)
    logits = dice.normal(0, 1.5, 4000)
    unsafe = dice.random(4000) < 1 / (1 + np.exp(-logits))
    pushed = 1 / (1 + np.exp(-3 * logits))
    rows = [row(score, unsafe=bool(bad)) for score, bad in zip(pushed, unsafe, strict=True)]
    found = calibrate([Dataset.of(rows)], Target(Goal.RECALL, 0.9), Candidate("r", Reading()))

    assert found.temperature == pytest.approx(3, abs=0.4)
    assert found.error_after < 0.03 < found.error_before


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            Target(Goal.FALSE_ALARMS, 0.01),
            r"40 safe rows are too few for false alarms at most 1 %.* 0\.0 to 8\.8 %; 299 are needed",
        ),
        (Target(Goal.RECALL, 0.99), r"20 unsafe rows are too few for recall .*; 299 are needed"),
        (Target(Goal.PRECISION, 0.95), r"20 unsafe rows are too few for precision"),
    ],
)
def test_too_few_rows_are_refused_with_the_interval(target: Target, message: str) -> None:
    """Even a perfect result on them would leave too much doubt."""
    rows = [row(0.9, unsafe=True)] * 20 + [row(0.1, unsafe=False)] * 40
    with pytest.raises(InsufficientData, match=message):
        calibrate([Dataset.of(rows)], target, Candidate("r", Reading()))


def test_a_target_out_of_reach_is_refused() -> None:
    """No threshold has that precision."""
    rows = [row(0.5, unsafe=n % 2 == 0) for n in range(400)]
    with pytest.raises(InsufficientData, match="no threshold reaches precision at least 90 %"):
        calibrate([Dataset.of(rows)], Target(Goal.PRECISION, 0.9), Candidate("r", Reading()))


def test_one_kind_of_row_is_refused() -> None:
    """Both are needed."""
    rows = [row(0.5, unsafe=False)] * 400
    with pytest.raises(InsufficientData, match="no unsafe row"):
        calibrate([Dataset.of(rows)], Target(Goal.FALSE_ALARMS, 0.01), Candidate("r", Reading()))


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 2.0])
def test_a_target_is_a_share(value: float) -> None:
    """Between 0 and 1."""
    with pytest.raises(ConfigError):
        Target(Goal.RECALL, value)


class Naming(Reading):
    """Knows each text's category, and scores it as the turn."""

    def _verdict(self, text: str) -> Verdict:
        verdict = super()._verdict(text)
        shares = dict.fromkeys(Category, 0.01)
        return verdict.with_categories(shares | {Category.O1: verdict.score})


def test_categories_with_rows_enough_get_their_own(tmp_path: Path) -> None:
    """The others go by the overall threshold, and it is said why."""
    rows = [
        row(0.3 + n % 60 / 100, unsafe=True, category="O1" if n < 80 else "O4") for n in range(100)
    ] + [row(n % 50 / 100, unsafe=False) for n in range(400)]
    found = calibrate(
        [Dataset.of(rows)],
        Target(Goal.FALSE_ALARMS, 0.05),
        Candidate("n", Naming()),
        per_category=True,
    )
    write_policy(found, tmp_path / "g.toml")

    assert set(found.rule.own) == {Category.O1}
    assert found.left_out[Category.O4] == "20 unsafe rows, 30 are needed"
    assert Config.load(tmp_path / "g.toml").policy.of(Category.O1).threshold == pytest.approx(
        found.rule.own[Category.O1], abs=1e-6
    )


MINE = '''\
# our desk
[policy]
mode = "monitor"  # for now
contact = "1588-0000"

[policy.fallback]
ko = """
# calibrate: not a comment
죄송합니다
"""

[classifier]
kind = "embedded"
'''


def test_a_policy_file_keeps_what_it_says(calibration: Calibration, tmp_path: Path) -> None:
    """Comments, order and settings; thresholds stand in it with their evidence."""
    path = tmp_path / "guardrail.toml"
    path.write_text(MINE)
    write_policy(calibration, path)
    text = path.read_text()
    policy = Config.load(path).policy

    assert policy.threshold == pytest.approx(calibration.rule.threshold, abs=1e-6)
    assert "# our desk\n" in text
    assert 'mode = "monitor"  # for now\n' in text
    assert "# calibrate: not a comment\n" in text
    assert "for false alarms at most 5 %, on 900 rows" in text
    assert tomllib.loads(text)["policy"]["contact"] == "1588-0000"
    assert Config.load(path).classifier.score_temperature == calibration.temperature


def test_a_second_calibration_replaces_the_first(calibration: Calibration, tmp_path: Path) -> None:
    """Its evidence too, so the file does not grow."""
    path = tmp_path / "guardrail.toml"
    write_policy(calibration, path, Candidate.parse("embedded,threshold=0.4"))
    once = path.read_text()
    write_policy(calibration, path)

    assert path.read_text() == once
    assert tomllib.loads(once)["classifier"]["threshold"] == 0.4
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_wrong_stays_as_it_is(calibration: Calibration, tmp_path: Path) -> None:
    """Nothing is written into it."""
    path = tmp_path / "guardrail.toml"
    for text in ("[policy\n", "[policy]\nmode = 'nonsense'\n"):
        path.write_text(text)
        with pytest.raises(ConfigError):
            write_policy(calibration, path)
        assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


def test_scores_can_stay_as_they_are(tmp_path: Path) -> None:
    """Without a temperature, an earlier one goes on to hold."""
    found = calibrate(
        [Dataset.of(noisy())],
        Target(Goal.RECALL, 0.9),
        Candidate("r", Reading()),
        temperature=False,
    )
    write_policy(found, tmp_path / "g.toml")

    assert found.temperature == 1.0
    assert "score_temperature" not in (tmp_path / "g.toml").read_text()
