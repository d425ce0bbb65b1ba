"""The events of a streamed response: read for the gate, written with a refusal in their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from guardrail.gate import Lane
from guardrail.integrations.openai_wire.calls import Call, Stream, safe_error
from guardrail.integrations.openai_wire.items import (
    STREAMED_ITEMS,
    blocked_response,
    empty_message,
    known_item,
    known_part,
    known_response,
    lines_of,
    refusal_part,
    refuse_lost,
    spoken,
    spoken_item,
    spoken_part,
)
from guardrail.integrations.openai_wire.logprobs import spelled
from guardrail.integrations.openai_wire.reading import labelled
from guardrail.integrations.openai_wire.text import Piece, Strand
from guardrail.types import Outcome

__all__ = ["ResponseStream"]

_LANE = 0
_BEGINNINGS = ("response.created", "response.queued", "response.in_progress")
_ENDS = ("response.completed", "response.incomplete", "response.failed")
# What is streamed: of which field of an item, and under which name its whole comes at the end.
_TEXTS = {
    "response.output_text": ("content", "text"),
    "response.refusal": ("content", "refusal"),
    "response.reasoning_text": ("content", "text"),
    "response.reasoning_summary_text": ("summary", "text"),
    "response.function_call_arguments": ("arguments", "arguments"),
    "response.custom_tool_call_input": ("input", "input"),
    "response.mcp_call_arguments": ("arguments", "arguments"),
    "response.code_interpreter_call_code": ("code", "code"),
}
_ANSWERS = (  # the others lead up to one
    *("response.output_text", "response.refusal", "response.function_call_arguments"),
    *("response.custom_tool_call_input", "response.mcp_call_arguments"),
)
_PARTS = {"response.content_part": "content", "response.reasoning_summary_part": "summary"}
_CALLS = (
    *("web_search_call", "file_search_call", "code_interpreter_call"),
    *("mcp_call", "mcp_list_tools"),
)
_STATES = frozenset(
    f"response.{call}.{state}"
    for call in _CALLS
    for state in ("in_progress", "searching", "interpreting", "completed", "failed")
)
_PLACE_FIELDS = (
    *("type", "sequence_number", "item_id", "output_index", "content_index", "summary_index"),
    *("annotation_index", "name"),
)
_INDEXES = ("output_index", "content_index", "summary_index")


class ResponseStream(Stream):
    """One streamed response to a call.

    Args:
        call: the one it answers.
        frame: what stands around the output, until upstream says.
    """

    def __init__(self, call: Call, frame: Mapping[str, Any]) -> None:
        self._call = call
        self._strand = Strand(_LANE)
        self._withheld: set[int] = set()  # places of items that cannot be judged
        self._numbers: dict[int, int] = {}  # the places of others, without those
        self._holding: set[object] = set()  # places of items that are held until they are whole
        self._answered = False  # whether there was something that could be
        self._asides: list[dict[str, Any]] = []  # annotations, which wait for the end of the text
        self._writer = _Writer(frame, structured=call.structured)

    @property
    def lanes(self) -> Sequence[Lane]:
        """The response itself."""
        return (_LANE,)

    def read(self, data: Mapping[str, Any]) -> list[Piece]:
        """Return the pieces of an event; none for kinds that are not known.

        Raises:
            UnguardedCall: the response ends, and nothing that it held could be judged.
        """
        if not all(_is_index(data.get(name)) for name in _INDEXES):
            return []
        if data.get("output_index") in self._withheld:
            return []
        kind = str(data.get("type", ""))
        if kind == "response.output_text.annotation.added":
            self._asides.append({**self._place(data), "annotation": data.get("annotation")})
            return []
        stem, _, step = kind.rpartition(".")
        if stem in _TEXTS and step == "delta":
            return self._text(data, stem, "delta")
        return self._take_asides() + self._read(data, kind, stem, step)

    def end(self) -> list[Piece]:
        """Return what was held back."""
        return self._take_asides() + self._strand.release(end=True)

    def write(self, piece: Piece) -> list[dict[str, Any]]:
        """Return an event as it is, or those of a refusal."""
        if isinstance(piece.data, Outcome):
            return self._writer.refuse(piece.data.text)
        return self._writer.write(piece.data)

    def _read(self, data: Mapping[str, Any], kind: str, stem: str, step: str) -> list[Piece]:
        if kind == "error":
            error = safe_error(data)["error"]
            return self._failure({**error, "type": kind}, error["message"])
        if kind in _BEGINNINGS or kind in _ENDS:
            return self._response(data, ended=kind in _ENDS)
        if stem == "response.output_item" and step in ("added", "done"):
            return self._item(data, done=step == "done")
        if stem in _PARTS and step in ("added", "done"):
            return self._part(data, _PARTS[stem])
        if stem in _TEXTS and step == "done":
            return self._text(data, stem, _TEXTS[stem][1])
        if kind in _STATES:
            return self._strand.piece(self._place(data), hold=bool(self._holding))
        if data.get("error"):
            failure = safe_error(data)
            return self._failure(failure, failure["error"]["message"])
        return []

    def _failure(self, data: dict[str, Any], message: str) -> list[Piece]:
        """Return an error, whose message is judged with the rest."""
        self._strand.add("error", message)
        return self._strand.piece(data)

    def _response(self, data: Mapping[str, Any], *, ended: bool) -> list[Piece]:
        given = data.get("response")
        if not isinstance(given, Mapping):
            return []
        if ended and not self._answered:
            refuse_lost(given)
        known = known_response(given, self._call)
        self._writer.response = known
        piece = {**self._place(data), "response": known}
        said = list(spoken(given))
        if not ended and not said:
            return [Piece(None, "", piece)]
        self._cover(said)
        pieces = self._strand.piece(piece)
        return pieces + self._strand.release(end=True) if ended else pieces

    def _item(self, data: Mapping[str, Any], *, done: bool) -> list[Piece]:
        place, item = data.get("output_index"), known_item(data.get("item"))
        if not isinstance(place, int):
            return []
        if item is None:
            self._withheld.add(place)
            return []
        self._cover(spoken_item(place, item))
        piece = {**self._place(data), "item": item}
        if item["type"] not in STREAMED_ITEMS:
            self._holding.add(place)
        pieces = self._strand.piece(piece, hold=bool(self._holding))
        if done:
            self._holding.discard(place)
        return pieces if self._holding else pieces + self._strand.release()

    def _part(self, data: Mapping[str, Any], field: str) -> list[Piece]:
        part = known_part(data.get("part"))
        if part is None:
            return []
        self._cover(spoken_part(_name(data, field), part))
        return self._strand.piece({**self._place(data), "part": part}, hold=bool(self._holding))

    def _text(self, data: Mapping[str, Any], stem: str, field: str) -> list[Piece]:
        """Take in more of a text, or the whole of it."""
        text = data.get(field)
        if not isinstance(text, str):
            return []
        self._answered |= stem in _ANSWERS and text != ""
        name = _name(data, _TEXTS[stem][0])
        take = self._strand.add if field == "delta" else self._strand.cover
        take(name, text)
        piece = {**self._place(data), field: text}
        if stem == "response.output_text":
            piece["logprobs"] = spelled(data.get("logprobs"), text) or []
        tool = _TEXTS[stem][0] not in ("content", "summary")
        return self._strand.piece(piece, hold=tool or bool(self._holding))

    def _take_asides(self) -> list[Piece]:
        pieces: list[Piece] = []
        for aside in self._asides:
            part = (_name(aside, "content"), "annotations")
            self._strand.add(part, lines_of(aside["annotation"]))
            pieces += self._strand.piece(aside, hold=bool(self._holding))
        self._asides = []
        return pieces

    def _place(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields that say what an event is about, places without a gap."""
        fields = {name: labelled(data[name]) for name in _PLACE_FIELDS if name in data}
        place = data.get("output_index")
        if isinstance(place, int):  # the SDK looks items up in the list of those it was shown
            shown = place - sum(one < place for one in self._withheld)
            fields["output_index"] = self._numbers.setdefault(place, shown)
        return fields

    def _cover(self, parts: Iterable[tuple[Any, str]]) -> None:
        for name, text in parts:
            self._strand.cover(name, text)


