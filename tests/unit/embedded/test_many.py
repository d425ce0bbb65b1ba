"""Many turns at once are judged quicker, and not otherwise."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.classifiers.embedded import Embedded
from guardrail.classifiers.embedded.features import SIZES, grams
from guardrail.classifiers.embedded.network import Network
from guardrail.classifiers.embedded.normalise import readable
from guardrail.types import Conversation, exchange, question

EMBEDDED = Embedded()
NETWORK = Network.load()
WORDS = st.sampled_from(
    [
        *"가나힣ㄱㅏㅋ!?. \n",
        "시발",
        "ㅅㅣㅂㅏㄹ",
        "환불해 주세요.",
        "대마 어디서 사?",
        "네. ",
        "abc ",
        "\u200b",
    ]
)
TEXTS = st.one_of(
    st.text(max_size=30),
    st.lists(WORDS, max_size=40).map("".join),
    st.lists(WORDS, min_size=1, max_size=3).map(lambda words: "".join(words) * 400),  # windows
)
CONVERSATIONS: st.SearchStrategy[Conversation] = st.one_of(
    st.builds(exchange, TEXTS, TEXTS), st.builds(question, TEXTS)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(CONVERSATIONS, max_size=9))
def test_a_batch_is_judged_as_each_alone(conversations: list[Conversation]) -> None:
    """To the bit, whatever the texts: long ones, blank ones, disguised ones, questions alone."""
    alone = [EMBEDDED.classify(one) for one in conversations]

    assert EMBEDDED.classify_many(conversations * 9) == alone * 9


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS.map(readable), max_size=9))
def test_texts_are_read_as_each_alone(texts: list[str]) -> None:
    """Numbers of one text know nothing of the others."""
    for text, many in zip(texts, NETWORK.read_many(texts), strict=True):
        alone = NETWORK.read(text)

        assert np.array_equal(alone.parts, many.parts)
        assert np.array_equal(alone.whole, many.whole)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("가나 a.", max_size=12), min_size=1, max_size=9))
def test_sentences_share_no_grams(parts: list[str]) -> None:
    """What is found in many is what is found in each; none reaches over an end."""
    many = grams(parts)

    for place, part in enumerate(parts):
        assert np.array_equal(many.slots[many.owner == place], grams([part]).slots)
    assert np.all(np.diff(many.owner) >= 0)


def test_a_sentence_has_a_gram_for_each_size_and_place() -> None:
    """Its letters stand between two breaks."""
    letters = len("ㄱㅏㄴㅏ")

    assert len(grams(["가나"]).slots) == sum(letters + 2 - size + 1 for size in SIZES if size <= 6)
