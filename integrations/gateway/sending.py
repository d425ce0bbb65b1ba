"""Responses, whole and streamed, and what ends them early."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive, Send

from guardrail.integrations.gateway.door import Headers
from guardrail.integrations.gateway.faults import Fault, translating

__all__ = ["ClientGone", "Head", "receive_all", "send_stream", "send_whole", "until_gone"]

_logger = logging.getLogger("guardrail")
_COMMENT = b": keep-alive\n\n"


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


async def until_gone(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do some work, unless the client leaves."""
    task, gone = asyncio.create_task(work), asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
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
    await line.send(first)
    pulse = asyncio.create_task(line.pulse())
    try:
        last = await _send_all(line, events)
    finally:
        pulse.cancel()
        await asyncio.gather(pulse, return_exceptions=True)
    await send({"type": "http.response.body", "body": last})


async def _send_all(line: _Line, events: AsyncIterator[bytes]) -> bytes:
    """Send events, and return what is to be sent last."""
    try:
        with translating():
            async for event in events:
                await line.send(event)
    except Fault as fault:
        return fault.event()
    except Exception:
        _logger.exception("a stream failed")
        return Fault(500, "the gateway failed", code="gateway_failed").event()
    return b""


async def _start(send: Send, head: Head) -> None:
    message = {"type": "http.response.start", "status": head.status, "headers": head.headers}
    await send(message)


class _Line:
    """A response under way, in which comments fill long silences."""

    def __init__(self, send: Send, keep_alive: float) -> None:
        self._send = send
        self._keep_alive = keep_alive
        self._now = asyncio.get_running_loop().time
        self._last = self._now()

    async def send(self, data: bytes) -> None:
        self._last = self._now()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def pulse(self) -> None:
        """Send a comment whenever nothing was sent for long."""
        while True:
            silent = self._now() - self._last
            if silent >= self._keep_alive:
                await self.send(_COMMENT)
            else:
                await asyncio.sleep(self._keep_alive - silent)
