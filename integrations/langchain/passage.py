"""A model's reply on its way through the gate: taken in as pieces, given out as what it was."""

from __future__ import annotations

from collections import deque
from collections.abc import (
    AsyncGenerator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from types import EllipsisType
from typing import Any, TypeAlias, TypeVar

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from guardrail.errors import UnguardedCall
from guardrail.gate import Lane, Shape
from guardrail.guard import Guard
from guardrail.integrations.escapes import Unescape
from guardrail.integrations.failures import aattempt, attempt
from guardrail.integrations.langchain.blocks import Blocks
from guardrail.integrations.langchain.parts import Part
from guardrail.integrations.langchain.reading import Block, calls_of, read
from guardrail.integrations.langchain.refusal import refused
from guardrail.types import Conversation, Outcome
from guardrail.window import Window

__all__ = ["Passage", "Piece", "Wrap", "agated", "gated"]

T = TypeVar("T")
Wrap: TypeAlias = Callable[[AIMessage, dict[str, Any] | None], Any]
"""Makes the host's own kind of item of a message and its generation's metadata."""


@dataclass(frozen=True, slots=True)
class _Payload:
    message: AIMessage
    item: Any


@dataclass(frozen=True, slots=True)
class Piece:
    """An event of the gate: some text of one lane, an item that leaves after it, or a refusal."""

    lane: tuple[int, Part]
    text: str
    payload: _Payload | None = None
    outcome: Outcome | None = None


@dataclass(slots=True)
class _Reply:
    """One choice, so far."""

    wrap: Wrap
    opening: str  # until it is taken in
    pending: deque[_Payload] = field(default_factory=deque)  # taken in, not given out
    held: list[_Payload] = field(default_factory=list)  # until the end, from the first on
    blocks: dict[Part, Blocks] = field(default_factory=dict)
    unescape: dict[Part, Unescape] = field(default_factory=dict)
    given: set[str] = field(default_factory=set)  # metadata that the caller has
    id: str | None = None
    speaks: bool = False  # some item of it was a message

    def note(self, blocks: Sequence[Block]) -> None:
        """Take note of where the text of more content stands."""
        for block in blocks:
            self.blocks.setdefault(block.part, Blocks()).add(block.index, block.text)

    def by_turns(self) -> dict[Part, str]:
        """Return the texts of the parts whose blocks came by turns, as they add up."""
        return {part: one.text for part, one in self.blocks.items() if one.by_turns}

    def begin(self) -> str:
        """Return the text that the reply goes on from, once."""
        opening, self.opening = self.opening, ""
        return opening

    def plain(self, part: Part, text: str) -> str:
        """Return more of a part's text, with its escapes as what they stand for."""
        return self.unescape.setdefault(part, Unescape())(text)


class Passage:
    """The state of one call: what has been taken in of each choice, and given out.

    Args:
        wrap: makes a refusal an item, if it comes before any item.
        message: the class of refusals: whole, or a chunk.
        judge_calls: whether tool calls are judged.
        opening: what the reply goes on from: a prefilled turn of the assistant.
    """

    def __init__(
        self, wrap: Wrap, message: type[AIMessage], *, judge_calls: bool, opening: str = ""
    ) -> None:
        self._wrap = wrap
        self._message = message
        self._judge_calls = judge_calls
        self._opening = opening
        self._replies: dict[int, _Reply] = {}

    @property
    def shape(self) -> Shape[Piece]:
        """How the gate reads and refuses pieces; a refusal ends all parts of its choice."""
        return Shape(lambda piece: (piece.lane, piece.text), _refuse, [(0, Part.TEXT)], _choice)

    def take(
        self,
        message: BaseMessage,
        item: Any,
        wrap: Wrap | None,
        *,
        info: dict[str, Any] | None = None,
        choice: int = 0,
    ) -> Iterator[Piece]:
        """Take in an item that stands for a message, or for a chunk of one.

        Args:
            message: what it says.
            item: the host's own.
            wrap: makes such an item; None for one that says nothing.
            info: the metadata of its generation.
            choice: whose it is, of several replies.

        Raises:
            UnguardedCall: it cannot be judged.
        """
        reading, reply = read(message, info), self._reply(choice)
        reply.wrap, reply.id = wrap or reply.wrap, message.id or reply.id
        reply.speaks = reply.speaks or wrap is not None
        untouched = reading.message is message
        payload = _Payload(
            reading.message, item if untouched else reply.wrap(reading.message, reading.info)
        )
        reply.pending.append(payload)
        reply.note(reading.blocks)
        calls = self._judge_calls and reading.calls
        held = bool(reply.held or calls or reply.by_turns())
        if held:
            reply.held.append(payload)
        texts = {part: reply.plain(part, text) for part, text in reading.texts.items()}
        said = reply.begin() + texts.pop(Part.TEXT, "")
        yield from (Piece((choice, part), text) for part, text in texts.items())
        yield Piece((choice, Part.TEXT), said, None if held else payload)

    def _reply(self, choice: int) -> _Reply:
        return self._replies.setdefault(choice, _Reply(self._wrap, self._opening))

    def end(self) -> Iterator[Piece]:
        """Take in the end of all choices.

        Raises:
            UnguardedCall: there was no message in what came.
        """
        for choice, reply in self._replies.items():
            if not reply.speaks:
                raise UnguardedCall("the reply is not where it was said to be, so none was judged")
            for part, unescape in reply.unescape.items():
                yield Piece((choice, part), unescape.rest())
            if reply.held and self._judge_calls:
                yield Piece((choice, Part.CALLS), _calls(reply.held))
            for part, text in reply.by_turns().items():
                yield Piece((choice, part), f"\n{text}")
            for payload in reply.held:
                yield Piece((choice, Part.TEXT), "", payload)

    def give(self, piece: Piece) -> Iterator[tuple[int, Any]]:
        """Give out the item that a released piece carries, and its choice."""
        choice, _ = piece.lane
        if piece.outcome is not None:
            yield choice, self._refusal(choice, piece.outcome)
        elif piece.payload is not None:
            reply = self._replies[choice]
            reply.pending.popleft()
            reply.given.update(piece.payload.message.response_metadata)
            yield choice, piece.payload.item

    def _refusal(self, choice: int, outcome: Outcome) -> Any:
        reply = self._reply(choice)
        dropped = [payload.message for payload in reply.pending]
        message = refused(self._message, outcome, dropped, id=reply.id, given=reply.given)
        return reply.wrap(message, None)


def _refuse(lane: Lane, outcome: Outcome) -> list[Piece]:
    assert isinstance(lane, tuple)
    return [Piece(lane, "", outcome=outcome)]


def _choice(lane: Lane) -> int:
    assert isinstance(lane, tuple)
    return int(lane[0])


def _calls(payloads: Iterable[_Payload]) -> str:
    """Return what the tool calls of a whole reply, or of all its chunks together, say."""
    plain: dict[str, Any] = {"response_metadata": {}, "usage_metadata": None}
    messages = [payload.message.model_copy(update=plain) for payload in payloads]
    chunks = [one for one in messages if isinstance(one, AIMessageChunk)]
    whole = [one for one in messages if not isinstance(one, AIMessageChunk)]
    merged = [chunks[0] + chunks[1:]] if chunks else []
    return "\n".join(calls_of(one) for one in [*whole, *merged])


def gated(
    guard: Guard,
    asked: Conversation,
    source: Generator[T, None, None],
    take: Callable[[T], Iterator[Piece]],
    passage: Passage,
    window: Window | EllipsisType | None = ...,
) -> Iterator[tuple[int, Any]]:
    """Yield the items of a reply, with their choice, once they are judged, or its refusal.

    Args:
        guard: judges.
        asked: the conversation up to the user's turn.
        source: the reply as it comes.
        take: takes what comes into the passage.
        passage: of this call.
        window: when the growing reply is judged; the policy's unless given.

    Raises:
        UnguardedCall: something in it cannot be judged, or it failed in words that did not pass.
    """
    pieces = _pieces(source, take, passage)
    with guard.stream_events(pieces, passage.shape, asked=asked, window=window) as stream:
        while (piece := attempt(lambda: next(stream, None), guard, asked)) is not None:
            yield from passage.give(piece)


async def agated(
    guard: Guard,
    asked: Conversation,
    source: AsyncGenerator[T, None],
    take: Callable[[T], Iterator[Piece]],
    passage: Passage,
    window: Window | EllipsisType | None = ...,
) -> AsyncGenerator[tuple[int, Any], None]:
    """Do what `gated` does, for `async for`."""
    pieces = _apieces(source, take, passage)
    async with guard.astream_events(pieces, passage.shape, asked=asked, window=window) as stream:
        while (piece := await aattempt(lambda: anext(stream, None), guard, asked)) is not None:
            for item in passage.give(piece):
                yield item


def _pieces(
    source: Generator[T, None, None], take: Callable[[T], Iterator[Piece]], passage: Passage
) -> Iterator[Piece]:
    with closing(source):
        for item in source:
            yield from take(item)
        yield from passage.end()


async def _apieces(
    source: AsyncGenerator[T, None], take: Callable[[T], Iterator[Piece]], passage: Passage
) -> AsyncGenerator[Piece, None]:
    async with aclosing(source):
        async for item in source:
            for piece in take(item):
                yield piece
        for piece in passage.end():
            yield piece
