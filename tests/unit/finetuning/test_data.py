"""Rows to learn from and rows to be measured on stay apart."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import ConfigError
from guardrail.evaluation.data import Dataset
from guardrail.evaluation.rows import Row
from guardrail.finetuning.data import HELD_OUT, gather
from guardrail.finetuning.duplicates import alike, near_duplicates
from guardrail.finetuning.settings import Duplicates, Settings
from guardrail.types import exchange
from tests.unit.finetuning.helpers import rows

LONG = "접수하신 날부터 영업일 기준으로 사흘 안에 환불해 드리며 카드사에 따라 하루 이틀 더 걸릴 수 있어요"
DIFFERENT = "폭탄 세일은 이번 주 일요일까지 이어지고 첫 구매 고객께는 무료 배송 쿠폰을 함께 드려요"


@pytest.mark.parametrize(
    "twin",
    [
        LONG,
        f"  {LONG}!! ",
        LONG.replace(" ", ""),
        unicodedata.normalize("NFD", LONG),
        LONG.replace("사흘", "삼일"),
        LONG + " 네",
    ],
    ids=["same", "punctuated", "unspaced", "decomposed", "a word changed", "a word more"],
)
def test_near_duplicates_are_found(twin: str) -> None:
    """Whatever spaces, marks, normal form and single words do."""
    assert near_duplicates([DIFFERENT, twin], [DIFFERENT[:20], LONG]) == {1: 1}


@pytest.mark.parametrize("other", [DIFFERENT, LONG[:20], LONG + DIFFERENT, ""])
def test_what_is_no_duplicate(other: str) -> None:
    """Another text, a part of it, or it with as much again."""
    assert near_duplicates([other], [LONG]) == {}


@given(st.lists(st.text(max_size=40), max_size=8), st.text(max_size=40))
def test_any_text_is_its_own_duplicate(others: list[str], text: str) -> None:
    """Also an empty one, one of a letter, and one of marks alone."""
    assert 0 in near_duplicates([text], [*others, text])


def datasets(count: int = 40) -> tuple[Dataset, Dataset]:
    """Return rows to learn from of which five stand among those to be measured on."""
    learned, measured = rows(count, seed=0), rows(20, seed=1)
    return Dataset.of([*learned, *measured[:5]], "learned"), Dataset.of(measured, "measured")


def test_duplicates_are_dropped_from_what_is_learnt() -> None:
    """The evaluation set stays whole, and it is told how many were dropped."""
    learned, measured = datasets()
    data = gather([learned], [measured], Settings())

    assert len(data.sets["measured"]) == 20
    assert data.dropped["measured"] >= 5
    assert len(data.train) == 45 - data.dropped["measured"]


def test_duplicates_can_be_refused() -> None:
    """With how many there are and where the first is."""
    learned, measured = datasets()

    with pytest.raises(ConfigError, match="training rows nearly stand in an evaluation set"):
        gather([learned], [measured], Settings(duplicates=Duplicates.REFUSE))


def test_without_a_set_rows_are_held_out() -> None:
    """The same share of each kind, drawn by the seed; none of them is learnt from."""
    all_rows = rows(200, seed=3)
    data = gather([Dataset.of(all_rows)], [], Settings(hold_out=0.2))
    held = data.sets[HELD_OUT]

    assert (len(held), sum(row.unsafe for row in held)) == (40, 20)
    assert {row.text for row in data.train}.isdisjoint(row.text for row in held)
    assert data == gather([Dataset.of(all_rows)], [], Settings(hold_out=0.2))


def test_near_duplicates_are_held_out_together() -> None:
    """Else all but the held out ones of a question that is asked often would be dropped."""
    asked = [f"{number % 20} {LONG[number % 20 :]}" for number in range(200)]
    faq = [Row(exchange("", f"{text}!"), n % 2 == 0) for n, text in enumerate(asked)]
    data = gather([Dataset.of([*rows(200, seed=3), *faq])], [], Settings())

    assert not data.dropped
    assert len(data.train) + len(data.sets[HELD_OUT]) == 400
    assert 30 <= len(data.sets[HELD_OUT]) <= 40


def test_groups_are_closed() -> None:
    """What is like a text of a group is in it, also when it is not like the others."""
    chain = [LONG, LONG[4:], LONG[8:], LONG[12:]]

    assert near_duplicates(chain[3:], chain[:1]) == {}
    assert alike([chain[0], DIFFERENT, chain[3], chain[1], chain[2], DIFFERENT]) == [
        [0, 2, 3, 4],
        [1, 5],
    ]


def test_one_kind_of_row_teaches_nothing() -> None:
    """It is refused before anything is loaded."""
    safe = [row for row in rows(40, seed=0) if not row.unsafe]

    with pytest.raises(ConfigError, match="no unsafe row to learn from"):
        gather([Dataset.of(safe)], [Dataset.of(rows(9, seed=1), "m")], Settings())


def test_a_kind_that_was_dropped_is_told() -> None:
    """The rows are there; they stand in the evaluation set too."""
    one, *others = [row for row in rows(40, seed=0) if row.unsafe]
    safe = [row for row in rows(40, seed=1) if not row.unsafe]

    with pytest.raises(ConfigError, match=r"no unsafe row to learn from.*: 1 nearly stand in"):
        gather([Dataset.of([one, *safe])], [Dataset.of([one, *others], "m")], Settings())


def test_too_few_to_hold_out() -> None:
    """The error says what to do."""
    with pytest.raises(ConfigError, match="name an evaluation set"):
        gather([Dataset.of(rows(4, seed=0))], [], Settings())


def test_the_turn_column_is_read_from_what_is_learnt_alone(tmp_path: Path) -> None:
    """Sets to be measured on need not have it."""
    learned, measured = tmp_path / "learned.jsonl", tmp_path / "measured.jsonl"
    record = {"user": "안녕", "assistant": LONG, "unsafe": True}
    safe = {"user": "안녕", "assistant": DIFFERENT, "unsafe": False}
    learned.write_text("\n".join(json.dumps({**one, "turn": 3}) for one in (record, safe)))
    measured.write_text(json.dumps({**record, "assistant": "아주 다른 말이에요"}))
    data = gather([learned], [measured], Settings(prefixes=1, turn_column="turn"))

    assert [row.groups for row in data.train] == [{"turn": "3"}] * 2
