"""Chat completions on the wire: each choice is a lane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guardrail.errors import UnguardedCall
from guardrail.gate import Lane
from guardrail.integrations.escapes import readable
from guardrail.integrations.openai_wire.calls import (
    WITHHELD_ERROR,
    Call,
    Stream,
    conversation,
    safe_error,
)
from guardrail.integrations.openai_wire.logprobs import spelled
from guardrail.integrations.openai_wire.messages import (
    Losses,
    known_message,
    refuse_loss,
    said_by,
    spoken,
    text_of_message,
)
from guardrail.integrations.openai_wire.reading import Said, labelled
from guardrail.integrations.openai_wire.text import Piece, Strand
from guardrail.types import Outcome

__all__ = ["ChatCall", "read_chat"]

# What is passed on, without what could be read in it; all else, which might hold text that nobody
# judged, is left out.
_REPLY_FIELDS = frozenset(
    (
        *("id", "object", "created", "model", "usage", "service_tier", "system_fingerprint"),
        *("prompt_filter_results", "moderation", "metadata", "provider"),
    )
)
_FRAME_FIELDS = ("id", "created", "model", "service_tier", "system_fingerprint")
_CHOICE_FIELDS = (
    *("index", "finish_reason", "native_finish_reason", "stop_reason"),
    *("content_filter_results", "content_filter_offsets"),
)
_CALL_FIELDS = ("tool_calls", "function_call")
_MOST_CHOICES = 128  # the API's own limit
_CHUNK = "chat.completion.chunk"
_CHUNKS = (_CHUNK, "chat.completion", "", None)  # Azure's own chunks have no kind
_ERROR = "error"  # the lane of what is said about a failure


@dataclass(frozen=True, slots=True)
class ChatCall(Call):
    """A call of `chat/completions`.

    Args:
        choices: how many were asked for.
    """

    choices: int = 1

    def texts(self, reply: Mapping[str, Any]) -> list[str]:
        """Return the text of each choice."""
        return [_text(choice) for choice in _choices(reply)]

    def answer(self, reply: Mapping[str, Any], outcomes: Sequence[Outcome]) -> dict[str, Any]:
        """Return the reply with its unsafe choices replaced."""
        choices = [
            self._refused(choice, outcome) if outcome.blocked else _whole_choice(choice)
            for choice, outcome in zip(_choices(reply), outcomes, strict=True)
        ]
        return {**self.framed(reply), "choices": choices}

    def refusal(self, outcome: Outcome) -> dict[str, Any]:
        """Return a reply made here, each of its choices a refusal."""
        refused = [self._refused({"index": index}, outcome) for index in range(self.choices)]
        usage = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), 0)
        return {**self.frame("chat.completion"), "choices": refused, "usage": usage}

    def stream(self) -> Stream:
        """Return the state of one streamed reply."""
        return _ChatStream(self)

    def framed(self, reply: Mapping[str, Any]) -> dict[str, Any]:
        """Return what stands around the choices of a reply or chunk, as far as it is no text."""
        known = {
            name: labelled(one, self.said) for name, one in reply.items() if name in _REPLY_FIELDS
        }
        if "model" in known and known["model"] is None:
            known["model"] = self.model
        return known

    def frame(self, kind: str) -> dict[str, Any]:
        """Return what stands around the choices of a reply made here."""
        return {
            "id": "chatcmpl-guardrail",
            "object": kind,
            "created": self.created,
            "model": self.model,
        }

    def message(self, text: str) -> dict[str, Any]:
        """Return a refusal as a message; where JSON was asked for, apart from the content."""
        if self.structured:
            return {"role": "assistant", "content": None, "refusal": text}
        return {"role": "assistant", "content": text, "refusal": None}

    def _refused(self, choice: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
        return {
            "index": labelled(choice.get("index", 0)),
            "message": self.message(outcome.text),
            "logprobs": None,
            "finish_reason": "content_filter",
        }


def read_chat(body: Mapping[str, Any], created: int) -> ChatCall:
    """Return the call that a request's body describes.

    Raises:
        UnguardedCall: it asks for speech, which cannot be judged.
    """
    modalities = body.get("modalities")
    if "audio" in body or (isinstance(modalities, list) and "audio" in modalities):
        raise UnguardedCall("spoken replies cannot be judged; ask for text, and have it spoken")
    messages = body.get("messages")
    kind = body.get("response_format")
    count = body.get("n")
    return ChatCall(
        asked=conversation(messages if isinstance(messages, list) else []),
        model=str(body.get("model", "")),
        streamed=bool(body.get("stream")),
        structured=isinstance(kind, Mapping) and kind.get("type") != "text",
        created=created,
        said=Said(body),
        choices=min(max(count, 1), _MOST_CHOICES) if isinstance(count, int) else 1,
    )


class _ChatStream(Stream):
    """One streamed chat completion."""

    def __init__(self, call: ChatCall) -> None:
        self._call = call
        self._strands: dict[int, Strand] = {}
        self._frame: dict[str, Any] = call.frame(_CHUNK)
        self._begun: set[Lane] = set()  # choices the caller has seen something of
        self._losses = Losses()
        self._usage: Any = None  # that came along with a choice
        self._around: Mapping[str, Any] = {}  # the choices of the last chunk, as it came,
        self._framed: dict[str, Any] = {}  # and what of it is passed on

    @property
    def lanes(self) -> Sequence[Lane]:
        """The choices that were asked for."""
        return range(self._call.choices)

    def read(self, data: Mapping[str, Any]) -> list[Piece]:
        """Return a piece for each choice of a chunk.

        Raises:
            UnguardedCall: a choice ends, and nothing that it held could be judged.
        """
        if data.get("error"):
            self._losses.note_error()
            error = safe_error(data)
            return [Piece(_ERROR, readable(error["error"]["message"]), error)]
        choices = data.get("choices")
        if data.get("object") not in _CHUNKS or not isinstance(choices, list):
            self._losses.note_strange(choices)
            return []
        return self._pieces(self._frame_of(data), choices)

    def end(self) -> list[Piece]:
        """Return the calls of tools that no finish has released.

        Raises:
            UnguardedCall: nothing that came could be judged.
        """
        self._losses.refuse_all()
        released = [strand.release(end=True) for strand in self._strands.values()]
        return [piece for pieces in released for piece in pieces]

    def write(self, piece: Piece) -> list[dict[str, Any]]:
        """Return a chunk as it is, or the chunks of a refusal."""
        if isinstance(piece.data, Outcome):
            is_error = piece.lane == _ERROR
            return [WITHHELD_ERROR] if is_error else self._refusal(piece.lane, piece.data)
        if piece.lane is not None:
            self._begun.add(piece.lane)
        return [piece.data]

    def _frame_of(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return what stands around the choices of a chunk: mostly the same as of the last."""
        around = {name: one for name, one in data.items() if name in _REPLY_FIELDS}
        if around.get("object") == "chat.completion":  # whole, in a stream
            around["object"] = _CHUNK
        if around != self._around:
            self._around, self._framed = around, self._call.framed(around)
        return self._framed

    def _pieces(self, frame: dict[str, Any], choices: list[Any]) -> list[Piece]:
        if frame.get("id"):
            self._frame = {**_known(frame, _FRAME_FIELDS), "object": _CHUNK}
        known = _placed(choices)
        if not known:
            return self._choiceless(frame, choices)
        self._usage = frame.get("usage") or self._usage
        pieces = [self._choice(frame, choice) for choice in known]
        return [piece for some in pieces for piece in some]

    def _choice(self, frame: dict[str, Any], choice: Mapping[str, Any]) -> list[Piece]:
        place = choice["index"]
        strand = self._strands.setdefault(place, Strand(place))
        given = choice.get("message") if choice.get("delta") is None else choice["delta"]
        delta = known_message(given)
        self._losses.note(place, given, delta)
        for part, text in spoken(delta):
            strand.add(part, text)
        data = {**frame, "choices": [_chunk_choice(choice, delta)]}
        pieces = strand.piece(data, hold=any(field in delta for field in _CALL_FIELDS))
        if not choice.get("finish_reason"):
            return pieces
        self._losses.refuse(place)
        return pieces + strand.release()

    def _choiceless(self, frame: dict[str, Any], choices: list[Any]) -> list[Piece]:
        if not choices:
            return [Piece(None, "", {**frame, "choices": []})]
        self._losses.note_strange(choices)
        return []

    def _refusal(self, lane: Lane | None, outcome: Outcome) -> list[dict[str, Any]]:
        self.ended = True
        delta = {name: one for name, one in self._call.message(outcome.text).items() if one}
        if lane in self._begun:
            delta.pop("role")
        choice = {"index": lane, "logprobs": None}
        said = {**choice, "delta": delta, "finish_reason": None}
        finish = {**choice, "delta": {}, "finish_reason": "content_filter"}
        usage = {"usage": self._usage} if self._usage else {}
        chunks = ({"choices": [said]}, {"choices": [finish], **usage})
        return [{**self._frame, **chunk} for chunk in chunks]


