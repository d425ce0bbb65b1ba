"""Lanes that end together: the first refusal of a group is its only one, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail import Guard, Outcome
from guardrail.gate import Shape
from guardrail.testing import ListHook, StubClassifier
from guardrail.types import question
from guardrail.window import Window

from ..conftest import Mode

Event = tuple[tuple[int, str], str]
REFUSAL = "(refused)"
EAGER = Window(first=1)
SHAPE: Shape[Event] = Shape(
    read=lambda event: event,
    refuse=lambda lane, _: [(lane, REFUSAL)],  # type: ignore[list-item] # lanes are pairs here
    lanes=[(0, "a"), (1, "a")],
    group=lambda lane: lane[0],  # type: ignore[index] # likewise
)


def shown(
    mode: Mode, events: Sequence[Event], window: Window | None = EAGER, delay: float = 0.0
) -> tuple[list[Event], dict[object, Outcome], int]:
    """Return what is shown of events, what became of their lanes, and how many records there are."""
    hook = ListHook()
    guard = Guard(StubClassifier("!", delay=delay), hooks=[hook])
    if mode is Mode.SYNC:
        stream = guard.stream_events(events, SHAPE, asked=question("q"), window=window)
        return list(stream), stream.outcomes, len(hook.records)

    async def upstream() -> AsyncIterator[Event]:
        for event in events:
            yield event

    async def run() -> tuple[list[Event], dict[object, Outcome]]:
        stream = guard.astream_events(upstream(), SHAPE, asked=question("q"), window=window)
        return [event async for event in stream], stream.outcomes

    return *asyncio.run(run()), len(hook.records)


def test_a_refusal_ends_the_group(mode: Mode) -> None:
    """Neither what is held of other lanes leaves, nor lanes that open later; other groups go on."""
    events: list[Event] = [((0, "a"), "x."), ((0, "b"), "y!"), ((1, "a"), "z."), ((0, "c"), "w.")]

    out, outcomes, records = shown(mode, events, window=None)

    assert out == [((0, "b"), REFUSAL), ((1, "a"), "z.")]
    assert set(outcomes) == {(0, "b"), (1, "a")}
    assert records == 2


def test_two_lanes_refused_at_once_end_in_one_refusal(mode: Mode) -> None:
    """A group has one refusal, whichever of its lanes deserve one."""
    out, outcomes, records = shown(mode, [((0, "a"), "x!"), ((0, "b"), "y!")], window=None)

    assert [text for _, text in out] == [REFUSAL]
    assert len(outcomes) == records == 2  # the other group, which said nothing, is one


@pytest.mark.parametrize("delay", [0.0, 0.001])
@given(data=st.data())
def test_groups_keep_the_promise_in_any_order(
    mode: Mode, delay: float, data: st.DataObject
) -> None:
    """Nothing unsafe is shown, and nothing of a group after its refusal."""
    lanes = st.tuples(st.integers(0, 1), st.sampled_from("abc"))
    texts = st.sampled_from(["x", "y. ", "long enough to be judged. ", "!", ""])
    events = data.draw(st.lists(st.tuples(lanes, texts), max_size=12))

    out, outcomes, _ = shown(mode, events, delay=delay)

    assert not any("!" in text for _, text in out)
    for group in (0, 1):
        said = [text for lane, text in out if lane[0] == group]
        unsafe = any("!" in text for lane, text in events if lane[0] == group)
        assert said.count(REFUSAL) == unsafe
        assert not unsafe or said[-1] == REFUSAL
        assert unsafe or said == [text for lane, text in events if lane[0] == group]
        assert any(one.blocked for lane, one in outcomes.items() if lane[0] == group) == unsafe  # type: ignore[index] # lanes are pairs here
