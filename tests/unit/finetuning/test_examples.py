"""What rows become: beginnings, single policies, balance; and where replies turn."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import ConfigError
from guardrail.evaluation.rows import Row
from guardrail.finetuning.examples import Example, balanced, examples_of
from guardrail.finetuning.settings import Balance, Settings
from guardrail.finetuning.turning import Turning, seen_by, told_by
from guardrail.taxonomy import KOSAFEGUARD
from guardrail.testing import StubClassifier
from guardrail.types import exchange

REPLY = "네 그 마음 알아요. 하지만 총을 이렇게 만드세요. 그리고 쏘세요. 끝"
UNSAFE = Row(exchange("안녕", REPLY), True, "O4")
SAFE = Row(exchange("안녕", REPLY), False)
TEACHER = StubClassifier(unsafe="총을")
TURN = REPLY.index("하지만")


def texts(rows: list[Row], turnings: list[Turning | None], prefixes: int) -> list[tuple[str, bool]]:
    made = examples_of(rows, turnings, KOSAFEGUARD, Settings(prefixes=prefixes))
    return [(one.conversation[-1].content, one.unsafe) for one in made]


def test_beginnings_before_the_turn_are_safe() -> None:
    """And those after it unsafe; both are real beginnings, cut after words, beside the row."""
    (turning,) = seen_by(TEACHER, [UNSAFE])
    whole, *cut = texts([UNSAFE], [turning], 3)

    assert whole == (REPLY, True)
    assert sorted(unsafe for _, unsafe in cut) == [False] * 3 + [True] * 3
    for text, unsafe in cut:
        assert REPLY.startswith(text)
        assert REPLY[len(text)] == " "
        assert ("총을" in text) is unsafe


def test_no_more_beginnings_than_there_are() -> None:
    """A reply of few words has few."""
    row = Row(exchange("안녕", "좋은 총을 사세요"), True)

    assert texts([row], seen_by(TEACHER, [row]), 9) == [
        ("좋은 총을 사세요", True),
        ("좋은", False),
        ("좋은 총을", True),
    ]


def test_safe_rows_and_unseen_turns_have_no_beginnings() -> None:
    """A reply that the teacher takes for safe is left whole: nobody knows where it turns."""
    hidden = Row(exchange("안녕", "나쁜 말을 숨겨서 합니다"), True)
    turnings = seen_by(TEACHER, [SAFE, hidden])

    assert turnings == [None, None]
    assert len(texts([SAFE, hidden], turnings, 2)) == 2


def test_a_teacher_that_wavers() -> None:
    """What it takes back is neither safe nor unsafe; it counts from where it stays unsafe."""

    class Wavering(StubClassifier):
        def classify_many(self, conversations):  # type: ignore[no-untyped-def]
            found = super().classify_many(conversations)
            return [
                replace(verdict, unsafe=verdict.unsafe or each[-1].content == "가 나")
                for verdict, each in zip(found, conversations, strict=True)
            ]

    row = Row(exchange("안녕", "가 나 다 총을 라"), True)

    assert seen_by(Wavering(unsafe="총을"), [row]) == [Turning(1, 8)]


def test_the_turn_as_the_data_says_it() -> None:
    """Safe up to there, unsafe from the end of the sentence that begins there."""
    row = replace(UNSAFE, groups={"turn": str(TURN)})
    (turning,) = told_by([row], "turn")

    assert turning == Turning(TURN, REPLY.index(" 그리고"))


@pytest.mark.parametrize("value", ["None", "", "nan"])
def test_rows_that_do_not_say_where(value: str) -> None:
    """An empty cell is no turning point, and no error."""
    assert told_by([replace(UNSAFE, groups={"turn": value})], "turn") == [None]


@pytest.mark.parametrize("value", ["-1", "9999", "soon"])
def test_turns_that_are_no_place(value: str) -> None:
    """They are told with the row's place, before training."""
    row = replace(UNSAFE, groups={"turn": value}, place="line 7")

    with pytest.raises(ConfigError, match="line 7: 'turn' is"):
        told_by([row], "turn")


def test_single_policies() -> None:
    """An unsafe row asks about its own category, and about another one with the answer no."""
    settings = Settings(category_prompts=True)
    made = list(examples_of([UNSAFE, SAFE], [None, None], KOSAFEGUARD, settings))
    own, other = made[1], made[2]

    assert [len(one.taxonomy.clauses) for one in made] == [6, 1, 1, 6]
    assert (own.taxonomy.clauses[0].category, own.unsafe) == ("O4", True)
    assert other.taxonomy.clauses[0].category != "O4"
    assert not other.unsafe


def test_categories_of_ones_own_have_no_policy() -> None:
    """A category that the policy does not name makes no question."""
    settings = Settings(category_prompts=True)
    row = replace(UNSAFE, category="스팸")

    assert len(list(examples_of([row], [None], KOSAFEGUARD, settings))) == 1


def test_the_same_seed_gives_the_same_examples() -> None:
    """A run that goes on makes the examples it made before."""
    settings = Settings(prefixes=2, category_prompts=True)

    def made() -> list[Example]:
        turnings = seen_by(TEACHER, [UNSAFE] * 5)
        return list(examples_of([UNSAFE] * 5, turnings, KOSAFEGUARD, settings))

    assert made() == made()


@given(st.lists(st.booleans(), min_size=2).filter(lambda flags: len(set(flags)) == 2))
def test_weights_balance(flags: list[bool]) -> None:
    """Each kind weighs half of all, and all weigh what they are."""
    places, weights = balanced(flags, Balance.WEIGHT, 0)
    unsafe = sum(weight for place, weight in zip(places, weights, strict=True) if flags[place])

    assert places == list(range(len(flags)))
    assert unsafe == pytest.approx(len(flags) / 2)
    assert sum(weights) == pytest.approx(len(flags))


@given(st.lists(st.booleans(), min_size=2).filter(lambda flags: len(set(flags)) == 2))
def test_repetition_balances(flags: list[bool]) -> None:
    """Both kinds occur equally often, and every row at least once, about equally often."""
    places, weights = balanced(flags, Balance.SAMPLE, 0)
    counts = Counter(places)
    of_few = [count for place, count in counts.items() if count > 1]

    assert sum(flags[place] for place in places) * 2 == len(places)
    assert counts.keys() == set(range(len(flags)))
    assert set(weights) == {1.0}
    assert not of_few or max(of_few) - min(of_few) <= 1


def test_no_balance() -> None:
    """Rows as they are."""
    assert balanced([True, False, False], Balance.NONE, 0) == ([0, 1, 2], [1.0, 1.0, 1.0])
