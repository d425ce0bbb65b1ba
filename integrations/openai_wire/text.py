"""The text of a streamed reply in the order it is judged, and what is held until it is whole."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from guardrail.gate import Lane
from guardrail.integrations.escapes import Unescape, readable

__all__ = ["Piece", "Strand"]


@dataclass(frozen=True, slots=True)
class Piece:
    """One event on its way through the gate.

    Args:
        lane: the reply it belongs to, or None.
        text: what it adds to that reply.
        data: its JSON object; of a refusal, the outcome.
    """

    lane: Lane | None
    text: str
    data: Any


class Strand:
    """One reply of a stream: its parts (content, tool calls, ...) and the text they add up to.

    A reply is judged as one text, its parts in the order they come. What can only be judged whole,
    a tool call or parts that come by turns, is held back until it is.

    Args:
        lane: the reply's.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._parts: dict[Hashable, list[str]] = {}
        self._current: Hashable = None
        self._fresh: list[str] = []  # text of the next piece
        self._unescape = Unescape()
        self._jumbled = False
        self._held: list[Any] = []
        self._held_parts: dict[Hashable, None] = {}

    def add(self, part: Hashable, text: str) -> None:
        """Take more of a part in."""
        if not text:
            return
        if part != self._current:
            self._turn_to(part)
        self._parts.setdefault(part, []).append(text)
        self._held_parts[part] = None
        self._fresh.append(self._unescape(text))

    def cover(self, part: Hashable, whole: str) -> None:
        """Take a part in that is repeated whole; only what is new of it adds text.

        Where it is another than came before, both are judged: what came may still be held.
        """
        known = "".join(self._parts.get(part, ()))
        if whole.startswith(known):
            self.add(part, whole[len(known) :])
        elif whole not in known:
            self.add(part, f"\n{whole}")

    def piece(self, data: Any, *, hold: bool = False) -> list[Piece]:
        """Return the pieces that may go to the gate once this event has come.

        Args:
            data: the event's, whose text was taken in.
            hold: whether it waits until `release`.
        """
        if hold or self._held or self._jumbled:
            self._held.append(data)
            return []
        self._held_parts.clear()
        return [Piece(self._lane, self._take(), data)]

    def release(self, *, end: bool = False) -> list[Piece]:
        """Return the pieces that were held: all their text with the first, all or nothing.

        Args:
            end: whether nothing follows; what came by turns is held until then.
        """
        if not self._held or (self._jumbled and not end):
            return []
        parts = (readable("".join(self._parts[part])) for part in self._held_parts)
        text = "\n" + "\n".join(parts)
        first, *rest = self._held
        self._held, self._fresh, self._unescape = [], [], Unescape()
        self._held_parts.clear()
        return [Piece(self._lane, text, first), *(Piece(self._lane, "", data) for data in rest)]

    def _turn_to(self, part: Hashable) -> None:
        self._jumbled = self._jumbled or part in self._parts
        if self._parts:
            self._fresh.append(f"{self._unescape.rest()}\n")
        self._current = part

    def _take(self) -> str:
        fresh, self._fresh = "".join(self._fresh), []
        return fresh
