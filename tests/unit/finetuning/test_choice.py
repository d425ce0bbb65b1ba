"""Which checkpoint is the best, and why."""

from __future__ import annotations

import pytest

from guardrail.errors import ConfigError, GuardrailError
from guardrail.evaluation.card import PUBLISHED
from guardrail.finetuning.choice import Line, Rule, best, lines_of

CARD = [
    Line(one.data, one.steps, one.steps / 571788, {
        "accuracy": one.accuracy, "f1": one.f1, "precision": one.precision, "recall": one.recall,
    })
    for one in PUBLISHED
]  # fmt: skip


def lines(**f1: float) -> list[Line]:
    """Return one line for each checkpoint, by its steps."""
    return [Line("set", int(name[1:]), 0.5, {"f1": value}) for name, value in f1.items()]


@pytest.mark.parametrize("rule", ["f1", "accuracy=1,f1=1,precision=1,recall=1", "recall"])
def test_the_cards_table_leads_to_the_cards_choice(rule: str) -> None:
    """KoSafeGuard's author took the first quarter; so do rules that a team would use."""
    assert best(CARD, Rule.parse(rule)).steps == 142947


def test_another_rule_chooses_otherwise() -> None:
    """Who wants precision alone gets the checkpoint that hardly ever says unsafe."""
    assert best(CARD, Rule.parse("precision")).steps == 571788


def test_what_should_be_low() -> None:
    """A negative weight asks for little of a figure."""
    found = [
        Line("set", 1, 0.5, {"recall": 0.9, "false_alarms": 0.5}),
        Line("set", 2, 1.0, {"recall": 0.8, "false_alarms": 0.1}),
    ]

    assert best(found, Rule.parse("recall=1,false_alarms=-1")).steps == 2


def test_of_equals_the_first() -> None:
    """More training that does not help is no reason; the sentence says so."""
    choice = best(lines(s3=0.8, s7=0.9, s9=0.9), Rule.parse("f1"))

    assert choice.steps == 7
    assert "as has checkpoint-9; of equals the first is taken" in choice.reason


def test_the_reason_names_the_runner_up() -> None:
    """So that people see how close it was."""
    reason = best(lines(s3=0.81, s7=0.9, s9=0.85), Rule.parse("f1")).reason

    assert reason == (
        "checkpoint-7 has the highest f1, 0.9000 over all sets; next is checkpoint-9 with 0.8500."
    )


def test_what_the_loaded_model_refuses_is_told() -> None:
    """Figures alone would not show that it blocks these rows whatever they say."""
    found = [Line("set", 1, 0.5, {"f1": 0.0, "recall": 0.0, "false_alarms": 1.0}, refused=1.0)]
    warning = best(found, Rule.parse("f1")).warning

    assert "KoSafeGuard refuses 100.0% of set" in warning
    assert not best(lines(s1=0.5), Rule.parse("f1")).warning


def test_a_figure_that_a_set_has_not_is_taken_over_the_others() -> None:
    """A set of safe rows has no F1 and says nothing about it."""
    found = [*lines(s1=0.5, s2=0.6), Line("safe alone", 1, 0.5, {"accuracy": 1.0})]

    assert best(found, Rule.parse("f1")).steps == 2


def test_a_figure_that_no_set_has() -> None:
    """Nothing is chosen by what nobody measured."""
    with pytest.raises(GuardrailError, match="no checkpoint has a score by recall"):
        best(lines(s1=0.5), Rule.parse("recall"))


@pytest.mark.parametrize("text", ["f2", "f1=much", "", "f1=0", "="])
def test_rules_that_are_none(text: str) -> None:
    """A rule is refused before training, not after."""
    with pytest.raises(ConfigError):
        Rule.parse(text)


def test_sets_that_cannot_tell() -> None:
    """F1 needs both kinds of rows in some set; accuracy does not."""
    sets = {"safe alone": [False, False]}
    Rule.parse("accuracy").require(sets)

    with pytest.raises(ConfigError, match="choose by accuracy"):
        Rule.parse("f1").require(sets)


def test_the_table_comes_out_of_the_log() -> None:
    """Set by set, in order, whatever else was logged; a repeated step counts once, the last."""
    history = [
        {"step": 5, "epoch": 0.25, "loss": 1.0},
        {"step": 5, "epoch": 0.25, "eval_b_c_f1": 0.5, "eval_b_c_loss": 2.0},
        {"step": 5, "epoch": 0.25, "eval_a_f1": 0.6},
        {"step": 10, "epoch": 0.5, "eval_a_f1": 0.8, "eval_a_refused": 0.25},
        {"step": 10, "epoch": 0.5, "eval_b_c_f1": 0.7},
        {"step": 10, "epoch": 0.5, "eval_b_c_f1": 0.75},
    ]
    found = lines_of(history, ["a", "b_c"])

    assert found == [
        Line("a", 5, 0.25, {"f1": 0.6}),
        Line("a", 10, 0.5, {"f1": 0.8}, refused=0.25),
        Line("b_c", 5, 0.25, {"f1": 0.5}),
        Line("b_c", 10, 0.5, {"f1": 0.75}),
    ]
