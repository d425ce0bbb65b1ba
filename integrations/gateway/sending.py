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

__all__ = ["ClientGone", "Head", "receive_all", "send_stream", "send_whole", "until_gone"]

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


async def receive_all(receive: Receive) -> bytes:
    """Return a request's body.

    Raises:
        ClientGone: the client left before it had sent all.
    """
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def until_gone(receive: Receive, send: Send, work: Callable[[Send], _Work]) -> None:
    """Do some work that sends a response, unless the client leaves before it has all of it."""
    complete = False

    async def sending(message: Message) -> None:
        nonlocal complete
        if message["type"] == "http.response.body" and not message.get("more_body"):
            complete = True  # what the server calls a disconnect now is none
        await send(message)

    task, gone = asyncio.create_task(work(sending)), asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done() or complete:
            await task
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_whole(send: Send, head: Head, body: bytes) -> None:
    """Send a response at once."""
    length = (b"content-length", str(len(body)).encode())
    await _start(send, Head(head.status, [*head.headers, length]))
    await send({"type": "http.response.body", "body": body})


async def send_stream(
    send: Send, head: Head, events: AsyncIterator[bytes], keep_alive: float
) -> None:
    """Send a response's events as they come; what fails on the way is told by the last.

    Args:
        send: takes ASGI messages.
        head: sent once the first event is there.
        events: each with the empty line that ends it.
        keep_alive: seconds of silence after which a comment is sent.
    """
    first = await anext(events, b"")
    await _start(send, head)
    line = _Line(send, keep_alive)
    await line.put(first)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(line.run())
        await _put_all(line, events)
        line.end()


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
        self._keep_alive = keep_alive
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
        while True:
            is_silent = await self._is_silent()
            data = _COMMENT if is_silent else b"".join(self._waiting)
            more = is_silent or not self._ended
            if not is_silent:
                self._waiting.clear()
                self._wake.clear()
            await self._send({"type": "http.response.body", "body": data, "more_body": more})
            self._room.set()
            if not more:
                return

    async def _is_silent(self) -> bool:
        """Wait for something to send; return whether there was nothing for long."""
        try:
            async with asyncio.timeout(self._keep_alive):
                await self._wake.wait()
        except TimeoutError:
            return True
        return False
