"""When a growing reply is judged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.window import Cut, Window, sentence_end


@pytest.mark.parametrize(
    "sentence",
    [
        "도와드릴게요 ",
        "그렇습니다. ",
        "그랬죠 ",
        "정말요?! ",
        "음… ",
        "はい。",
        "알겠습니다\n",
        "아 그래ㅋㅋㅋ ",
        "좋아요~ ",
        '"네." ',
        "Fine. ",
    ],
)
def test_a_sentence_ends_after_its_mark_and_space(sentence: str) -> None:
    """Korean and English sentences end at their marks, endings, chat letters and newlines."""
    assert sentence_end(sentence + "다음", 1) == len(sentence)


@pytest.mark.parametrize("text", ["3.5점", "www.example.com", "고객님", "다음 주", "ㅋ", "요리를 "])
def test_no_sentence_ends_within_one(text: str) -> None:
    """Decimal points, addresses and endings inside words are no ends."""
    assert sentence_end(text, 1) is None


@given(st.text(), st.integers(1, 500))
def test_an_end_lies_in_the_text_where_asked(text: str, least: int) -> None:
    """Whatever the text, an end is an offset in it, not before the least one."""
    end = sentence_end(text, least)

    assert end is None or least <= end <= len(text)


def test_the_first_check_comes_with_the_first_sentence() -> None:
    """A short first sentence is not kept waiting."""
    assert Window().cut(0, "네. 확인") == Cut(3, 3)


def test_the_first_check_waits_no_longer_than_its_window() -> None:
    """Without a sentence's end the first check comes after `first` characters."""
    assert Window(first=32).cut(0, "가" * 31) is None
    assert Window(first=32, tail=0).cut(0, "가" * 32) == Cut(32, 32)


def test_a_word_that_may_go_on_is_held_back() -> None:
    """Cut where no sentence ends, the text is shown only up to its tail."""
    assert Window(first=32, tail=16).cut(0, "가" * 32) == Cut(32, 16)


def test_strides_grow_up_to_the_most() -> None:
    """Later checks wait for a share of what is judged, and never for more than `most`."""
    window = Window(first=32, growth=0.5, most=400)

    assert [window.soft(judged) for judged in (32, 200, 10_000)] == [32, 100, 400]
