"""The values that travel through the guard."""

from __future__ import annotations

import math
from typing import Any

import pytest

from guardrail import (
    Action,
    Category,
    GuardrailError,
    InvalidTurnError,
    Outcome,
    Role,
    Turn,
    Verdict,
)
from guardrail.types import exchange, last_exchange, question


@pytest.mark.parametrize("content", [None, 3, b"bytes", ["text"], {"text": "x"}])
def test_a_turn_holds_text(content: Any) -> None:
    """What is not a `str` is refused, and the message says what it was."""
    with pytest.raises(InvalidTurnError, match=type(content).__name__):
        Turn(Role.ASSISTANT, content)


@pytest.mark.parametrize("content", ["", "\x00", "\ud800", "가" * 1_000_000])
def test_any_text_makes_a_turn(content: str) -> None:
    """Odd text is text."""
    assert Turn(Role.USER, content).content == content


def test_a_role_may_be_given_by_its_name() -> None:
    """Hosts hold roles as strings."""
    assert Turn("user", "x").role is Role.USER  # type: ignore[arg-type] # what the test is about


@pytest.mark.parametrize("role", ["bot", "", None, []])
def test_an_unknown_role_is_refused(role: Any) -> None:
    """The message lists the roles there are."""
    with pytest.raises(InvalidTurnError, match="'system', 'user', 'assistant', 'tool'"):
        Turn(role, "x")


def test_the_last_exchange_is_the_reply_and_what_was_said_before_it() -> None:
    """Earlier exchanges and tool turns are left aside."""
    history = [Turn(Role.USER, "1"), Turn(Role.ASSISTANT, "2"), Turn(Role.TOOL, "3")]

    assert last_exchange(exchange("4", "5", history)) == ("4", "5")


def test_turns_of_the_user_in_a_row_are_one() -> None:
    """Messengers send a thought in pieces."""
    history = [Turn(Role.USER, "1"), Turn(Role.USER, "2")]

    assert last_exchange(exchange("3", "4", history)) == ("1\n2\n3", "4")


def test_a_question_has_no_reply() -> None:
    """A conversation that ends in the user's turn has nothing else to judge."""
    assert last_exchange(question("1")) == ("1", None)


def test_a_long_history_is_no_trouble() -> None:
    """Ten thousand turns are read like two."""
    history = [Turn(Role.USER, "u"), Turn(Role.ASSISTANT, "a")] * 5_000

    assert last_exchange(exchange("x", "y", history)) == ("x", "y")


@pytest.mark.parametrize("score", [math.nan, math.inf, -0.01, 1.01, None, "high", []])
def test_a_score_is_a_probability(score: Any) -> None:
    """Any other number or thing is no verdict."""
    with pytest.raises(GuardrailError, match="score must be a probability"):
        Verdict(unsafe=True, score=score)


@pytest.mark.parametrize("value", [math.nan, 2.0, None])
def test_a_category_has_a_probability(value: Any) -> None:
    """The message names the category."""
    with pytest.raises(GuardrailError, match="O3 must be a probability"):
        Verdict(unsafe=True, score=0.9, categories={Category.O3: value})


def test_two_facts_make_a_verdict() -> None:
    """Categories and the classifier's name may be left out."""
    verdict = Verdict(unsafe=True, score=0.93)

    assert (verdict.categories, verdict.top) == ({}, None)


def test_the_top_category_is_the_most_probable() -> None:
    """Its refusal is shown."""
    assert Verdict(True, 0.9, {Category.O2: 0.2, Category.O5: 0.7}).top is Category.O5


def test_a_verdict_does_not_change() -> None:
    """Learning the categories makes a new verdict."""
    verdict = Verdict(True, 0.9, classifier="x")
    named = verdict.with_categories({Category.O1: 1.0})

    assert (verdict.categories, named) == ({}, Verdict(True, 0.9, {Category.O1: 1.0}, "x"))


@pytest.mark.parametrize(
    ("action", "blocked"),
    [(Action.ALLOW, False), (Action.FLAG, False), (Action.REPLACE, True)],
)
def test_only_a_replaced_text_is_blocked(action: Action, blocked: bool) -> None:
    """A flagged text was shown."""
    assert Outcome(action, "x").blocked is blocked
