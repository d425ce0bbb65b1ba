"""The linear judge learns from replies which n-grams speak against them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("sklearn", reason="training needs scikit-learn")

from training.encode import Encoded, Vocabulary
from training.examples import Example
from training.linear import linear_judge

ROWS = 2000
SAID = [("너는 벌레야", True), ("벌레 같은 놈", True), ("너는 친구야", False), ("고마운 분", False)]


def test_what_unsafe_replies_share_speaks_against_a_reply() -> None:
    """A word of theirs weighs more than one that only safe replies have."""
    drawing = Encoded([Example("", said, unsafe) for said, unsafe in SAID])
    vocabulary = Vocabulary.chosen([drawing], ROWS)
    linear = linear_judge([drawing.indexed(vocabulary)], ROWS)

    assert _score(linear, vocabulary, "벌레") > 0 > _score(linear, vocabulary, "친구")


def test_a_source_can_be_left_out() -> None:
    """What remains is what would have been drawn without it."""
    kept, gone = Example("", "네", False, source="one"), Example("", "싫어", True, source="other")

    rest = Encoded([gone, kept, gone]).without("other")

    assert len(rest) == 1
    assert np.array_equal(
        Vocabulary.chosen([rest], ROWS).row_of, Vocabulary.chosen([Encoded([kept])], ROWS).row_of
    )


def _score(
    linear: np.ndarray[tuple[int], np.dtype[np.float32]], vocabulary: Vocabulary, text: str
) -> float:
    encoded = Encoded([Example("", text, False)]).indexed(vocabulary)
    return float(linear[encoded.gather(np.array(encoded.saids[0]))[0]].sum())
