"""Thresholds meet their target on other rows too, and stand in the file with their evidence."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from guardrail import Category, Verdict
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
from guardrail.evaluation.rule import Rule
from guardrail.types import exchange
from tests.unit.evaluation.helpers import Reading, row


def numbered(rows: Iterable[Row]) -> list[Row]:
    """Return the rows, each about a question of its own, so that none repeats another."""
    return [
        replace(one, conversation=exchange(f"질문 {number}", one.text))
        for number, one in enumerate(rows)
    ]


def noisy(size: int = 900, seed: int = 0) -> list[Row]:
    """Return rows of which a quarter is unsafe, with scores that overlap."""
    dice = np.random.default_rng(seed)
    unsafe = dice.random(size) < 0.25
    scores = np.clip(dice.normal(0.25 + 0.4 * unsafe, 0.17), 0.001, 0.999)
    return [
        row(
            score,
            unsafe=bool(bad),
            category=f"O{number % 3 + 1}" if bad else None,
            user=f"질문 {number}",
        )
        for number, (score, bad) in enumerate(zip(scores, unsafe, strict=True))
    ]


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return calibrate(
        [Dataset.of(noisy(), "desk")], Target(Goal.FALSE_ALARMS, 0.05), Candidate("r", Reading())
    )


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
    rows = numbered(row(score, unsafe=bool(bad)) for score, bad in zip(pushed, unsafe, strict=True))
    found = calibrate([Dataset.of(rows)], Target(Goal.RECALL, 0.9), Candidate("r", Reading()))

    assert found.temperature == pytest.approx(3, abs=0.4)
    assert found.error_after < 0.03 < found.error_before


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            Target(Goal.FALSE_ALARMS, 0.01),
            r"40 different safe rows are too few for false .* 0\.0 to 8\.8 %; 299 are needed",
        ),
        (
            Target(Goal.RECALL, 0.99),
            r"20 different unsafe rows are too few for recall .*; 299 are needed",
        ),
        (Target(Goal.PRECISION, 0.95), r"20 different unsafe rows are too few for precision"),
    ],
)
def test_too_few_rows_are_refused_with_the_interval(target: Target, message: str) -> None:
    """Even a perfect result on them would leave too much doubt."""
    rows = numbered([row(0.9, unsafe=True)] * 20 + [row(0.1, unsafe=False)] * 40)
    with pytest.raises(InsufficientData, match=message):
        calibrate([Dataset.of(rows)], target, Candidate("r", Reading()))


def test_a_target_out_of_reach_is_refused() -> None:
    """No threshold has that precision."""
    rows = numbered(row(0.5, unsafe=n % 2 == 0) for n in range(400))
    with pytest.raises(InsufficientData, match="no threshold reaches precision at least 90 %"):
        calibrate([Dataset.of(rows)], Target(Goal.PRECISION, 0.9), Candidate("r", Reading()))


def test_one_kind_of_row_is_refused() -> None:
    """Both are needed."""
    rows = [row(0.5, unsafe=False)] * 400
    with pytest.raises(InsufficientData, match="no unsafe row"):
        calibrate([Dataset.of(rows)], Target(Goal.FALSE_ALARMS, 0.01), Candidate("r", Reading()))


@pytest.mark.parametrize("target", [Target(Goal.FALSE_ALARMS, 0.01), Target(Goal.RECALL, 0.95)])
def test_a_classifier_that_tells_nothing_apart_is_refused(target: Target) -> None:
    """A policy that catches nothing, or all alike, is no policy."""
    rows = numbered(row(0.9 if n < 4 else 0.1, unsafe=n % 4 == 3) for n in range(400))
    with pytest.raises(InsufficientData, match="of no use"):
        calibrate([Dataset.of(rows)], target, Candidate("r", Reading()))


def test_repeats_make_nothing_surer() -> None:
    """Twenty rows, each there fifteen times, are twenty; case and spaces make no other text."""
    rows = numbered(row(0.1 + n / 100, unsafe=False) for n in range(20))
    again = [one.with_text(one.text.replace(" ", "  ")) for one in rows]
    unsafe = numbered(row(0.9, unsafe=True) for _ in range(400))
    with pytest.raises(InsufficientData, match="20 different safe rows"):
        calibrate(
            [Dataset.of(rows * 8 + again * 7 + unsafe[20:])],
            Target(Goal.FALSE_ALARMS, 0.05),
            Candidate("r", Reading()),
        )


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
        [Dataset.of(numbered(rows))],
        Target(Goal.FALSE_ALARMS, 0.05),
        Candidate("n", Naming()),
        per_category=True,
    )
    write_policy(found, tmp_path / "g.toml")

    assert set(found.rule.own) == {Category.O1}
    assert found.left_out[Category.O4] == "20 different unsafe rows, 30 are needed"
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


TWO = """\
[policy]
mode = "monitor"

# what judges
[classifier]
kind = "embedded"

# the end
"""


def test_new_settings_stand_behind_those_of_their_table(
    calibration: Calibration, tmp_path: Path
) -> None:
    """Not behind a comment on what follows."""
    path = tmp_path / "guardrail.toml"
    path.write_text(TWO)
    write_policy(calibration, path)
    lines = [line for line in path.read_text().splitlines() if not line.startswith("# calibrate")]

    assert [line.partition(" = ")[0] for line in lines if line] == [
        *("[policy]", "mode", "threshold", "# what judges"),
        *("[classifier]", "kind", "score_temperature", "# the end"),
    ]


def test_a_threshold_that_is_taken_out_is_told(calibration: Calibration, tmp_path: Path) -> None:
    """Returned, and in the file: somebody may have set it by hand."""
    path = tmp_path / "guardrail.toml"
    path.write_text('[policy.categories.O6]\nthreshold = 0.7\naction = "allow"\n')
    removed = write_policy(replace(calibration, rule=Rule(0.4)), path)

    assert removed == {Category.O6: 0.7}
    assert "# calibrate: took out O6's threshold 0.7\n" in path.read_text()
    assert Config.load(path).policy.of(Category.O6).threshold is None


@pytest.mark.parametrize(
    "text", ['policy = { mode = "monitor" }', 'policy.mode = "monitor"\npolicy.contact = "1588"']
)
def test_a_file_in_another_form_is_told(
    calibration: Calibration, tmp_path: Path, text: str
) -> None:
    """What to write instead; nothing is changed."""
    path = tmp_path / "guardrail.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="write it as one table"):
        write_policy(calibration, path)

    assert path.read_text() == text