def _choices(reply: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    choices = reply.get("choices")
    if not isinstance(choices, list) or not all(isinstance(one, Mapping) for one in choices):
        raise UnguardedCall("the reply is no chat completion, so it cannot be judged")
    return choices


def _placed(choices: list[Any]) -> list[Mapping[str, Any]]:
    """Return the choices of a chunk that say which they are; one by itself is the first."""
    known = [choice for choice in choices if isinstance(choice, Mapping)]
    if len(choices) == len(known) == 1 and known[0].get("index") is None:
        return [{**known[0], "index": 0}]
    return [choice for choice in known if type(choice.get("index")) is int]


def _known(value: Mapping[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    return {name: labelled(value[name]) for name in fields if name in value}


def _text(choice: Mapping[str, Any]) -> str:
    """Return all that a choice of a whole reply says, as one text to judge.

    Raises:
        UnguardedCall: it holds something else, and nothing that could be judged.
    """
    given = choice.get("message")
    message = known_message(given)
    elsewhere = choice.get("text") or choice.get("delta")  # where no whole completion has it
    refuse_loss(elsewhere if given is None else given, message)
    return text_of_message(message)


def _whole_choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    message = known_message(choice.get("message"))
    logprobs = _logprobs(choice.get("logprobs"), message)
    return {**_known(choice, _CHOICE_FIELDS), "message": message, "logprobs": logprobs}


def _chunk_choice(choice: Mapping[str, Any], delta: dict[str, Any]) -> dict[str, Any]:
    known = _known(choice, _CHOICE_FIELDS)
    if "delta" in choice or "message" in choice:
        known["delta"] = delta
    if "logprobs" in choice:
        known["logprobs"] = _logprobs(choice["logprobs"], delta)
    return known


def _logprobs(logprobs: object, message: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the token probabilities if they spell what the message says, else none."""
    if not isinstance(logprobs, Mapping):
        return None
    found = {
        name: spelled(logprobs.get(name) or [], said_by(message, name))
        for name in ("content", "refusal")
    }
    if None in found.values():
        return None
    return {name: tokens or None for name, tokens in found.items()}
