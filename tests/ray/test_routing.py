"""Where conversations are at home."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from guardrail import Turn
from guardrail.integrations.ray_serve.routing import homes, key_of
from guardrail.types import Role, exchange, question

NAMES = [f"replica{number}" for number in range(8)]
TEXTS = st.text(max_size=8)


def test_all_checks_of_a_growing_reply_have_one_key() -> None:
    """And the user's next turn another."""
    history = [Turn(Role.USER, "안녕"), Turn(Role.ASSISTANT, "안녕하세요")]
    keys = {key_of(exchange("환불", reply, history)) for reply in ("", "네", "네, 환불은")}

    assert len(keys) == 1
    assert key_of(exchange("교환", "네", history)) not in keys


def test_what_has_no_past_has_no_key() -> None:
    """No replica has read more of it than another."""
    assert key_of(question("안녕")) == ""


def test_texts_cannot_be_shifted_between_turns() -> None:
    """Conversations that differ in where a turn ends have different keys."""
    talks = [("ab", "c"), ("a", "bc"), ("abc", ""), ("abc",), ("a", "b", "c"), ("userabc",)]
    keys = {key_of(tuple(Turn(Role.USER, text) for text in (*talk, "?"))) for talk in talks}

    assert len(keys) == len(talks)


def test_a_lone_surrogate_is_text_too() -> None:
    """JSON can hold one."""
    assert key_of(exchange("\ud800", "네"))


@given(TEXTS, st.permutations(NAMES))
def test_every_gateway_finds_the_same_homes(key: str, order: list[str]) -> None:
    """In whatever order it was told of the replicas."""
    assert homes(key, order) == homes(key, NAMES)


@given(TEXTS, st.sampled_from(NAMES))
def test_a_replica_that_goes_moves_only_its_own_conversations(key: str, gone: str) -> None:
    """Theirs go to the home that was their next."""
    before = homes(key, NAMES)
    after = homes(key, [name for name in NAMES if name != gone])

    assert after[0] == (before[1] if before[0] == gone else before[0])


def test_homes_are_spread_evenly() -> None:
    """Of 8 replicas each has about an eighth of the conversations."""
    counts = Counter(homes(str(number), NAMES)[0] for number in range(4000))

    assert 400 < min(counts.values()) < max(counts.values()) < 600
