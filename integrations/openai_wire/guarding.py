"""Takes the replies that cross the wire through a guard: whole or streamed, sync or async."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import closing, suppress
from typing import Any, Protocol, Self

from guardrail.errors import UnguardedCall
from guardrail.guard import Guard
from guardrail.integrations.openai_wire.calls import (
    Call,
    Stream,
    carries_no_reply,
    parse_body,
    safe_error,
)
from guardrail.integrations.openai_wire.chat import read_chat
from guardrail.integrations.openai_wire.responses import read_responses
from guardrail.integrations.openai_wire.sse import (
    DONE,
    Decoder,
    ServerEvent,
    encode,
    to_bytes,
    to_json,
)
from guardrail.integrations.openai_wire.text import Piece
from guardrail.types import Conversation, Outcome, Role, Turn

__all__ = [
    "AsyncBytes",
    "Bytes",
    "GuardedAsyncBytes",
    "GuardedBytes",
    "aanswer",
    "answer",
    "arefusal",
    "failure",
    "read_call",
    "refusal",
    "refused",
]

_READERS = {"POST chat/completions": read_chat, "POST responses": read_responses}
_DRAIN_S = 0.1  # for what follows the end of a stream, so that its connection can be used again


class Bytes(Protocol):
    """A reply's body, as an HTTP library gives it."""

    def __iter__(self) -> Iterator[bytes]: ...
    def close(self) -> None: ...


class AsyncBytes(Protocol):
    """A reply's body, as an HTTP library gives it to an event loop."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    async def aclose(self) -> None: ...


def read_call(method: str, path: str, body: Callable[[], bytes]) -> Call | None:
    """Return the call that a request makes, or None if its answer carries no reply.

    Args:
        method: of the request.
        path: below the API's base, without slashes around it; an Azure deployment before it counts
            for nothing.
        body: returns that of the request; called only where there is a reply to judge.

    Raises:
        UnguardedCall: its reply could not be judged.
    """
    path = _without_deployment(path)
    if carries_no_reply(method, path):
        return None
    reader = _READERS.get(f"{method} {path}")
    if reader is None:
        raise UnguardedCall(
            f"{method} {path!r} may carry a reply that nobody would judge; guarded are "
            f"{' and '.join(_READERS)}. Make such calls through a client without a guard."
        )
    return reader(parse_body(body()), int(time.time()))


def _without_deployment(path: str) -> str:
    kind, _, rest = path.partition("/")
    return rest.partition("/")[2] if kind == "deployments" else path


def refusal(call: Call, guard: Guard) -> Outcome | None:
    """Judge what the user said, if the policy wants it; return the outcome if it is blocked."""
    return _blocked(guard.review([call.asked])) if guard.policy.check_input else None


async def arefusal(call: Call, guard: Guard) -> Outcome | None:
    """Do what `refusal` does, without blocking the event loop."""
    return _blocked(await guard.areview([call.asked])) if guard.policy.check_input else None


def answer(call: Call, reply: bytes, guard: Guard) -> bytes:
    """Return a whole reply as the caller may see it."""
    known = parse_body(reply)
    if known.get("error") and not known.get("id"):
        return _body(safe_error(known))
    return _body(call.answer(known, guard.review(_replies(call, known))))


async def aanswer(call: Call, reply: bytes, guard: Guard) -> bytes:
    """Do what `answer` does, without blocking the event loop."""
    known = parse_body(reply)
    if known.get("error") and not known.get("id"):
        return _body(safe_error(known))
    return _body(call.answer(known, await guard.areview(_replies(call, known))))


def refused(call: Call, outcome: Outcome) -> bytes:
    """Return the whole body of a reply that never was, streamed or not."""
    if not call.streamed:
        return _body(call.refusal(outcome))
    stream = call.stream()
    events = b"".join(map(_event, stream.refuse(outcome)))
    return events + _end(stream)


def failure(body: bytes) -> bytes:
    """Return the body of an upstream's error, as far as it is known to hold no reply."""
    try:
        return _body(safe_error(parse_body(body)))
    except UnguardedCall:
        return b""


