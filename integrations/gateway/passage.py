"""The way of one call: to the upstream, and its judged reply back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import cast

from starlette.types import Send

from guardrail.errors import UnguardedCall
from guardrail.guard import Guard
from guardrail.integrations.gateway.faults import Fault, raise_if_unjudged
from guardrail.integrations.gateway.moderated import Moderated, read_moderated
from guardrail.integrations.gateway.sending import (
    Head,
    Incoming,
    send_on,
    send_stream,
    send_whole,
)
from guardrail.integrations.gateway.upstream import Answer, Asked, Upstream
from guardrail.integrations.gateway.watching import Watch
from guardrail.integrations.openai_wire import (
    Call,
    UnguardedPath,
    Unreadable,
    aanswer,
    afailed,
    arefusal,
    is_judged,
    read_call,
    refused,
)
from guardrail.integrations.telemetry.streams import StreamFigures

__all__ = ["Passage"]

_JSON = b"application/json"
_SSE = b"text/event-stream"
# Nothing on the way may collect the events of a stream, or change them.
_UNBUFFERED = [(b"cache-control", b"no-cache, no-transform"), (b"x-accel-buffering", b"no")]


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

    async def serve(self, asked: Asked, incoming: Incoming, send: Send) -> None:
        """Serve one call.

        Args:
            asked: the request, without its body.
            incoming: its body.
            send: takes the response, as ASGI messages.

        Raises:
            Fault: nothing was sent yet, and this is to be sent.
            ClientGone: the client left before it had sent all.
        """
        if _is_judged(asked):
            body = await incoming.whole()
            await self._judge(_read(asked, body), asked, body, send)
        else:
            await self._pass_on(asked, incoming, send)

    async def _judge(self, call: Call, asked: Asked, body: bytes, send: Send) -> None:
        body, moderated = read_moderated(asked.path, body)
        watch = Watch(self._guard, moderated.policy(self._guard.policy))
        outcome = await arefusal(call, watch.guard)
        raise_if_unjudged(outcome)
        if outcome is not None:
            reply = moderated.refused(refused(call, outcome), outcome, streamed=call.streamed)
            kind = _SSE if call.streamed else _JSON
            await send_whole(send, Head(200, [(b"content-type", kind)]), reply)
            return
        await moderated.judge_input(call, watch)
        async with self._upstream.answering(replace(asked, body=body)) as answer:
            await self._answer(call, answer, watch, moderated, send)

    async def _answer(
        self,
        call: Call,
        answer: Answer,
        watch: Watch,
        moderated: Moderated,
        send: Send,
    ) -> None:
        if not answer.is_success:
            raw = await answer.aread()
            body = await afailed(answer.status_code, raw, watch.guard)
            await send_whole(send, _head(answer, _JSON), body)
        elif answer.is_stream:
            await self._stream(call, answer, watch, moderated, send)
        else:
            body = await _judged(call, await answer.aread(), watch)
            await send_whole(send, _head(answer, _JSON), moderated.reply(body, watch))

    async def _stream(
        self,
        call: Call,
        answer: Answer,
        watch: Watch,
        moderated: Moderated,
        send: Send,
    ) -> None:
        head = _head(answer, _SSE + b"; charset=utf-8", *_UNBUFFERED)
        body = watch.guarded(call, answer)
        # It is one; its class does not say so.
        events = cast("AsyncGenerator[bytes, None]", aiter(body))
        try:
            shown = moderated.events(events, watch)
            first = await anext(shown, b"")
            raise_if_unjudged(next(iter(watch.replies), None))
            await send_stream(send, head, first, shown, self._keep_alive)
        finally:
            self._measured(watch.meter.figures())
            await events.aclose()
            await body.aclose()

    async def _pass_on(self, asked: Asked, incoming: Incoming, send: Send) -> None:
        """Pass a call through whose answer carries no reply, both bodies as they come."""
        body = incoming if _has_body(asked) else await incoming.whole()
        try:
            async with self._upstream.answering(replace(asked, body=body), judged=False) as answer:
                kind = (b"content-type", answer.kind.encode("latin-1"))
                head = Head(answer.status_code, [*answer.passed_on(body=True), kind])
                await send_on(send, head, aiter(answer))
        except Fault:
            if incoming.failure is not None:  # what went wrong is the request
                raise incoming.failure from None
            raise


def _is_judged(asked: Asked) -> bool:
    try:
        return is_judged(asked.method, asked.path)
    except UnguardedPath as error:
        message = f"{error} The gateway does not forward it; only the upstream itself answers it."
        raise _unguarded(message) from None


def _read(asked: Asked, body: bytes) -> Call:
    """Return the call that a request makes."""
    try:
        call = read_call(asked.method, asked.path, lambda: body)
    except Unreadable as error:
        raise Fault(400, str(error), code="invalid_json") from None
    except UnguardedCall as error:
        raise _unguarded(str(error)) from None
    assert call is not None, "its reply is judged"
    return call


def _unguarded(message: str) -> Fault:
    return Fault(501, message, code="unguarded_call")


def _has_body(asked: Asked) -> bool:
    headers = dict(asked.headers)
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


async def _judged(call: Call, reply: bytes, watch: Watch) -> bytes:
    body = await aanswer(call, reply, watch.guard)
    raise_if_unjudged(next(iter(watch.replies), None))
    return body


def _head(answer: Answer, kind: bytes, *more: tuple[bytes, bytes]) -> Head:
    headers = [*answer.passed_on(body=False), (b"content-type", kind), *more]
    return Head(answer.status_code, headers)
