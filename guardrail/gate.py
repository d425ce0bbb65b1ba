"""The gate of a streamed reply: nothing passes before a passing verdict covers it.

The reply comes as events, whatever the host's stream consists of. Each belongs to one lane, a text
that is judged by itself (one of several choices, say), or to none. Events leave in the order they
came, unchanged, once all their text is covered; a lane found unsafe ends in a refusal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from guardrail.flow import Classify, Command, Flow, Now, Record, decide_many, review, time_for
from guardrail.growing import Growing
from guardrail.policy import Policy
from guardrail.types import Conversation, Outcome
from guardrail.window import Cut, Window

__all__ = [
    "Begin",
    "Chunk",
    "Emit",
    "End",
    "Judged",
    "Lane",
    "Left",
    "Next",
    "Shape",
    "Stop",
    "StreamCommand",
    "StreamFlow",
    "gate",
]

E = TypeVar("E")
T = TypeVar("T")
Lane: TypeAlias = Hashable


@dataclass(frozen=True, slots=True)
class Begin:
    """Have conversations judged while the stream goes on; a check under way is given up."""

    question: Classify


@dataclass(frozen=True, slots=True)
class Next:
    """Wait for what comes first; answered with a `Chunk`, `End` or `Judged`."""


@dataclass(frozen=True, slots=True)
class Emit:
    """Show an event."""

    event: Any


@dataclass(frozen=True, slots=True)
class Stop:
    """Close the upstream."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """An event has come from upstream."""

    event: Any


@dataclass(frozen=True, slots=True)
class End:
    """Upstream has ended."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The check under way has ended: in the classifier's answers, or in a `ClassifierError`."""

    answers: Any


class Left(Exception):
    """Thrown into a flow that nobody waits for any more: it may still record, and do no more."""


StreamCommand: TypeAlias = Command | Begin | Next | Emit | Stop
StreamFlow: TypeAlias = Generator[StreamCommand, Any, T]


@dataclass(frozen=True, slots=True)
class Shape(Generic[E]):
    """How a host's stream is read and written.

    Args:
        read: returns an event's lane, and its text there; (None, "") for an event without text.
        refuse: returns the events that end a lane with the outcome's text.
        lanes: the lanes known from the start; others open when their first event comes. Once
            every lane is found unsafe, upstream is closed.
        group: returns what a lane belongs to, a message of several parts, say. The lanes of a
            group end together: the first one refused drops what is held of all, and what comes.
    """

    read: Callable[[E], tuple[Lane | None, str]]
    refuse: Callable[[Lane, Outcome], Iterable[E]]
    lanes: Sequence[Lane]
    group: Callable[[Lane], Hashable] = lambda lane: lane


def gate(
    asked: Conversation, policy: Policy, window: Window | None, shape: Shape[E]
) -> StreamFlow[Mapping[Lane, Outcome]]:
    """Let a stream of events through as far as it is judged; return what happened to each lane.

    Args:
        asked: the conversation up to the user's turn.
        policy: decides.
        window: when the growing reply is judged; None holds the whole of it.
        shape: reads and writes the events.
    """
    if policy.check_input:
        outcome = yield from review(asked, policy)
        if outcome.blocked:
            yield Stop()
            for lane in shape.lanes:
                yield from map(Emit, shape.refuse(lane, outcome))
            return dict.fromkeys(shape.lanes, outcome)
    state = _Gate(asked, policy, window, shape)
    try:
        lanes = yield from state.run()
    except Exception:  # upstream failed, or the consumer has left: what was shown was decided
        yield from state.record_so_far()
        raise
    judged = {key: lane for key, lane in lanes.items() if not lane.dropped}
    outcomes = {key: lane.final for key, lane in judged.items()}
    for key, lane in judged.items():
        conversation = lane.conversation(lane.length)
        yield Record(conversation, outcomes[key], state.seconds, lane.facts)
    return outcomes


