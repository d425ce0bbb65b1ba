"""Long texts are judged whole, in overlapping windows."""

from hypothesis import given
from hypothesis import strategies as st

from guardrail.classifiers.embedded.windows import OVERLAP, WINDOW, windows

LONG = st.text(alphabet="가나다 \n", max_size=5000)


@given(LONG)
def test_every_character_is_in_a_window(text: str) -> None:
    """Each window begins inside the one before it and goes on where that ended."""
    place, covered = 0, 0
    for window in windows(text):
        place = text.index(window, max(0, covered - WINDOW))
        assert place <= covered
        covered = max(covered, place + len(window))
    assert covered == len(text)


@given(LONG)
def test_no_window_is_too_long(text: str) -> None:
    """The work per window has a bound."""
    assert all(len(window) <= WINDOW for window in windows(text))


def test_a_sentence_on_a_border_is_whole_in_one_window() -> None:
    """The overlap is longer than a sentence."""
    sentence = "끝" * (OVERLAP - 60)
    for before in range(600, 1100, 7):
        text = "가 " * (before // 2) + sentence + " 나" * 600
        assert any(sentence in window for window in windows(text))
