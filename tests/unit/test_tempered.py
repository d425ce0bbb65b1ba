"""A temperature changes how sure scores are, and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail import Category, Guard
from guardrail.classifiers.tempered import Tempered, tempered
from guardrail.config import ClassifierConfig, Config
from guardrail.errors import ConfigError
from guardrail.testing import StubClassifier
from guardrail.types import exchange

SCORES = st.floats(0, 1)
TEMPERATURES = st.floats(0.05, 20)


@given(SCORES, SCORES, TEMPERATURES)
def test_the_order_of_scores_stays(one: float, two: float, temperature: float) -> None:
    """And they stay probabilities."""
    low, high = sorted((one, two))

    assert 0 <= tempered(low, temperature) <= tempered(high, temperature) <= 1


@given(SCORES)
def test_a_temperature_of_one_changes_nothing(score: float) -> None:
    """But for the last digits at the very ends."""
    assert tempered(score, 1.0) == pytest.approx(score, abs=1e-11)


def test_both_ways_of_asking_are_tempered() -> None:
    """Scores and categories; the classifier's own decision stays."""
    classifier = Tempered(StubClassifier("BAD", category=Category.O3), 2.0)
    asked = [exchange("q", "BAD")]
    verdicts = [classifier.classify(asked[0]), asyncio.run(classifier.aclassify(asked[0]))]
    found = [classifier.categorise(asked)[0], asyncio.run(classifier.acategorise(asked))[0]]

    assert verdicts[0] == verdicts[1]
    assert verdicts[0].unsafe
    assert verdicts[0].score == pytest.approx(0.9087, abs=1e-4)
    assert found[0] == found[1] == {Category.O3: pytest.approx(1.0, abs=1e-5)}
    assert classifier.answers_at_once(asked)


def test_the_configuration_sets_it(tmp_path: Path) -> None:
    """Beside the classifier's own arguments."""
    path = tmp_path / "g.toml"
    path.write_text(
        "[classifier]\nkind = 'guardrail.testing:StubClassifier'\nscore_temperature = 3\n"
    )
    guard = Guard.from_config(path)

    assert isinstance(guard.classifier, Tempered)
    assert guard.check(user="q", assistant="UNSAFE").blocked
    assert isinstance(
        ClassifierConfig(kind="guardrail.testing:StubClassifier").build(), StubClassifier
    )


def test_a_temperature_is_positive(tmp_path: Path) -> None:
    """Zero divides nothing."""
    path = tmp_path / "g.toml"
    path.write_text("[classifier]\nscore_temperature = 0\n")
    with pytest.raises(ConfigError, match="score_temperature"):
        Config.load(path)
