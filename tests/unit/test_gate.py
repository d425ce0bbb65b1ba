"""The gate as a pure flow, driven through every order in which things can happen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail import ClassifierError, Outcome, Policy, Verdict
from guardrail.flow import Categorise, Now, Record
from guardrail.gate import Begin, Chunk, Emit, End, Judged, Next, Shape, Stop, gate
from guardrail.types import question
from guardrail.window import Window

Event = tuple[int | None, str]
REFUSAL = "(refused)"
WINDOW = Window()

SHAPE: Shape[Event] = Shape(
    read=lambda event: event, refuse=lambda lane, outcome: [(None, f"{lane}{REFUSAL}")], lanes=(0,)
)


@dataclass
class Run:
    """What a driven gate did, and the invariants that hold at every step of it."""

    events: Sequence[Event]
    judge: Callable[[str], float | Exception]
    order: Iterator[bool]  # whether a check that is under way answers before the next event
    shape: Shape[Event] = SHAPE
    emitted: list[Event] = field(default_factory=list)
    passed: set[str] = field(default_factory=set)
    checks: list[str] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    monitors: bool = False
    stopped: bool = False
    outcomes: dict[Any, Outcome] = field(default_factory=dict)

    def through(self, policy: Policy, window: Window | None) -> Run:
        self.monitors = policy.mode == "monitor"
        flow = gate(question("q"), policy, window, self.shape)
        arriving = iter(self.events)
        under_way: list[str] = []
        ended = False
        command = next(flow)
        while True:
            answer: Any = None
            match command:
                case Now():
                    answer = 0.0
                case Begin(asked):
                    assert not under_way or ended, "one check at a time, until the end"
                    under_way = [turns[-1].content for turns in asked.conversations]
                    self.checks += under_way
                case Next():
                    assert not self.stopped, "nothing is taken in after upstream is closed"
                    if under_way and (ended or next(self.order)):
                        answer, under_way = Judged(self._answers(under_way)), []
                    else:
                        event = next(arriving, None)
                        ended = event is None
                        answer = End() if event is None else Chunk(event)
                case Emit(event):
                    self._emit(event)
                case Stop():
                    self.stopped = True
                case Categorise(conversations, _):
                    answer = [{} for _ in conversations]
                case Record():
                    self.records.append(command)
            try:
                command = flow.send(answer)
            except StopIteration as end:
                self.outcomes = dict(end.value)
                return self

    def _answers(self, texts: list[str]) -> Any:
        scores = [self.judge(text) for text in texts]
        error = next((score for score in scores if isinstance(score, Exception)), None)
        if error is not None:
            return error
        self.passed |= {
            text for text, score in zip(texts, scores, strict=True) if score < 0.5 or self.monitors
        }
        return [Verdict(score >= 0.5, score) for score in scores]

    def _emit(self, event: Event) -> None:
        self.emitted.append(event)
        lane, text = event
        if lane is not None and text:
            shown = self.shown(lane)
            assert any(safe.startswith(shown) for safe in self.passed), f"{shown!r} was not judged"

    def shown(self, lane: int) -> str:
        return "".join(text for key, text in self.emitted if key == lane)


def run(
    events: Sequence[Event],
    judge: Callable[[str], float | Exception],
    *,
    order: Iterator[bool] | None = None,
    window: Window | None = WINDOW,
    policy: Policy | None = None,
    shape: Shape[Event] = SHAPE,
) -> Run:
    default = iter(lambda: True, None)
    return Run(events, judge, order or default, shape).through(policy or Policy(), window)


def texts(*chunks: str) -> list[Event]:
    return [(0, chunk) for chunk in chunks]


CHUNKS = st.lists(st.text("가나다요. \nㅋ!X", max_size=12), max_size=30)
ORDERS = st.lists(st.booleans()).map(lambda first: iter([*first, *[True] * 10_000]))
WINDOWS = st.none() | st.builds(
    Window,
    first=st.integers(1, 50),
    growth=st.floats(0.01, 3),
    most=st.integers(1, 100),
    tail=st.integers(0, 40),
    early_threshold=st.none() | st.floats(0, 1),
    in_a_row=st.integers(1, 3),
)


@given(CHUNKS, ORDERS, WINDOWS)
def test_a_safe_reply_leaves_as_it_came(
    chunks: list[str], order: Iterator[bool], window: Window | None
) -> None:
    """Every chunk of a safe reply is shown, unchanged and in order, and the whole is judged."""
    done = run(texts(*chunks), lambda _: 0.1, order=order, window=window)

    assert done.emitted == texts(*chunks)
    assert done.checks[-1] == "".join(chunks)
    assert done.outcomes[0].text == "".join(chunks)


@given(CHUNKS, ORDERS, WINDOWS)
def test_nothing_unsafe_is_shown(
    chunks: list[str], order: Iterator[bool], window: Window | None
) -> None:
    """An unsafe mark is never shown, nothing follows the refusal, and upstream is closed."""
    done = run(texts(*chunks), lambda text: 0.9 if "X" in text else 0.1, order=order, window=window)

    unsafe = "X" in "".join(chunks)
    assert "X" not in done.shown(0)
    assert done.outcomes[0].blocked == unsafe
    assert (done.emitted[-1:] == [(None, f"0{REFUSAL}")]) == unsafe
    assert done.stopped == unsafe
    assert not unsafe or done.outcomes[0].shown == len(done.shown(0))


@given(st.text("가나다 ", max_size=80), st.text("가나다 ", max_size=80), st.integers(1, 7), ORDERS)
def test_no_part_of_a_phrase_is_shown(
    before: str, after: str, size: int, order: Iterator[bool]
) -> None:
    """A phrase that is unsafe only as a whole is never shown in part for being cut in two."""
    reply = f"{before}나쁜말한마디{after}"
    chunks = [reply[at : at + size] for at in range(0, len(reply), size)]
    done = run(texts(*chunks), lambda text: 0.9 if "나쁜말한마디" in text else 0.1, order=order)

    assert set(done.shown(0)).isdisjoint("쁜말한마디")


@given(CHUNKS, ORDERS, WINDOWS, st.integers(0, 5))
def test_a_failing_classifier_shows_no_more(
    chunks: list[str], order: Iterator[bool], window: Window | None, good: int
) -> None:
    """From the first classifier error on nothing is shown but the refusal."""
    asked: list[str] = []

    def judge(text: str) -> float | Exception:
        asked.append(text)
        return 0.1 if len(asked) <= good else ClassifierError("down")

    done = run(texts(*chunks), judge, order=order, window=window)

    assert done.outcomes[0].blocked == (len(asked) > good)
    assert not done.outcomes[0].blocked or done.emitted[-1] == (None, f"0{REFUSAL}")


LANES = st.lists(
    st.tuples(st.sampled_from([0, 1, 2, None]), st.text("가다요. X", max_size=10)).map(
        lambda event: event if event[0] is not None else (None, "")
    ),
    max_size=40,
)


@given(LANES, ORDERS, WINDOWS)
def test_lanes_are_judged_each_for_itself(
    events: list[Event], order: Iterator[bool], window: Window | None
) -> None:
    """An unsafe lane is replaced whole from where it was cut; the others leave as they came."""
    shape = Shape(read=SHAPE.read, refuse=SHAPE.refuse, lanes=(0, 1))
    done = run(
        events, lambda text: 0.9 if "X" in text else 0.1, order=order, window=window, shape=shape
    )

    for lane, outcome in done.outcomes.items():
        came = "".join(text for key, text in events if key == lane)
        if not done.stopped:
            assert outcome.blocked == ("X" in came)
        assert done.emitted.count((None, f"{lane}{REFUSAL}")) == outcome.blocked
        assert came.startswith(done.shown(lane)) if outcome.blocked else done.shown(lane) == came
    kept = [event for event in done.emitted if REFUSAL not in event[1]]
    left = iter(events)
    assert all(event in left for event in kept), "events keep their order"


def test_nothing_leaves_before_the_first_verdict() -> None:
    """Even an event without text waits, so that a host has not committed to a reply."""
    emitted_before: list[int] = []

    def judge(_: str) -> float:
        emitted_before.append(len(done.emitted))
        return 0.1

    done = Run([(None, ""), (0, ""), (0, "안녕")], judge, iter(lambda: False, None))
    done.through(Policy(), Window())

    assert emitted_before == [0]


def test_the_refusal_takes_the_place_of_what_was_held() -> None:
    """Events of no lane keep their order around a refusal."""
    events: list[Event] = [(None, ""), (0, "X"), (None, "")]
    done = run(events, lambda _: 0.9, window=None)

    assert done.emitted == [(None, ""), (None, f"0{REFUSAL}"), (None, "")]


@pytest.mark.parametrize(
    ("window", "shown"),
    [
        (Window(first=1), ""),
        (Window(first=1, early_threshold=0.8), "가나"),
        (Window(first=1, in_a_row=2), "가나"),
    ],
)
def test_an_unsure_prefix_is_held_not_shown(window: Window, shown: str) -> None:
    """One prefix verdict between the thresholds, or alone, only holds until a later one clears it."""
    judge = {"가": 0.6, "가나": 0.1}
    done = run(texts("가", "나"), lambda text: judge[text], window=window)

    assert done.shown(0) == shown
    assert done.outcomes[0].blocked == (not shown)


def test_a_held_prefix_is_decided_at_the_end() -> None:
    """What was held as unsure is blocked if the reply ends there: the end goes by the policy."""
    window = Window(first=1, early_threshold=0.8)
    done = run(texts("가"), lambda _: 0.6, window=window)

    assert done.outcomes[0].blocked
    assert done.checks == ["가"]


def test_monitoring_shows_everything() -> None:
    """In monitor mode the stream goes on, and the outcome says what was found."""
    done = run(texts("X", "가"), lambda _: 0.9, policy=Policy(mode="monitor"))

    assert done.emitted == texts("X", "가")
    assert done.outcomes[0].action == "flag"


def test_one_record_per_lane() -> None:
    """The record holds the whole reply as far as it had come."""
    done = run(texts("가", "X", "나"), lambda text: 0.9 if "X" in text else 0.1, window=None)

    assert [record.conversation[-1].content for record in done.records] == ["가X나"]


@given(st.integers(1, 7), st.integers(0, 2**32), ORDERS)
def test_a_character_is_judged_few_times(size: int, seed: int, order: Iterator[bool]) -> None:
    """A 360-character reply takes at most 8 checks, and 4 judged characters per character."""
    words = [
        "네. ",
        "고객님 ",
        "확인했어요 ",
        "감사합니다 ",
        "배송은 ",
        "내일 ",
        "도착해요. ",
        "ㅋㅋ ",
    ]
    reply = "".join(words[(seed >> at) % len(words)] for at in range(32)) * 10
    reply = reply[:360]
    chunks = [reply[at : at + size] for at in range(0, 360, size)]
    done = run(texts(*chunks), lambda _: 0.1, order=order)

    assert len(done.checks) <= 8
    assert sum(map(len, done.checks)) <= 4 * len(reply)