class GuardedBytes:
    """A streamed reply, as far as it is judged: events in, events out.

    Args:
        call: the one it answers.
        body: the reply as it comes; closed when it is cut off or this is closed.
        guard: judges.
    """

    def __init__(self, call: Call, body: Bytes, guard: Guard) -> None:
        self._stream = call.stream()
        self._body = body
        pieces = _pieces(self._stream, body)
        self._guarded = guard.stream_events(
            pieces, self._stream.shape, asked=call.asked, check_input=False
        )

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._guarded:
            yield from map(_event, self._stream.write(piece))
        yield _end(self._stream)

    def close(self) -> None:
        """Leave the stream; the reply is closed, too."""
        self._guarded.close()
        self._body.close()


class GuardedAsyncBytes:
    """A streamed reply, as far as it is judged, for `async for`; see `GuardedBytes`."""

    def __init__(self, call: Call, body: AsyncBytes, guard: Guard) -> None:
        self._stream = call.stream()
        self._body = body
        pieces = _AsyncPieces(self._stream, body)
        self._guarded = guard.astream_events(
            pieces, self._stream.shape, asked=call.asked, check_input=False
        )

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._guarded:
            for event in self._stream.write(piece):
                yield _event(event)
        yield _end(self._stream)

    async def aclose(self) -> None:
        """Leave the stream; the reply is closed, too."""
        await self._guarded.aclose()
        await self._body.aclose()


def _pieces(stream: Stream, body: Bytes) -> Iterator[Piece]:
    decoder = Decoder()
    with closing(body):
        for chunk in body:
            for event in decoder.feed(chunk):
                if event.is_done:
                    stream.ended = True
                    yield from stream.end()
                    return
                yield from stream.read(event.json())
        yield from stream.end()


class _AsyncPieces:
    """Reads a body's events; after the last it ends at once, and drains the body when closed."""

    def __init__(self, stream: Stream, body: AsyncBytes) -> None:
        self._stream = stream
        self._body = body
        self._chunks: AsyncIterator[bytes] | None = None
        self._decoder = Decoder()
        self._ready: deque[Piece] = deque()
        self._ended = False
        self._left = False  # whether something may follow the end

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Piece:
        while not self._ready:
            if self._ended:
                raise StopAsyncIteration
            await self._take()
        return self._ready.popleft()

    async def aclose(self) -> None:
        """Close the body; if it has come to its end, its connection is kept."""
        try:
            if self._left and self._chunks is not None:
                with suppress(Exception):
                    async with asyncio.timeout(_DRAIN_S):
                        await anext(self._chunks)
        finally:
            await self._body.aclose()

    async def _take(self) -> None:
        if self._chunks is None:
            self._chunks = aiter(self._body)
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            self._end()
            return
        for event in self._decoder.feed(chunk):
            if event.is_done:
                self._stream.ended = self._left = True
                self._end()
                return
            self._ready += self._stream.read(event.json())

    def _end(self) -> None:
        self._ended = True
        self._ready += self._stream.end()


def _replies(call: Call, reply: Mapping[str, Any]) -> list[Conversation]:
    return [(*call.asked, Turn(Role.ASSISTANT, text)) for text in call.texts(reply)]


def _blocked(outcomes: list[Outcome]) -> Outcome | None:
    return next((outcome for outcome in outcomes if outcome.blocked), None)


def _event(data: Mapping[str, Any]) -> bytes:
    """Return an event as it crosses the wire, under its type if it has one."""
    name = "error" if "error" in data and "choices" not in data else data.get("type")
    return encode(ServerEvent(name, to_json(data)))


def _end(stream: Stream) -> bytes:
    return encode(ServerEvent(None, DONE)) if stream.ended else b""


def _body(reply: object) -> bytes:
    return to_bytes(to_json(reply))
