"""What a message of a chat completion says, or a delta of one: what of it can be judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from guardrail.errors import UnguardedCall
from guardrail.integrations.escapes import readable
from guardrail.integrations.openai_wire.calls import LOST
from guardrail.integrations.openai_wire.reading import is_label, strings

__all__ = [
    "TEXT_FIELDS",
    "Losses",
    "known_message",
    "refuse_loss",
    "said_by",
    "spoken",
    "text_of_message",
]

_THOUGHTS = ("reasoning_content", "reasoning")
TEXT_FIELDS = (*_THOUGHTS, "content", "refusal")
_CALL_FIELDS = {"tool_calls": list, "function_call": Mapping}
# A text may come as a list of parts; what a model thinks, as parts within one.
_PARTS = ("text", "output_text", "refusal", "thinking", "reasoning")
_WORDS = ("text", "refusal", "thinking", "reasoning")
_LABELS = ("type", "index", "closed")


class Losses:
    """Which choices of a stream held what cannot be judged, and nothing that can."""

    def __init__(self) -> None:
        self._answered: set[int] = set()
        self._lost: set[int] = set()
        self._unplaced = False  # a choice was lost, and nobody knows which
        self._known = False  # there was a choice, or an error
        self._strange = False  # there was something else

    def note(self, place: int, given: object, known: Mapping[str, Any]) -> None:
        """Take a delta of a choice in, as it came and as far as it is known."""
        self._known = True
        if _answers(known):
            self._answered.add(place)
        elif _is_lost(given, known):
            self._lost.add(place)

    def note_error(self) -> None:
        """Take in that there was an error, which is an answer of its own."""
        self._known = True

    def note_strange(self, choices: object) -> None:
        """Take in what is no chunk, or choices that do not say which they are."""
        self._strange = True
        self._unplaced = self._unplaced or bool(choices)

    def refuse(self, place: int) -> None:
        """Look at a choice that ends.

        Raises:
            UnguardedCall: it held something, and nothing that could be judged.
        """
        if place in self._lost and place not in self._answered:
            raise UnguardedCall(LOST)

    def refuse_all(self) -> None:
        """Look at a stream that ends.

        Raises:
            UnguardedCall: it held something, and nothing that could be judged.
        """
        unplaced = self._unplaced and not self._answered
        strange = self._strange and not self._known
        if unplaced or strange or self._lost - self._answered:
            raise UnguardedCall(LOST)


def refuse_loss(given: object, known: Mapping[str, Any]) -> None:
    """Look at a whole message.

    Raises:
        UnguardedCall: it held something, and nothing that could be judged.
    """
    if _is_lost(given, known):
        raise UnguardedCall(LOST)


def known_message(given: object) -> dict[str, Any]:
    """Return what can be judged of a message or delta: fields that are known and well formed."""
    if not isinstance(given, Mapping):
        return {}
    known = {"role": given["role"]} if is_label(given.get("role")) else {}
    if "annotations" in given:
        known["annotations"] = given["annotations"]
    for field in TEXT_FIELDS:
        if field in given and _is_content(given[field]):
            known[field] = _known_content(given[field])
    for field, kind in _CALL_FIELDS.items():
        if isinstance(given.get(field), kind):
            known[field] = given[field]
    return known


def spoken(message: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the parts of a known message that hold text, and the text."""
    for field in TEXT_FIELDS:
        if message.get(field):
            yield from _said(field, message[field])
    for place, call in enumerate(message.get("tool_calls") or ()):
        yield f"call {_number(call, place)}", "\n".join(strings(call))
    for field in ("function_call", "annotations"):
        if message.get(field):
            yield field, "\n".join(strings(message[field]))


def text_of_message(message: Mapping[str, Any]) -> str:
    """Return all that a known message says, as one text to judge."""
    parts: dict[str, list[str]] = {}
    for name, text in spoken(message):
        parts.setdefault(name, []).append(text)
    return "\n".join(readable("".join(texts)) for texts in parts.values())


def said_by(message: Mapping[str, Any], *fields: str) -> str:
    """Return what some fields of a known message say to read, as one text."""
    values = ((field, message.get(field)) for field in fields)
    return "".join(text for field, value in values if value for _, text in _said(field, value))


def _is_lost(given: object, known: Mapping[str, Any]) -> bool:
    """Whether a message held something to say, and nothing of it can be judged.

    Args:
        given: the message, as it came.
        known: what `known_message` returns of it.
    """
    if _answers(known):
        return False
    if not isinstance(given, Mapping):
        return bool(given)
    fields = (*TEXT_FIELDS, *_CALL_FIELDS)
    return any(_is_less(known.get(field), given.get(field)) for field in fields)


def _answers(message: Mapping[str, Any]) -> bool:
    """Whether a known message says or calls anything, besides what the model thinks."""
    return any(text and name not in _THOUGHTS for name, text in spoken(message))


def _is_less(known: Any, given: Any) -> bool:
    if isinstance(given, list) and isinstance(known, list):
        return len(known) < len(given)
    return bool(given) and not known


def _is_content(value: object) -> bool:
    return value is None or isinstance(value, str | list)


def _known_content(content: Any) -> Any:
    """Return a text as it is, or the parts of a list that hold text."""
    if not isinstance(content, list):
        return content
    parts = [_known_part(part) for part in content]
    return [part for part in parts if part is not None]


def _known_part(part: object) -> dict[str, Any] | None:
    """Return the text of a part and the labels on it; None where it holds something else."""
    if not isinstance(part, Mapping) or part.get("type") not in _PARTS:
        return None
    found = {name: _text_or_parts(part.get(name)) for name in _WORDS}
    words = {name: text for name, text in found.items() if text is not None}
    if not words:
        return None
    labels = {name: part[name] for name in _LABELS if name in part and _is_plain(part[name])}
    return {**labels, **words}


def _text_or_parts(value: object) -> str | list[dict[str, Any]] | None:
    """Return a text, or the parts within a part that hold text; None if there is none."""
    if not isinstance(value, list):
        return value if isinstance(value, str) else None
    parts: list[dict[str, Any]] = _known_content(value)
    return parts if parts or not value else None


def _is_plain(value: object) -> bool:
    return isinstance(value, int | None) or is_label(value)


def _said(field: str, content: str | list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the texts of a field; what is thought, and what is said, stand apart."""
    if isinstance(content, str):
        yield field, content
        return
    for part in content:
        for name in _WORDS:
            if part.get(name):
                yield from _said(field if name == "text" else f"{field} {name}", part[name])


def _number(call: object, place: int) -> object:
    return call.get("index", place) if isinstance(call, Mapping) else place
