"""What a guard decides about one request, heard as it decides it."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable
from dataclasses import replace
from types import EllipsisType
from typing import TypeVar

from pydantic import PrivateAttr

from guardrail.errors import ClassifierError
from guardrail.gate import Lane, Shape
from guardrail.guard import Guard
from guardrail.integrations.telemetry.streams import StreamMeter
from guardrail.policy import Policy
from guardrail.streams import GuardedAsyncStream
from guardrail.types import Conversation, Outcome, Stage, Verdict
from guardrail.window import Window

__all__ = ["Watch"]

E = TypeVar("E")


class Watch:
    """One request as a guard sees it.

    Args:
        guard: judges.
        policy: in place of the guard's own.

    Attributes:
        guard: the same guard for this one request, under watch.
        decisions: each as it was made, in order.
        outcomes: of the lanes of a stream that has ended.
        meter: counts along the stream.
    """

    def __init__(self, guard: Guard, policy: Policy | None = None) -> None:
        self.decisions: list[Outcome] = []
        self.outcomes: dict[Lane, Outcome] = {}
        self.meter = StreamMeter()
        self._texts: dict[Lane, list[str]] = {}
        watched = _WatchedPolicy.model_construct(**dict(policy or guard.policy))
        watched._note = self._note
        self.guard: Guard = _WatchedGuard(guard, watched, self)

    @property
    def replies(self) -> list[Outcome]:
        """What was decided about replies, in order."""
        return [one for one in self.decisions if one.stage is Stage.OUTPUT]

    def took(self, lane: Lane, text: str) -> None:
        """Note text that came from upstream."""
        self._texts.setdefault(lane, []).append(text)
        self.meter.took(len(text), lane)

    def _note(self, conversation: Conversation, outcome: Outcome) -> Outcome:
        self.decisions.append(outcome)
        if not outcome.blocked:
            self._pass(conversation[-1].content)
        return outcome

    def _pass(self, passed: str) -> None:
        """Note a passing decision on every lane that begins with the text."""
        for lane, parts in self._texts.items():
            parts[:] = ["".join(parts)]
            if parts[0].startswith(passed):
                self.meter.passed(len(passed), lane)


class _WatchedPolicy(Policy):
    """A policy that tells what it decides."""

    _note: Callable[[Conversation, Outcome], Outcome] = PrivateAttr()

    def decide(self, conversation: Conversation, verdict: Verdict) -> Outcome:
        return self._note(conversation, super().decide(conversation, verdict))

    def decide_without(
        self, conversation: Conversation, error: ClassifierError, verdict: Verdict | None = None
    ) -> Outcome:
        return self._note(conversation, super().decide_without(conversation, error, verdict))


class _WatchedGuard(Guard):
    """A guard that shares another's classifier and hooks."""

    def __init__(self, guard: Guard, policy: Policy, watch: Watch) -> None:
        vars(self).update(vars(guard))
        self.policy = policy
        self._watch = watch

    def astream_events(
        self,
        events: AsyncIterable[E],
        shape: Shape[E],
        *,
        asked: Conversation,
        window: Window | EllipsisType | None = ...,
        check_input: bool = True,
    ) -> GuardedAsyncStream[E]:
        def read(event: E) -> tuple[Lane | None, str]:
            lane, text = shape.read(event)
            if lane is not None:
                self._watch.took(lane, text)
            return lane, text

        stream = super().astream_events(
            events, replace(shape, read=read), asked=asked, window=window, check_input=check_input
        )
        self._watch.outcomes = stream.outcomes
        return _WatchedStream(stream, shape, self._watch.meter)


class _WatchedStream(GuardedAsyncStream[E]):
    """A guarded stream whose events are counted as they leave."""

    def __init__(self, stream: GuardedAsyncStream[E], shape: Shape[E], meter: StreamMeter) -> None:
        self.outcomes = stream.outcomes
        self._stream = stream
        self._shape = shape
        self._meter = meter

    async def __anext__(self) -> E:
        event = await anext(self._stream)
        lane, text = self._shape.read(event)
        if lane is not None:
            self._meter.showed(len(text), lane)
        return event

    async def aclose(self) -> None:
        """Leave the stream; its source is closed too."""
        await self._stream.aclose()
