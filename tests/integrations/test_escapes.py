"""Text that JSON wrote in escapes is judged as its reader will see it, wherever it is cut."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from guardrail.integrations.escapes import Unescape, readable

TEXT = st.text(st.sampled_from('가한𝐤😀a\\u{}"d8') | st.characters(codec="utf-8"), max_size=20)


def pieces(text: str, cuts: list[int]) -> list[str]:
    """Return a text cut at some places."""
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in pairwise(places)]


def test_escapes_are_read_as_what_they_stand_for() -> None:
    """Hangul, pairs of surrogates, and halves without the other."""
    assert readable("\\uD55C\\uae00 \\ud83d\\ude00 \ud83d \\n") == "한글 😀 \ufffd \\n"
    assert readable("\\ud835\udc24") == "𝐤"


@given(TEXT, st.lists(st.integers(0, 500), max_size=30))
def test_a_cut_changes_nothing(text: str, cuts: list[int]) -> None:
    """Neither within an escape nor between the halves of a pair, escaped or not."""
    unescape, written = Unescape(), json.dumps(text)
    read = "".join(map(unescape, pieces(written, cuts))) + unescape.rest()

    assert read == readable(written)


@given(TEXT)
def test_halves_that_come_apart_are_joined(text: str) -> None:
    """As a reader's own program joins them."""
    units = text.encode("utf-16-be")
    halves = [chr(high << 8 | low) for high, low in zip(units[::2], units[1::2], strict=True)]
    unescape = Unescape()

    assert "".join(map(unescape, halves)) + unescape.rest() == readable(text)
