"""What a guard decides about one request, heard as it decides it."""

from __future__ import annotations

from collections.abc import Mapping

from guardrail.gate import Lane
from guardrail.guard import Guard
from guardrail.integrations.openai_wire import AsyncBytes, Call, GuardedAsyncBytes
from guardrail.integrations.telemetry.streams import StreamMeter
from guardrail.policy import Policy
from guardrail.types import Conversation, Outcome, Stage

__all__ = ["Watch"]


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
        self.outcomes: Mapping[Lane, Outcome] = {}
        self.meter = StreamMeter()
        self._texts: dict[Lane, list[str]] = {}
        self.guard = guard.with_policy(policy or guard.policy).heard_by(self._note)

    @property
    def replies(self) -> list[Outcome]:
        """What was decided about replies, in order."""
        return [one for one in self.decisions if one.stage is Stage.OUTPUT]

    def guarded(self, call: Call, body: AsyncBytes) -> GuardedAsyncBytes:
        """Return a streamed reply as far as it is judged, counted as it comes and leaves."""
        reply = GuardedAsyncBytes(call, body, self.guard, tap=self)
        self.outcomes = reply.outcomes
        return reply

    def took(self, lane: Lane, text: str) -> None:
        """Note text that came from upstream."""
        self._texts.setdefault(lane, []).append(text)
        self.meter.took(len(text), lane)

    def showed(self, lane: Lane, text: str) -> None:
        """Note text that leaves."""
        self.meter.showed(len(text), lane)

    def _note(self, conversation: Conversation, outcome: Outcome) -> None:
        self.decisions.append(outcome)
        if not outcome.blocked:
            self._pass(conversation[-1].content)

    def _pass(self, passed: str) -> None:
        """Note a passing decision on every lane that begins with the text."""
        for lane, parts in self._texts.items():
            parts[:] = ["".join(parts)]
            if parts[0].startswith(passed):
                self.meter.passed(len(passed), lane)
