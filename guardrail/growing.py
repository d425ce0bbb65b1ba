"""A text that grows, and how far it was judged and shown."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from guardrail.types import Conversation, Outcome, Role, StreamFacts, Turn
from guardrail.window import Cut

__all__ = ["Growing"]


@dataclass(slots=True)
class Growing:
    """One text of a streamed reply, and how far it has come.

    Offsets count characters from its start; shown <= cleared <= judged <= length.

    Args:
        asked: the conversation up to the user's turn.
    """

    asked: Conversation
    checked: str = ""  # the longest text given to a check so far
    fresh: list[str] = field(default_factory=list)  # what has come after it
    length: int = 0
    judged: int = 0  # by the last check
    cleared: int = 0  # may be shown, by the checks that passed
    shown: int = 0
    strikes: int = 0  # checks in a row that did not pass
    outcome: Outcome | None = None  # of the last check
    passed: Outcome | None = None  # of the last that let text out
    closed: bool = False  # ended before its end, in its group's refusal or for want of text
    dropped: bool = False  # has no outcome of its own: its group's is another lane's
    checks: int = 0
    held: int = 0  # characters, at the moment there were most
    waited: float | None = None  # seconds until the first text was shown

    @property
    def final(self) -> Outcome:
        """The outcome of the whole text, once it has ended."""
        assert self.outcome is not None, "the end of a text is always judged"
        return replace(self.outcome, shown=self.shown) if self.closed else self.outcome

    @property
    def so_far(self) -> Outcome | None:
        """The outcome of what was shown, of a text that never came to its end; None of nothing."""
        if self.closed:
            return None if self.dropped else self.final
        return self.passed if self.shown else None

    @property
    def facts(self) -> StreamFacts:
        """What has been done with the text so far."""
        return StreamFacts(self.checks, self.held, self.shown, self.waited)

    @property
    def is_judged_whole(self) -> bool:
        """Whether the last check covered all that has come."""
        return self.outcome is not None and self.judged == self.length

    def take(self, text: str) -> int:
        """Add text and return the offset of its end."""
        self.fresh.append(text)
        self.length += len(text)
        self.held = max(self.held, self.length - self.shown)
        return self.length

    def unchecked(self) -> str:
        """Return the text that no check was given yet."""
        self.fresh = ["".join(self.fresh)]
        return self.fresh[0]

    def conversation(self, end: int) -> Conversation:
        """Return the conversation whose last turn is the text up to an offset."""
        missing = end - len(self.checked)
        if missing > 0:
            fresh = self.unchecked()
            self.checked += fresh[:missing]
            self.fresh = [fresh[missing:]]
        return (*self.asked, Turn(Role.ASSISTANT, self.checked[:end]))

    def settle(self, cut: Cut, outcome: Outcome) -> None:
        """Take note of a check."""
        self.judged, self.outcome = cut.judge, outcome
        if outcome.blocked:
            self.strikes += 1
        else:
            self.cleared, self.strikes = max(self.cleared, cut.show), 0
            self.passed = outcome
