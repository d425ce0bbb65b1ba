"""Long conversations: everything is judged, nothing twice as long as the context."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.classifiers.windows import cut, pairs
from guardrail.errors import ClassifierError
from guardrail.types import Conversation, exchange, question
from tests.unit.kosafeguard.llamas import pair

CONTEXT = 1100
WORDS = [f"말{number}" for number in range(300)]
LONG = " ".join(WORDS)


def prompts_of(conversation: Conversation) -> list[str]:
    """Return the texts of the prompts that a conversation is judged by."""
    both = pair(context_tokens=CONTEXT)
    prompts = both.guard.prompts(conversation)

    assert all(len(prompt.ids) <= CONTEXT for prompt in prompts)
    return [both.recipe._tokenizer.decode(prompt.ids) for prompt in prompts]


@given(st.integers(0, 80), st.integers(1, 20))
def test_windows_cover_the_text(length: int, size: int) -> None:
    """Windows are the text's own pieces, in order, none too long, with nothing between them."""
    text = "".join(map(chr, range(0x4E00, 0x4E00 + length)))  # no character twice
    end = 0
    for window in cut(text, list(range(length)), size):
        assert len(window) <= size
        assert text.index(window) <= end
        end = text.index(window) + len(window)

    assert end == len(text)


def test_windows_overlap_and_stay() -> None:
    """Neighbours share a quarter, and those of a growing text begin where they began."""
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 100)))
    windows = cut(text, list(range(100)), 40)
    longer = cut(text + "끝", list(range(101)), 40)

    assert windows[0][30:] == windows[1][:10]
    assert longer[: len(windows) - 1] == windows[:-1]


@given(st.integers(1, 60), st.integers(1, 60))
def test_pairs_of_windows(users: int, replies: int) -> None:
    """Both texts are shown whole, the reply beside a request's two ends, and few prompts do it."""
    shown = pairs(users, replies)
    ends = {(user, reply) for user in (0, users - 1) for reply in range(replies)}

    assert len(set(shown)) == len(shown) <= max(64, 3 * max(users, replies))
    assert {user for user, _ in shown} == set(range(users))
    assert {reply for _, reply in shown} == set(range(replies))
    assert ends <= set(shown)


def test_few_windows_are_shown_each_with_each() -> None:
    """Texts of a few windows are judged in every combination."""
    assert len(pairs(8, 8)) == 64


def test_a_short_conversation_is_one_prompt() -> None:
    """What fits the context is judged in one piece."""
    assert len(prompts_of(exchange("안녕", "네"))) == 1


@pytest.mark.parametrize(
    "conversation",
    [exchange("짧은 질문", LONG), exchange(LONG, "짧은 답"), exchange(LONG, LONG), question(LONG)],
    ids=["long reply", "long user text", "both long", "long question"],
)
def test_nothing_is_cut_off(conversation: Conversation) -> None:
    """Every word of a conversation too long for the context is in one of its prompts."""
    shown = " ".join(prompts_of(conversation))

    assert [word for word in WORDS if word not in shown] == []


def test_the_users_text_is_kept() -> None:
    """Every window of a long reply is shown with what the user asked."""
    shown = prompts_of(exchange("질문은 이거예요", LONG))

    assert len(shown) > 1
    assert all("질문은 이거예요" in prompt for prompt in shown)


def test_the_worst_window_counts() -> None:
    """The score of a long conversation is the highest of its windows', by the recipe too."""
    both = pair(context_tokens=CONTEXT)
    shown = prompts_of(exchange("안녕", LONG))
    texts = [prompt.split("Assistant: ")[1].split("\n<END")[0] for prompt in shown]
    expected = both.expected(*(exchange("안녕", text) for text in texts))

    assert both.guard.classify(exchange("안녕", LONG)).score == pytest.approx(
        max(expected), abs=1e-4
    )


def test_no_room_for_text() -> None:
    """A context that the prompt alone fills is an error that says so."""
    with pytest.raises(ClassifierError, match="context_tokens"):
        pair(context_tokens=800).guard.classify(exchange("안녕", LONG))
