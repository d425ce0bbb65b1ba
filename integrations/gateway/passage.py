"""The way of one call: to the upstream, and its judged reply back."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import cast

import httpx
from starlette.types import Send

from guardrail.errors import UnguardedCall
from guardrail.guard import Guard
from guardrail.integrations.gateway.faults import Fault, raise_if_unjudged
from guardrail.integrations.gateway.moderated import Moderated, read_moderated
from guardrail.integrations.gateway.sending import Head, send_stream, send_whole
from guardrail.integrations.gateway.upstream import Asked, Upstream, UpstreamBytes, reply_headers
from guardrail.integrations.gateway.watching import Watch
from guardrail.integrations.openai_wire import (
    Call,
    GuardedAsyncBytes,
    aanswer,
    arefusal,
    failure,
    read_call,
    refused,
)
from guardrail.integrations.telemetry.streams import StreamFigures

__all__ = ["Passage"]

_JSON = b"application/json"
_SSE = b"text/event-stream"
# Nothing on the way may collect the events of a stream, or change them.
_UNBUFFERED = [(b"cache-control", b"no-cache, no-transform"), (b"x-accel-buffering", b"no")]

# What JSON of unexpected types or depth makes the code that reads it raise.
_STRANGE = (AttributeError, KeyError, RecursionError, TypeError, ValueError)


class Passage:
    """Serves calls, any number at once.

    Args:
        upstream: answers them.
        guard: judges the answers.
        keep_alive: seconds of silence in a stream after which a comment is sent.
        measured: takes the figures of each stream, at its end.
    """

    def __init__(
        self,
        upstream: Upstream,
        guard: Guard,
        *,
        keep_alive: float,
        measured: Callable[[StreamFigures], None],
    ) -> None:
        self._upstream = upstream
        self._guard = guard
        self._keep_alive = keep_alive
        self._measured = measured

    async def serve(self, asked: Asked, send: Send) -> None:
        """Serve one call.

        Raises:
            Fault: nothing was sent yet, and this is to be sent.
        """
        call = _read(asked)
        if call is None:
            await self._pass_on(asked, send)
            return
        asked, moderated = read_moderated(asked)
        watch = Watch(self._guard, moderated.policy(self._guard.policy))
        outcome = await arefusal(call, watch.guard)
        raise_if_unjudged(outcome)
        if outcome is not None:
            body = moderated.refused(refused(call, outcome), outcome, streamed=call.streamed)
            kind = _SSE if call.streamed else _JSON
            await send_whole(send, Head(200, [(b"content-type", kind)]), body)
            return
        await moderated.judge_input(call, watch)
        async with self._upstream.answering(asked) as response:
            await self._answer(call, response, watch, moderated, send)

    async def _answer(
        self,
        call: Call,
        response: httpx.Response,
        watch: Watch,
        moderated: Moderated,
        send: Send,
    ) -> None:
        if not response.is_success:
            body = failure(await response.aread())
            await send_whole(send, _head(response, _JSON), body)
        elif _is_stream(response):
            await self._stream(call, response, watch, moderated, send)
        else:
            body = await _judged(call, await response.aread(), watch)
            await send_whole(send, _head(response, _JSON), moderated.reply(body, watch))

    async def _stream(
        self,
        call: Call,
        response: httpx.Response,
        watch: Watch,
        moderated: Moderated,
        send: Send,
    ) -> None:
        head = _head(response, _SSE + b"; charset=utf-8", *_UNBUFFERED)
        body = GuardedAsyncBytes(call, UpstreamBytes(response), watch.guard)
        # It is one; its class does not say so.
        events = cast("AsyncGenerator[bytes, None]", aiter(body))
        try:
            with _reading():
                first = await anext(events, b"")
            raise_if_unjudged(next(iter(watch.replies), None))
            changed = moderated.events(first, events, watch)
            await send_stream(send, head, changed, self._keep_alive)
        finally:
            self._measured(watch.meter.figures())
            await events.aclose()
            await body.aclose()

    async def _pass_on(self, asked: Asked, send: Send) -> None:
        """Pass a call through whose answer carries no reply."""
        async with self._upstream.answering(asked) as response:
            kind = response.headers.get("content-type", "")
            head = _head(response, kind.encode("latin-1"))
            await send_whole(send, head, await response.aread())


def _read(asked: Asked) -> Call | None:
    """Return the call that a request makes; None if its answer carries no reply."""
    try:
        return read_call(asked.method, asked.path, lambda: _json_object(asked.body))
    except UnguardedCall as error:
        raise Fault(501, str(error), code="unguarded_call") from None
    except _STRANGE:
        raise Fault(400, "a field of the body is of a wrong type", code=None) from None


def _json_object(body: bytes) -> bytes:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Fault(400, "the body is no valid JSON", code="invalid_json") from None
    if not isinstance(value, dict):
        raise Fault(400, "the body is no JSON object", code="invalid_json")
    return body


@contextmanager
def _reading() -> Iterator[None]:
    """Raise what reading a strange reply ends in as a fault of the upstream."""
    try:
        yield
    except (UnguardedCall, *_STRANGE) as error:
        message = "the upstream's reply is of no kind that can be judged"
        raise Fault(502, message, code="upstream_invalid_reply") from error


async def _judged(call: Call, reply: bytes, watch: Watch) -> bytes:
    with _reading():
        body = await aanswer(call, reply, watch.guard)
    raise_if_unjudged(next(iter(watch.replies), None))
    return body


def _head(response: httpx.Response, kind: bytes, *more: tuple[bytes, bytes]) -> Head:
    headers = [*reply_headers(response), (b"content-type", kind), *more]
    return Head(response.status_code, headers)


def _is_stream(response: httpx.Response) -> bool:
    kind: str = response.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower().encode() == _SSE
