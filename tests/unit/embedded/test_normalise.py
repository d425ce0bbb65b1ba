"""Normalisation undoes disguises and leaves ordinary text alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.classifiers.embedded.normalise import readable, unmasked

HANGUL_TRICKS = st.text(
    alphabet="가나죽시발ㅅㅣㅂㅏㄹㅋㅎㅠ1lO0|!·.,_- ~♡\u200b\u3164\u1109\u1175\u11afaA"
)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ㅂㅏㅂㅗ", "바보"),
        ("바ㅂㅗ", "바보"),
        ("ㄱㅘㄴㄱㅖ", "관계"),
        ("ㅈㅗㅏ", "좌"),
        ("\u1107\u1161\u1107\u1169", "바보"),
        ("바\u200b보", "바보"),
        ("바\u3164보", "바보"),
        ("바\u115f\u1160보", "바보"),
        ("바\uffa0보", "바보"),
        ("바♥보★", "바보"),
        ("ＡＢＣ", "abc"),
        ("살려줘어어어어", "살려줘어어"),
        ("ㅋㅋㅋㅋㅋㅋ", "ㅋㅋ"),
        ("네에  \n\n 그래요", "네에\n그래요"),
        ("**네**, __굵게__ `코드`", "네, 굵게 코드"),
        ("# 제목\n> 인용", "제목\n인용"),
    ],
)
def test_a_disguise_is_undone(typed: str, meant: str) -> None:
    """Split letters, fillers, decorations and stretching leave the readable form."""
    assert readable(typed) == meant


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ㅂr보", "바보"),
        ("ㅁ1ㅊ1ㄴ", "미친"),
        ("人ㅣ장", "시장"),
        ("바1보", "바보"),
        ("바.보.야", "바보야"),
        ("자 살 하 는", "자살하는"),
        ("바아아보", "바보"),
        ("그1럼1 하1세1요1 네", "그럼 하세요 네"),
        ("그ㅋ럼ㅋ 하ㅋ세ㅋ요", "그럼 하세요"),
        ('"네" "그럼" "하세요"', "네 그럼 하세요"),
        ("그\n럼\n하\n세\n요", "그럼하세요"),
        ("그럼\n지금\n당장\n하세요", "그럼 지금 당장 하세요"),
        ("그럼... 하세요...지금", "그럼 하세요 지금"),
    ],
)
def test_a_mask_is_taken_off(typed: str, meant: str) -> None:
    """Look-alikes, fillers between syllables and spread spacing go in the second form."""
    assert unmasked(readable(typed)) == meant


@pytest.mark.parametrize(
    "text",
    [
        "네, 3시 30분에 예약해 드릴게요!",
        "2026년 1월 1일, 10000원입니다.",
        "ㅇㅋ 알겠ㅠㅠ",
        "했는데ㄷㄷ ㅋㅋ",
        "한 번 더 눌러 주세요.\n감사합니다.",
        "a/b, 50% (반값)",
        "ㅇㅈ? ㅇㅇ",
        '"네" 하고 "아니오" 중에 골라 주세요.',
        "사과 2개\n우유 1개",
        "- 첫째 * 둘째",
        "ㅋㅋ네ㅋㅋ",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    """What nobody disguised is not changed."""
    assert unmasked(readable(text)) == text


@given(st.text(alphabet=st.characters()) | HANGUL_TRICKS)
def test_readable_twice_is_readable_once(text: str) -> None:
    """Whatever the code points, lone surrogates included, once is enough."""
    once = readable(text)

    assert readable(once) == once


@given(st.text(alphabet=st.characters()) | HANGUL_TRICKS)
def test_unmasked_twice_is_unmasked_once(text: str) -> None:
    """The second form is stable too, and still readable."""
    once = unmasked(readable(text))

    assert unmasked(once) == once
    assert readable(once) == once


def test_a_letter_that_stands_for_many_costs_no_more_than_others() -> None:
    """Nobody can make a message eighteen times as long."""
    assert readable("\ufdfa" * 1000) == ""


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    """Later steps may use control characters as marks of their own."""
    assert not any(ord(letter) < 32 and letter != "\n" for letter in readable(text))
