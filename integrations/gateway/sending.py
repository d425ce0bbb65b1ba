"""Responses, whole and streamed, and what ends them early."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeAlias

from starlette.types import Message, Receive, Send

from guardrail.integrations.gateway.door import Headers
from guardrail.integrations.gateway.faults import Fault, translating
from guardrail.integrations.gateway.stopping import stopping

__all__ = [
    "ClientGone",
    "Head",
    "Incoming",
    "send_on",
    "send_stream",
    "send_whole",
    "until_gone",
]

_logger = logging.getLogger("guardrail")
_Work: TypeAlias = Coroutine[Any, Any, None]
_COMMENT = b": keep-alive\n\n"
_MOST_WAITING = 256  # events for a slow client


@dataclass(frozen=True, slots=True)
class Head:
    """What comes before a body."""

    status: int
    headers: Headers


class ClientGone(Exception):
    """Nobody is there to answer."""


class Incoming:
    """A request's body as it comes, and after it the news that the client is gone.

    Attributes:
        failure: why the body did not come to its end.
    """

    def __init__(self, receive: Receive) -> None:
        self.failure: Exception | None = None
        self._receive = receive
        self._came = asyncio.Event()  # all of it

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body's pieces.

        Raises:
            ClientGone: the client left before it had sent all.
        """
        more = True
        while more:
            message = await self._next()
            more = message.get("more_body", False)
            if message.get("body"):
                yield message["body"]
        self._came.set()

    async def whole(self) -> bytes:
        """Return all of it."""
        return b"".join([piece async for piece in self])

    async def gone(self) -> None:
        """Wait until the client has left after it had sent all."""
        await self._came.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _next(self) -> Message:
        try:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
        except Exception as error:  # also that it is too large
            self.failure = error
            raise
        return message


async def until_gone(incoming: Incoming, send: Send, work: Callable[[Send], _Work]) -> None:
    """Do some work that sends a response, unless the client leaves before it has all of it."""
    complete = False

    async def sending(message: Message) -> None:
        nonlocal complete
        if message["type"] == "http.response.body" and not message.get("more_body"):
            complete = True  # what the server calls a disconnect now is none
        await send(message)

    task, gone = asyncio.create_task(work(sending)), asyncio.create_task(incoming.gone())
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done() or complete:
            await task
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def send_whole(send: Send, head: Head, body: bytes) -> None:
    """Send a response at once."""
    length = (b"content-length", str(len(body)).encode())
    await _start(send, Head(head.status, [*head.headers, length]))
    await send({"type": "http.response.body", "body": body})


async def send_on(send: Send, head: Head, pieces: AsyncIterator[bytes]) -> None:
    """Send a response whose pieces nobody looks at, as they come.

    One that breaks off is left unfinished, so that the server closes the connection.
    """
    await _start(send, head)
    try:
        with translating():
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
    except Fault as fault:
        _logger.warning("an answer broke off: %s", fault.detail)
        return
    await send({"type": "http.response.body", "body": b""})


async def send_stream(
    send: Send, head: Head, first: bytes, events: AsyncIterator[bytes], keep_alive: float
) -> None:
    """Send a response's events as they come; what fails on the way is told by the last.

    So is that the server stops. A client that left is told as well, and does not hear it.

    Args:
        send: takes ASGI messages.
        head: comes before them.
        first: event, with the empty line that ends it, as the others have one.
        events: the others.
        keep_alive: seconds of silence after which a comment is sent.
    """
    await _start(send, head)
    line = _Line(send, keep_alive)
    await line.put(first)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(line.run())
            await _put_all(line, events)
            line.end()
    except asyncio.CancelledError:
        await send({"type": "http.response.body", "body": stopping().event()})
        raise


async def _put_all(line: _Line, events: AsyncIterator[bytes]) -> None:
    """Put events on the line, and what went wrong as the last."""
    try:
        with translating():
            async for event in events:
                await line.put(event)
    except Fault as fault:
        await line.put(fault.event())
    except Exception:
        _logger.exception("a stream failed")
        await line.put(Fault(500, "the gateway failed", code="gateway_failed").event())


async def _start(send: Send, head: Head) -> None:
    message = {"type": "http.response.start", "status": head.status, "headers": head.headers}
    await send(message)


class _Line:
    """A response under way: what comes at once is sent as one, and comments fill long silences."""

    def __init__(self, send: Send, keep_alive: float) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._keep_alive = keep_alive
        self._spoke = self._loop.time()
        self._waiting: list[bytes] = []
        self._ended = False
        self._wake = asyncio.Event()  # there is something to send
        self._room = asyncio.Event()  # and it was sent

    async def put(self, data: bytes) -> None:
        """Have something sent; waits while much is waiting, since the client is slow."""
        self._waiting.append(data)
        self._wake.set()
        while len(self._waiting) >= _MOST_WAITING:
            self._room.clear()
            await self._room.wait()

    def end(self) -> None:
        """Say that nothing follows."""
        self._ended = True
        self._wake.set()

    async def run(self) -> None:
        """Send until the end."""
        self._listen(self._keep_alive)
        try:
            while not await self._say():
                pass
        finally:
            self._clock.cancel()

    async def _say(self) -> bool:
        """Send what there is, once there is something; return whether it was the last."""
        await self._wake.wait()
        self._wake.clear()
        data, ended = b"".join(self._waiting), self._ended
        self._waiting.clear()
        self._spoke = self._loop.time()
        message = {"type": "http.response.body", "body": data, "more_body": not ended}
        await self._send(message)
        self._room.set()
        return ended

    def _listen(self, seconds: float) -> None:
        """See after some time whether there was silence: cheaper than a timeout for each event."""
        self._clock = self._loop.call_later(seconds, self._heard)

    def _heard(self) -> None:
        left = self._spoke + self._keep_alive - self._loop.time()
        if left <= 0 and not self._waiting:
            self._waiting.append(_COMMENT)
            self._wake.set()
        self._listen(left if left > 0 else self._keep_alive)
