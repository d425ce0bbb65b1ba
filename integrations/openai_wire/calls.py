"""Which calls there are, and what is common to those whose replies are judged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guardrail.gate import Lane, Shape
from guardrail.integrations.openai_wire.reading import labelled
from guardrail.integrations.openai_wire.text import Piece
from guardrail.types import Conversation, Outcome, Role, Turn

__all__ = [
    "LOST",
    "UNKNOWN_ERROR",
    "WITHHELD_ERROR",
    "Call",
    "Stream",
    "carries_no_reply",
    "conversation",
    "safe_error",
    "wordless_error",
]

# Paths whose answers hold no reply of a model: vectors, verdicts, names, the caller's own files,
# and the caller's own words spoken or written down. Whatever is not listed here is refused.
# A ? is one segment, a * at the end all that follow.
_WITHOUT_REPLY = {
    "GET": (
        *("models", "models/*", "files", "files/?"),
        *("vector_stores", "vector_stores/*", "fine_tuning/jobs", "fine_tuning/jobs/*"),
    ),
    "POST": (
        *("embeddings", "moderations", "responses/input_tokens", "files"),
        *("uploads", "uploads/?/parts", "uploads/?/complete", "uploads/?/cancel"),
        *("vector_stores", "vector_stores/*", "fine_tuning/jobs", "fine_tuning/jobs/*"),
        *("audio/speech", "audio/transcriptions", "audio/translations"),
    ),
    "DELETE": ("models/*", "files/?", "vector_stores/*", "chat/completions/?", "responses/?"),
}
UNKNOWN_ERROR = "unknown error"
"""The message of an error that has none."""
_ERROR_FIELDS = ("type", "param", "code", "innererror", "status")
WITHHELD_ERROR = {
    "error": {
        "message": "the upstream failed, and what it said of it did not pass the guard",
        "type": "server_error",
        "param": None,
        "code": "content_filter",
    }
}
"""In place of an error whose message does not pass."""
LOST = "the reply holds something, and nothing of it could be read, so it cannot be judged"
"""Why a reply is refused that would otherwise come out empty."""
_ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
    "function": Role.TOOL,
}


def carries_no_reply(method: str, path: str) -> bool:
    """Whether the answer to such a request holds no reply of a model.

    Args:
        method: of the request.
        path: below the API's base, without slashes around it: `models/gpt-5`.
    """
    segments = path.split("/")
    known = _WITHOUT_REPLY.get(method, ())
    return ".." not in segments and any(_matches(segments, pattern) for pattern in known)


def _matches(segments: list[str], pattern: str) -> bool:
    wanted = pattern.split("/")
    if wanted[-1] == "*" and len(segments) >= len(wanted):
        wanted[-1:] = ["?"] * (len(segments) - len(wanted) + 1)
    return len(segments) == len(wanted) and all(
        want == one or (want == "?" and one) for want, one in zip(wanted, segments, strict=True)
    )


class Stream(ABC):
    """One streamed reply: reads its events, and writes those that the caller may see.

    It holds what is known of this one reply, so each reply needs its own.

    Attributes:
        ended: whether the mark of the end follows the last event, where the protocol has one.
    """

    ended: bool = False

    @property
    @abstractmethod
    def lanes(self) -> Sequence[Lane]:
        """The lanes that are known from the start."""

    @abstractmethod
    def read(self, data: Mapping[str, Any]) -> list[Piece]:
        """Return what an event from upstream holds; nothing, if it cannot be judged."""

    @abstractmethod
    def end(self) -> list[Piece]:
        """Return what was held back, now that upstream has ended."""

    @abstractmethod
    def write(self, piece: Piece) -> list[dict[str, Any]]:
        """Return the events for a piece that has passed the gate."""

    @property
    def shape(self) -> Shape[Piece]:
        """How the gate reads pieces."""
        return Shape(
            read=lambda piece: (piece.lane, piece.text),
            refuse=lambda lane, outcome: [Piece(lane, "", outcome)],
            lanes=self.lanes,
        )

    def refuse(self, outcome: Outcome) -> list[dict[str, Any]]:
        """Return all events of a call that never went upstream."""
        return [event for lane in self.lanes for event in self.write(Piece(lane, "", outcome))]


@dataclass(frozen=True, slots=True)
class Call(ABC):
    """A call whose reply is to be judged.

    Args:
        asked: the conversation up to the user's turn.
        model: the one that was asked for.
        streamed: whether the reply was asked for in a stream.
        structured: whether it is to be JSON, so that refusals stand apart from it.
        created: seconds since 1970, for replies that are made here.
        said: the request's own strings, which its reply may repeat.
    """

    asked: Conversation
    model: str
    streamed: bool
    structured: bool
    created: int
    said: Container[str]

    @abstractmethod
    def texts(self, reply: Mapping[str, Any]) -> list[str]:
        """Return the texts of a whole reply that are judged, one for each lane.

        Raises:
            UnguardedCall: it is no reply of the kind that was asked for.
        """

    @abstractmethod
    def answer(self, reply: Mapping[str, Any], outcomes: Sequence[Outcome]) -> dict[str, Any]:
        """Return a whole reply as the caller may see it; outcomes are in the order of `texts`."""

    @abstractmethod
    def refusal(self, outcome: Outcome) -> dict[str, Any]:
        """Return the whole reply to a call that never went upstream."""

    @abstractmethod
    def stream(self) -> Stream:
        """Return the state of one streamed reply."""


def conversation(messages: Iterable[object], instructions: object = None) -> Conversation:
    """Return the conversation up to the last thing the user said.

    What follows it, calls of tools and their results, belongs to the reply that is being made.
    """
    turns = [Turn(Role.SYSTEM, instructions)] if isinstance(instructions, str) else []
    turns += _turns(messages)
    last = max((at for at, turn in enumerate(turns) if turn.role is Role.USER), default=None)
    return (*turns, Turn(Role.USER, "")) if last is None else tuple(turns[: last + 1])


def _turns(messages: Iterable[object]) -> Iterator[Turn]:
    for message in messages:
        if not isinstance(message, Mapping):
            continue
        role, text = message.get("role"), _text_of(message.get("content"))
        if text and isinstance(role, str) and role in _ROLES:
            yield Turn(_ROLES[role], text)


def _text_of(content: object) -> str:
    """Return the text of a message's content, which is text or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, Mapping))
    return "\n".join(text for text in texts if isinstance(text, str))


def safe_error(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return an error without what stands beside it: some servers put the failed reply there.

    Its message is still to be judged, where the model had begun to speak.
    """
    error = body.get("error", body)
    given = error if isinstance(error, Mapping) else {"message": error}
    message = given.get("message")
    known = {name: labelled(given[name]) for name in _ERROR_FIELDS if name in given}
    return {"error": {"message": message if isinstance(message, str) else UNKNOWN_ERROR, **known}}


def wordless_error(body: Mapping[str, Any], status: int | None = None) -> dict[str, Any]:
    """Return an error whose message did not pass: its labels, and a plain sentence.

    Args:
        body: of the error.
        status: that it came with; None where it came in place of a reply.
    """
    failed = "failed" if status is None else f"answered with status {status}"
    message = f"the upstream {failed}, and what it said of it did not pass the guard"
    return {"error": {**safe_error(body)["error"], "message": message}}
