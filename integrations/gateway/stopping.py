"""What becomes of the requests that the server gives up at the end of its drain."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guardrail.integrations.gateway.faults import Fault

__all__ = ["Stopping", "stopping"]

_GRACE_S = 2.0  # to say so, which takes a moment


class Stopping:
    """An ASGI app around another: a request that the server gives up ends as a fault.

    The server cancels it, would log that as a failure of the app, and goes on to its own end.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._under_way: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the life of the server."""
        if scope["type"] == "lifespan":
            await self._app(scope, self._after_all(receive), send)
            return
        task = asyncio.current_task()
        assert task is not None, "this is a coroutine"
        self._under_way.add(task)
        try:
            await self._serve(scope, receive, send)
        finally:
            self._under_way.discard(task)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except asyncio.CancelledError:
            if not started:
                await stopping().response()(scope, receive, send)

    def _after_all(self, receive: Receive) -> Receive:
        """Have the news of the end wait for those that were given up."""

        async def receiving() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown" and self._under_way:
                await asyncio.wait(self._under_way, timeout=_GRACE_S)
            return message

        return receiving


def stopping() -> Fault:
    """Return what a request is told that comes to no end before the server does."""
    return Fault(503, "the gateway is being stopped", code="gateway_stopping", retry=True)