def _is_index(value: object) -> bool:
    return value is None or type(value) is int


def _name(data: Mapping[str, Any], field: str) -> tuple[Any, ...]:
    """Return the name of the part that an event is about."""
    if field in ("content", "summary"):
        return data.get("output_index"), field, data.get(f"{field}_index")
    return data.get("output_index"), field


class _Writer:
    """Writes events, numbered anew, and knows what the caller has seen begun."""

    def __init__(self, frame: Mapping[str, Any], *, structured: bool) -> None:
        self.response: dict[str, Any] = {**frame, "status": "in_progress", "output": []}
        self._structured = structured
        self._written = 0
        self._ended = False
        self._places = 0  # of items, so far
        self._items: dict[int, Any] = {}  # whole ones, by place
        self._open: dict[str, Any] | None = None  # a message that has not ended
        self._part: dict[str, Any] | None = None  # a text in it that has not ended,
        self._shown: list[str] = []  # and what the caller has seen of it

    def write(self, data: Mapping[str, Any]) -> list[dict[str, Any]]:
        if self._ended:
            return []
        self._note(data)
        return [self._event(data)]

    def refuse(self, text: str) -> list[dict[str, Any]]:
        """Return the events that end the response in a refusal."""
        started = [] if self._written else self._begin()
        events = [*started, *map(self._event, self._refusal(text))]
        self._ended = True
        return events

    def _event(self, data: Mapping[str, Any]) -> dict[str, Any]:
        self._written += 1
        return {**data, "sequence_number": self._written - 1}

    def _begin(self) -> list[dict[str, Any]]:
        begun = {**self.response, "output": [], "error": None}
        return [self._event({"type": kind, "response": begun}) for kind in _BEGINNINGS[::2]]

    def _note(self, data: Mapping[str, Any]) -> None:
        kind, place = data.get("type"), data.get("output_index")
        if isinstance(place, int):
            self._places = max(self._places, place + 1)
        match kind:
            case "response.output_item.added":
                item, is_message = data["item"], data["item"]["type"] == "message"
                self._open = {"place": place, "item": item, "parts": []} if is_message else None
            case "response.content_part.added" if self._open is not None:
                self._part, self._shown = data["part"], []
            case "response.output_text.delta" | "response.refusal.delta":
                self._shown.append(data["delta"])
            case "response.content_part.done" if self._open is not None:
                self._open["parts"].append(data["part"])
                self._part = None
            case "response.output_item.done" if isinstance(place, int):
                self._items[place], self._open, self._part = data["item"], None, None
            case _ if kind in _ENDS:
                self._ended = True

    def _refusal(self, text: str) -> Iterable[dict[str, Any]]:
        """Yield the events of a refusal: in the message under way, if there is one."""
        if self._open is None:
            item = empty_message(str(self.response.get("id", "")))
            self._open = {"place": self._places, "item": item, "parts": []}
            yield {
                "type": "response.output_item.added",
                "output_index": self._places,
                "item": item,
            }
        where = {"output_index": self._open["place"], "item_id": self._open["item"].get("id")}
        yield from self._refusal_part(text, where)
        item = {**self._open["item"], "status": "incomplete", "content": self._open["parts"]}
        place = {"output_index": self._open["place"]}
        yield {"type": "response.output_item.done", **place, "item": item}
        whole = [one for _, one in sorted(self._items.items())]
        response = blocked_response(self.response, [*whole, item])
        yield {"type": "response.incomplete", "response": response}

    def _refusal_part(self, text: str, where: dict[str, Any]) -> Iterable[dict[str, Any]]:
        """Yield the events of the part that holds the refusal, after what was shown of it."""
        assert self._open is not None, "a refusal stands in a message"
        part, parts = refusal_part("", structured=self._structured), self._open["parts"]
        field = "refusal" if self._structured else "text"
        stem = "response.refusal" if self._structured else "response.output_text"
        shown = "".join(self._shown)
        if self._part is not None and self._part["type"] != part["type"]:
            parts.append(_filled(self._part, shown))
            self._part, shown = None, ""
        place = {**where, "content_index": len(parts)}
        if self._part is None:
            shown = ""
            yield {"type": "response.content_part.added", **place, "part": part}
        logprobs: dict[str, Any] = {} if self._structured else {"logprobs": []}
        done = refusal_part(shown + text, structured=self._structured)
        yield {"type": f"{stem}.delta", **place, "delta": text, **logprobs}
        yield {"type": f"{stem}.done", **place, field: shown + text, **logprobs}
        yield {"type": "response.content_part.done", **place, "part": done}
        parts.append(done)


def _filled(part: Mapping[str, Any], text: str) -> dict[str, Any]:
    return {**part, ("refusal" if part["type"] == "refusal" else "text"): text}
