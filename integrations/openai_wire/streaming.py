"""Streamed replies as a guard lets them through: bytes in, bytes out, sync or async."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing, suppress
from typing import Any, Protocol, Self

from guardrail.gate import Lane
from guardrail.guard import Guard
from guardrail.integrations.openai_wire.calls import Call, Stream
from guardrail.integrations.openai_wire.sse import DONE, Decoder, ServerEvent, encode, to_json
from guardrail.integrations.openai_wire.text import Piece
from guardrail.types import Outcome

__all__ = [
    "AsyncBytes",
    "Bytes",
    "GuardedAsyncBytes",
    "GuardedBytes",
    "Tap",
    "encoded",
    "end_of",
]

_DRAIN_S = 0.1  # for what follows the end of a stream, so that its connection can be used again


class Bytes(Protocol):
    """A reply's body, as an HTTP library gives it."""

    def __iter__(self) -> Iterator[bytes]: ...
    def close(self) -> None: ...


class AsyncBytes(Protocol):
    """A reply's body, as an HTTP library gives it to an event loop."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    async def aclose(self) -> None: ...


class Tap(Protocol):
    """Is told what passes by at both ends of a guarded stream."""

    def took(self, lane: Lane, text: str) -> None: ...
    def showed(self, lane: Lane, text: str) -> None: ...


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
            yield from map(encoded, self._stream.write(piece))
        yield end_of(self._stream)

    def close(self) -> None:
        """Leave the stream; the reply is closed, too."""
        self._guarded.close()
        self._body.close()


class GuardedAsyncBytes:
    """A streamed reply, as far as it is judged, for `async for`; see `GuardedBytes`.

    Args:
        call: the one it answers.
        body: the reply as it comes.
        guard: judges.
        tap: is told what comes in and what leaves.
    """

    def __init__(
        self, call: Call, body: AsyncBytes, guard: Guard, *, tap: Tap | None = None
    ) -> None:
        self._stream = call.stream()
        self._body = body
        self._tap = tap
        pieces = _AsyncPieces(self._stream, body, tap)
        self._guarded = guard.astream_events(
            pieces, self._stream.shape, asked=call.asked, check_input=False
        )

    @property
    def outcomes(self) -> Mapping[Lane, Outcome]:
        """What was decided in the end; filled once the reply has ended."""
        return self._guarded.outcomes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._guarded:
            if self._tap is not None and piece.lane is not None:
                self._tap.showed(piece.lane, piece.text)
            for event in self._stream.write(piece):
                yield encoded(event)
        yield end_of(self._stream)

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

    def __init__(self, stream: Stream, body: AsyncBytes, tap: Tap | None) -> None:
        self._stream = stream
        self._body = body
        self._tap = tap
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
        piece = self._ready.popleft()
        if self._tap is not None and piece.lane is not None:
            self._tap.took(piece.lane, piece.text)
        return piece

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


def encoded(data: Mapping[str, Any]) -> bytes:
    """Return an event as it crosses the wire, under its type if it has one."""
    name = "error" if "error" in data and "choices" not in data else data.get("type")
    return encode(ServerEvent(name, to_json(data)))


def end_of(stream: Stream) -> bytes:
    """Return the mark that ends a stream, where its protocol has one and it has come."""
    return encode(ServerEvent(None, DONE)) if stream.ended else b""
