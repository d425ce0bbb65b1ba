"""Server-sent events, as they cross the wire: bytes in any pieces to events, and back."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from guardrail.errors import UnguardedCall
from guardrail.integrations.openai_wire.reading import Unreadable, load

__all__ = ["DONE", "Decoder", "ServerEvent", "encode", "to_bytes", "to_json"]

DONE = "[DONE]"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"
_MOST_EVENT = 16 * 2**20  # bytes
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event: its name, if it has one, and its data."""

    name: str | None
    data: str

    @property
    def is_done(self) -> bool:
        """Whether it is the mark that ends a stream of chat completions."""
        return self.data.startswith(DONE)

    def json(self) -> dict[str, Any]:
        """Return the data's JSON object; an empty one if there is none."""
        try:
            return load(self.data)
        except Unreadable:
            return {}


class Decoder:
    """Takes bytes in as they come, split anywhere, and gives the events that are complete.

    As the standard says (https://html.spec.whatwg.org/multipage/server-sent-events.html), an event
    that no empty line has ended is dropped.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []  # of a line that has not ended
        self._after_cr = False  # a line feed that comes now belongs to the line before
        self._started = False
        self._name: str | None = None
        self._data: list[str] = []
        self._size = 0  # of the event under way, about

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Take bytes in, and return the events that end in them.

        Raises:
            UnguardedCall: an event is larger than any of text.
        """
        if self._after_cr and chunk.startswith(b"\n"):
            self._after_cr, chunk = False, chunk[1:]
        if not chunk:
            return []
        self._after_cr = chunk.endswith(b"\r")
        self._rest.append(chunk)
        self._size += len(chunk)
        if self._size > _MOST_EVENT:
            raise UnguardedCall(f"an event of the reply is larger than {_MOST_EVENT} bytes")
        if not _LINE_END.search(chunk):
            return []
        *lines, rest = _LINE_END.split(b"".join(self._rest))
        self._rest = [rest]
        events = (self._line(line) for line in lines)
        return [event for event in events if event is not None]

    def _line(self, raw: bytes) -> ServerEvent | None:
        if not self._started:
            self._started, raw = True, raw.removeprefix(_BOM)
        if not raw:
            return self._dispatch()
        field, _, value = raw.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        return None

    def _dispatch(self) -> ServerEvent | None:
        name, data = self._name, self._data
        self._name, self._data, self._size = None, [], 0
        return ServerEvent(name or None, "\n".join(data)) if data else None


def encode(event: ServerEvent) -> bytes:
    """Return an event as it crosses the wire."""
    name = f"event: {event.name}\n" if event.name else ""
    data = "".join(f"data: {line}\n" for line in event.data.split("\n"))
    return to_bytes(f"{name}{data}\n")


def to_bytes(text: str) -> bytes:
    """Return JSON text as UTF-8; half a surrogate pair, which has none, as its escape."""
    return text.encode("utf-8", "backslashreplace")


def to_json(value: object) -> str:
    """Return a value as JSON on one line, with Hangul as it is."""
    return _ENCODER.encode(value)