class _Gate(Generic[E]):
    """The state of one guarded stream, and the steps it takes."""

    def __init__(
        self, asked: Conversation, policy: Policy, window: Window | None, shape: Shape[E]
    ) -> None:
        self._asked = asked
        self._policy = policy
        self._window = window
        self._shape = shape
        self._lanes: dict[Lane, Growing] = {key: Growing(asked) for key in shape.lanes}
        self._held: deque[tuple[E, Lane | None, int]] = deque()  # event, its lane, its end there
        self._checking: dict[Lane, Cut] = {}  # lanes being judged, and up to where
        self._since = 0.0  # the stream's beginning, by the clock
        self._began = 0.0  # that of the check under way
        self.seconds = 0.0  # that checks have taken
        self._refused: set[Hashable] = set()  # groups that have ended in a refusal
        self._ended = False
        self._opened = False  # nothing at all leaves before the first decision

    def run(self) -> StreamFlow[Mapping[Lane, Growing]]:
        """Take events in and let them out until every lane has its end."""
        self._since = yield Now()
        while not self._ended or not all(map(self._is_done, self._lanes.values())):
            if due := self._due():
                self._checking = due
                self._began = yield Now()
                yield Begin(Classify(self._asking(), time_for(len(due), self._policy)))
            match (yield Next()):
                case Chunk(event):
                    self._take(event)
                case End():
                    self._end()
                case Judged(answers):
                    yield from self._settle(answers)
            if self._lanes and all(lane.closed for lane in self._lanes.values()):
                self._ended = True
                yield Stop()
            yield from self._release()
        return self._lanes

    def record_so_far(self) -> Flow[None]:
        """Record what was decided about the lanes that the caller has seen something of."""
        for lane in self._lanes.values():
            outcome = lane.so_far
            if outcome is not None:
                end = lane.length if lane.closed else lane.shown
                yield Record(lane.conversation(end), outcome, self.seconds, lane.facts)

    def _is_done(self, lane: Growing) -> bool:
        return lane.closed or lane.is_judged_whole

    def _due(self) -> dict[Lane, Cut]:
        """Return the lanes to judge now, and up to where; none to let things go on as they are."""
        if self._ended:
            return self._due_at_the_end()
        if self._checking or self._window is None:
            return {}
        cuts = {key: self._cut(lane, self._window) for key, lane in self._lanes.items()}
        return {key: cut for key, cut in cuts.items() if cut is not None}

    def _due_at_the_end(self) -> dict[Lane, Cut]:
        left = {key: lane.length for key, lane in self._lanes.items() if not self._is_done(lane)}
        whole = {key: Cut(end, end) for key, end in left.items()}
        if left != {key: cut.judge for key, cut in self._checking.items()}:
            return whole
        self._checking = whole  # the check under way happens to cover it all
        return {}

    def _cut(self, lane: Growing, window: Window) -> Cut | None:
        if lane.closed or lane.length - lane.judged < window.soft(lane.judged):
            return None
        cut = window.cut(lane.judged, lane.unchecked())
        return None if cut is None else Cut(lane.judged + cut.judge, lane.judged + cut.show)

    def _asking(self) -> list[Conversation]:
        """Return what the check that begins is to judge."""
        for key in self._checking:
            self._lanes[key].checks += 1
        return self._conversations()

    def _conversations(self) -> list[Conversation]:
        return [self._lanes[key].conversation(cut.judge) for key, cut in self._checking.items()]

    def _take(self, event: E) -> None:
        key, text = self._shape.read(event)
        if key is None:
            self._held.append((event, None, 0))
            return
        if self._shape.group(key) not in self._refused:
            lane = self._lanes.setdefault(key, Growing(self._asked))
            self._held.append((event, key, lane.take(text)))

    def _end(self) -> None:
        self._ended = True
        for key, lane in self._lanes.items():
            if not lane.length and self._has_text_elsewhere(key):
                lane.closed = lane.dropped = True
            if lane.closed or not lane.is_judged_whole:
                continue
            if lane.strikes:  # held, and nothing has come to clear it
                self._close(key, lane)
            else:
                lane.cleared = lane.length

    def _has_text_elsewhere(self, key: Lane) -> bool:
        """Whether another lane of the group has text, so that an empty one need not be judged."""
        group = self._shape.group(key)
        return any(
            lane.length for other, lane in self._lanes.items() if self._shape.group(other) == group
        )

    def _settle(self, answers: Any) -> Flow[None]:
        """Decide about the lanes that were being judged."""
        self.seconds += (yield Now()) - self._began
        conversations, checked, self._checking = self._conversations(), self._checking, {}
        outcomes = yield from decide_many(conversations, answers, self._policy)
        for (key, cut), outcome in zip(checked.items(), outcomes, strict=True):
            lane = self._lanes[key]
            if lane.closed:  # by another of its group
                continue
            lane.settle(cut, outcome)
            if outcome.blocked and self._is_decisive(lane, outcome):
                self._close(key, lane)
            self._opened = self._opened or lane.closed or not outcome.blocked

    def _is_decisive(self, lane: Growing, outcome: Outcome) -> bool:
        """Whether a blocked prefix ends the lane; otherwise it is held until a later check."""
        window = self._window
        if window is None or outcome.verdict is None or outcome.error is not None:
            return True
        if self._ended and lane.is_judged_whole:
            return True
        sure = window.early_threshold is None or outcome.verdict.score >= window.early_threshold
        return sure and lane.strikes >= window.in_a_row

    def _close(self, key: Lane, lane: Growing) -> None:
        """End a lane and its group in a refusal, which takes the place of what was held of them."""
        group = self._shape.group(key)
        self._refused.add(group)
        mates = {name for name in self._lanes if self._shape.group(name) == group}
        for name in mates:
            self._lanes[name].closed, self._lanes[name].dropped = True, name != key
        refusal = [(event, None, 0) for event in self._shape.refuse(key, lane.final)]
        held = list(self._held)
        place = next((at for at, (_, owner, _) in enumerate(held) if owner in mates), len(held))
        rest = [item for item in held[place:] if item[1] not in mates]
        self._held = deque([*held[:place], *refusal, *rest])
        self._opened = True

    def _release(self) -> StreamFlow[None]:
        """Show the held events, in order, as far as they are cleared."""
        while self._opened and self._held:
            event, key, end = self._held[0]
            if key is not None:
                lane = self._lanes[key]
                if end > lane.cleared:
                    return
                if end and lane.waited is None:
                    lane.waited = (yield Now()) - self._since
                lane.shown = end
            self._held.popleft()
            yield Emit(event)
