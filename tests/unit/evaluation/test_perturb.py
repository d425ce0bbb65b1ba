"""Disguises and tricks change how a text is written, never fail, and are the same for a seed."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.evaluation.perturb import PERTURBATIONS
from guardrail.letters import Syllable, is_syllable
from guardrail.types import Role

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)  # lone surrogates too
KOREAN = "그런 사람은 대표님도 미워해요. 그냥 두지 마세요, ok?"


@pytest.mark.parametrize("name", PERTURBATIONS)
@given(text=ANY_TEXT)
def test_no_text_breaks_a_perturbation(name: str, text: str) -> None:
    """Whatever its code points, for both roles."""
    for role in (Role.USER, Role.ASSISTANT):
        assert isinstance(PERTURBATIONS[name](text, "seed", role), str)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_korean_is_rewritten_the_same_each_time(name: str) -> None:
    """The row's place is the seed, so a run that goes on rewrites as before."""
    rewrite = PERTURBATIONS[name]

    assert rewrite(KOREAN, "1") == rewrite(KOREAN, "1") != KOREAN


def test_users_do_not_refuse() -> None:
    """A refusal first is a trick of replies."""
    assert PERTURBATIONS["refusal first"](KOREAN, "1", Role.USER) == KOREAN


@given(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3))
def test_syllables_come_apart_and_together(char: str) -> None:
    """Every syllable is its letters."""
    assert is_syllable(char)
    assert str(Syllable.of(char)) == char


@pytest.mark.parametrize(
    ("name", "written", "rewritten"),
    [
        ("nfd", "각", unicodedata.normalize("NFD", "각")),
        ("unspaced", "가 나 다", "가나다"),
        ("romanised", "안녕하세요 ok", "annyeonghaseyo ok"),
    ],
)
def test_rewritings_that_leave_nothing_to_chance(name: str, written: str, rewritten: str) -> None:
    """Known results."""
    assert PERTURBATIONS[name](written, "1") == rewritten


def test_a_forged_end_stands_after_the_text() -> None:
    """The text itself is whole before it."""
    for name in ("forged role", "forged marker", "disclaimer"):
        assert PERTURBATIONS[name](KOREAN, "1").startswith(KOREAN)
