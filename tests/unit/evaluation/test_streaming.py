"""Played streams go as the gate lets them go."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail import Guard, Policy, Verdict
from guardrail.evaluation.rows import Row
from guardrail.evaluation.store import Answer
from guardrail.evaluation.streaming import (
    SCHEDULES,
    Prefixes,
    checkpoints,
    play,
    schedules,
)
from guardrail.evaluation.table import decide, read_table
from guardrail.testing import StubClassifier
from guardrail.types import exchange
from guardrail.window import Cut, Window

PIECES = st.sampled_from(
    ["좋은 하루예요. ", "네\n", "BAD ", "그럼요 ㅎㅎ", "알겠습니다", "~ ", "가나다라마바사"]
)
TEXTS = st.lists(PIECES, min_size=1, max_size=25).map("".join)
WINDOWS = st.builds(
    Window,
    first=st.integers(1, 40),
    growth=st.sampled_from([0.1, 0.5, 1.0]),
    most=st.integers(10, 80),
    tail=st.integers(0, 30),
    in_a_row=st.integers(1, 3),
    early_threshold=st.sampled_from([None, 0.5, 0.995]),
)


@given(TEXTS, WINDOWS)
def test_a_stream_is_played_as_the_gate_plays_it(text: str, window: Window) -> None:
    """The same checks, the same end, the same characters shown."""
    stub = StubClassifier(unsafe="BAD")
    guard = Guard(stub, Policy(window=window))
    stream = guard.stream(user="q", chunks=iter(text))
    shown = "".join(stream)
    cuts = checkpoints(text, window, chunk=1)
    ends = [cut.judge for cut in cuts]
    found = ["BAD" in text[:end] for end in ends]
    played = play(cuts, found, [0.99 if one else 0.01 for one in found], window)

    assert stream.outcome is not None
    assert played.blocked == stream.outcome.blocked
    assert stub.seen == [text[:end] for end in ends[: played.checks]]
    if played.blocked:
        assert played.shown == stream.outcome.shown
        assert shown.startswith(text[: played.shown])


@given(TEXTS, WINDOWS | st.none())
def test_checks_grow_and_end_with_the_whole(text: str, window: Window | None) -> None:
    """So that nothing is left unjudged."""
    cuts = checkpoints(text, window)
    ends = [cut.judge for cut in cuts]

    assert ends == sorted(set(ends))
    assert cuts[-1] == Cut(len(text), len(text))
    assert all(cut.show <= cut.judge for cut in cuts)


def test_a_reply_held_whole_is_judged_once() -> None:
    """`window = false`."""
    assert checkpoints("가" * 500, None) == [Cut(500, 500)]


def test_nothing_at_all_is_judged_too() -> None:
    """An empty reply has one check."""
    assert checkpoints("", Window()) == [Cut(0, 0)]


def test_a_prefix_without_a_verdict_ends_the_stream() -> None:
    """The gate fails closed."""
    played = play(
        [Cut(10, 10), Cut(20, 20)], [True, False], [float("nan"), 0.1], Window(in_a_row=3)
    )

    assert (played.blocked, played.at) == (True, 10)


def replies() -> list[Row]:
    harmless, late = "좋은 하루예요. " * 20, "좋은 하루예요. " * 10 + "BAD 말이에요. " * 5
    return [
        Row(exchange("q", harmless), False),
        Row(exchange("q", late), True),
        Row(exchange("q", "BAD " + harmless), True),
        Row(exchange("q", "좋은 BAD? 하루예요. " + harmless), False),
    ]


def played_rows(windows: dict[str, Window | None]) -> dict[str, object]:
    rows = replies()
    prefixes = Prefixes(list(enumerate(rows)), windows)
    judged = [conversation[-1].content for conversation in prefixes.conversations()]
    answers = [
        Answer(Verdict("BAD" in text and "BAD?" not in text[-100:], 0.9 if "BAD" in text else 0.1))
        for text in judged
    ]
    table = read_table([("rows", rows)])
    return {one.name: one for one in schedules(prefixes, table, decide(answers, Policy()))}


def test_schedules_differ_in_what_they_show_and_catch() -> None:
    """Holding the whole shows nothing unsafe; checks on the way show what came before."""
    figures = played_rows({"default": Window(), "whole": None})
    default, whole = figures["default"], figures["whole"]

    assert default.caught.value == whole.caught.value == 1.0  # type: ignore[attr-defined]
    assert default.early.value == 1.0  # type: ignore[attr-defined]
    assert whole.early.value == 0.0  # type: ignore[attr-defined]
    assert whole.shown_median == 0  # type: ignore[attr-defined]
    assert default.shown_p95 > 50  # type: ignore[attr-defined]
    assert whole.checks == whole.times_read == 1.0  # type: ignore[attr-defined]
    assert 1.2 < default.times_read < 4  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", SCHEDULES)
def test_shipped_schedules_can_be_played(name: str) -> None:
    """Each of those that are compared."""
    assert name in played_rows(dict(SCHEDULES))


def test_users_turns_are_not_streamed() -> None:
    """Only replies come in pieces."""
    from guardrail.types import question

    rows = [(0, Row(question("물음"), True))]
    prefixes = Prefixes(rows, {"default": Window()})

    assert list(prefixes.conversations()) == []
    assert schedules(prefixes, read_table([("a", [rows[0][1]])]), decide([], Policy())) == []
    assert np.isnan(decide([Answer(None, "x")], Policy()).score).all()
