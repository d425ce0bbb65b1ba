"""The text of a streamed reply in the order it is judged, and what is held until it is whole."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from guardrail.gate import Lane

__all__ = ["Piece", "Strand", "readable"]

_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")
_SURROGATE = re.compile("[\ud800-\udfff]")
# The beginning of an escape, or the first half of a surrogate pair in escapes.
_UNFINISHED = re.compile(r"(?:\\u[dD][89abAB][0-9a-fA-F]{2})?(?:\\(?:u[0-9a-fA-F]{0,3})?)?$")


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
        self._tail = ""  # half an escape
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
        raw = self._tail + text
        cut = _UNFINISHED.search(raw)
        end = len(raw) if cut is None else cut.start()
        self._tail = raw[end:]
        self._fresh.append(readable(raw[:end]))

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
        self._held, self._fresh, self._tail = [], [], ""
        self._held_parts.clear()
        return [Piece(self._lane, text, first), *(Piece(self._lane, "", data) for data in rest)]

    def _turn_to(self, part: Hashable) -> None:
        self._jumbled = self._jumbled or part in self._parts
        if self._parts:
            self._fresh.append(f"{self._tail}\n")
            self._tail = ""
        self._current = part

    def _take(self) -> str:
        fresh, self._fresh = "".join(self._fresh), []
        return fresh


def readable(text: str) -> str:
    r"""Return text with its JSON escapes (\uD55C) as the characters they stand for."""
    text = _ESCAPES.sub(_unescaped, text)
    return _whole(text) if _SURROGATE.search(text) else text


def _unescaped(match: re.Match[str]) -> str:
    return _whole("".join(chr(int(code, 16)) for code in match[0].split("\\u")[1:]))


def _whole(text: str) -> str:
    """Join surrogate pairs; a half without the other becomes the replacement character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
