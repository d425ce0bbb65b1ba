"""From examples to samples, and from the model's readings to figures."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer, EvalPrediction

from guardrail.classifiers.kosafeguard.classifier import KoSafeGuard
from guardrail.classifiers.kosafeguard.encode import Encoder
from guardrail.classifiers.kosafeguard.prompts import Prompts
from guardrail.errors import ConfigError, GuardrailError
from guardrail.evaluation.rows import Row
from guardrail.finetuning.examples import Example
from guardrail.finetuning.samples import learned, measured
from guardrail.finetuning.settings import Balance, Settings
from guardrail.finetuning.trainer import LEAST_MASS, due, figures
from guardrail.prompt import render
from guardrail.types import exchange
from tests.unit.finetuning.helpers import RULE

SHORT, OTHER = exchange("안녕", "네"), exchange("안녕", "또 오세요")
LONG = exchange("안녕", "좋은 하루 " * 60)


@pytest.fixture(scope="module")
def prompts(base: Path) -> Prompts:
    """Prompts with room for some fifty tokens of text."""
    encoder = Encoder(AutoTokenizer.from_pretrained(base))
    frame = Prompts(encoder, render, limit=8192)(exchange("", ""), RULE)[0]
    return Prompts(encoder, render, limit=len(frame.ids) + 70)


def test_rows_that_are_too_long_are_not_learnt_from(prompts: Prompts) -> None:
    """A part of a reply need not be what the whole is; how many were left out is told."""
    examples = [Example(each, each is SHORT, RULE) for each in (SHORT, LONG, OTHER)]
    found = learned(examples, prompts, Settings())

    assert [sample.row for sample in found.samples] == [0, 2]
    assert found.too_long == 1


def test_nothing_left_to_learn_from(prompts: Prompts) -> None:
    """When all of a kind are too long, it is told before the model is loaded."""
    examples = [Example(each, each is LONG, RULE) for each in (SHORT, LONG)]

    with pytest.raises(ConfigError, match="of 2 examples 1 are short enough"):
        learned(examples, prompts, Settings())


def test_weights_go_along(prompts: Prompts) -> None:
    """The rarer kind counts for more, in each of its samples."""
    examples = [Example(each, each is SHORT, RULE) for each in (SHORT, OTHER, OTHER)]
    found = learned(examples, prompts, Settings(balance=Balance.WEIGHT))

    assert [sample.weight for sample in found.samples] == [1.5, 0.75, 0.75]


def test_long_rows_are_measured_in_windows(prompts: Prompts) -> None:
    """As the engine judges them; all windows belong to their row."""
    samples = measured({"set": [Row(SHORT, False), Row(LONG, True)]}, prompts, RULE)["set"]
    numbers = [sample.row for sample in samples]

    assert numbers[:2] == [0, 1]
    assert numbers.count(1) > 2


def test_the_worst_window_counts() -> None:
    """A row is unsafe when one of its windows is, in whatever order they come."""
    readings = np.log([[0.9, 0.1], [0.2, 0.8], [0.8, 0.2], [0.7, 0.3]])
    answers = np.array([[0, 0], [1, 1], [1, 1], [0, 2]])
    found = figures(EvalPrediction(predictions=readings, label_ids=answers))

    assert (found["accuracy"], found["f1"], found["auroc"]) == (1.0, 1.0, 1.0)
    assert found["label_mass"] == pytest.approx(1.0)


def test_a_row_that_the_engine_refuses_counts_as_wrong() -> None:
    """One whose labels have too little probability in any window, whichever of them leads."""
    readings = np.log([[0.1, 0.3], [0.3, 0.1], [0.9, 0.1], [0.2, 0.2], [0.1, 0.9]])
    answers = np.array([[1, 0], [0, 1], [0, 2], [0, 2], [1, 3]])
    found = figures(EvalPrediction(predictions=readings, label_ids=answers))

    assert found["refused"] == 0.75
    assert (found["accuracy"], found["recall"], found["false_alarms"]) == (0.25, 0.5, 1.0)


def test_what_is_refused_is_what_the_loaded_model_refuses() -> None:
    """By the same share of the probability."""
    assert inspect.signature(KoSafeGuard).parameters["min_label_mass"].default == LEAST_MASS


def test_a_model_that_has_come_apart() -> None:
    """It is told, and what to do, instead of figures of nothing."""
    with pytest.raises(GuardrailError, match="--learning-rate"):
        figures(EvalPrediction(np.array([[np.nan, np.nan]]), np.array([[1, 0]])))


@pytest.mark.parametrize(
    ("steps", "epochs", "every", "expected"),
    [
        (8, 2.0, 0.25, {1, 2, 3, 4, 5, 6, 7, 8}),
        (10, 1.0, 0.25, {2, 5, 8, 10}),
        (10, 1.0, 0.3, {3, 6, 9, 10}),
        (3, 1.0, 0.25, {1, 2, 3}),
        (5, 0.5, 1.0, {5}),
        (571788, 1.0, 0.25, {142947, 285894, 428841, 571788}),
    ],
)
def test_when_checkpoints_are_due(
    steps: int, epochs: float, every: float, expected: set[int]
) -> None:
    """Every so much of an epoch, and at the end; the card's steps among them."""
    assert due(steps, epochs, every) == expected
