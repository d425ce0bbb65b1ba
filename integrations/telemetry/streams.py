"""What a guarded stream held back, and whether it ever showed what no verdict had covered."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

__all__ = ["StreamFigures", "StreamMeter"]


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """What happened in one guarded stream.

    Args:
        held: characters held back, at the moment there were most.
        released_before_verdict: characters shown though no passing verdict covered them; 0, or
            something is wrong. None where nobody told the meter of verdicts.
    """

    held: int
    released_before_verdict: int | None = None


@dataclass(slots=True)
class _Lane:
    covered: int = 0
    shown: int = 0


@dataclass(slots=True)
class StreamMeter:
    """Counts along one stream what came in, what verdicts passed, and what was shown.

    Whoever stands at both ends of the gate feeds it. What replaces a reply is not counted.
    """

    held: int = 0
    released_before_verdict: int = 0
    knows_verdicts: bool = False
    _waiting: int = 0
    _lanes: dict[Hashable, _Lane] = field(default_factory=dict)

    def took(self, characters: int, lane: Hashable = 0) -> None:
        """Note text that came from upstream."""
        self._waiting += characters
        self.held = max(self.held, self._waiting)

    def passed(self, end: int, lane: Hashable = 0) -> None:
        """Note a passing verdict on a lane's text up to an offset."""
        self.knows_verdicts = True
        self._lane(lane).covered = max(self._lane(lane).covered, end)

    def showed(self, characters: int, lane: Hashable = 0) -> None:
        """Note text that went to the user."""
        one = self._lane(lane)
        before = max(one.shown, one.covered)
        one.shown += characters
        self._waiting -= characters
        self.released_before_verdict += max(0, one.shown - before)

    def figures(self) -> StreamFigures:
        """Return what happened so far."""
        released = self.released_before_verdict if self.knows_verdicts else None
        return StreamFigures(self.held, released)

    def _lane(self, key: Hashable) -> _Lane:
        return self._lanes.setdefault(key, _Lane())
