"""The skill server: an ASGI app that answers before the platform stops waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from guardrail.audit import json_line
from guardrail.errors import ConfigError
from guardrail.guard import Guard
from guardrail.integrations.kakao.bot import Bot, Handler, Response
from guardrail.integrations.kakao.callback import Callbacks
from guardrail.integrations.kakao.request import BadRequest, SkillRequest, parse
from guardrail.integrations.kakao.template import said, waiting

__all__ = ["Skill", "create_skill"]

_MOST_BYTES = 1 << 20
_SHUTDOWN_S = 5.0
_WAITS_S = 5.0  # the platform, for an answer
_VALID_S = 60.0  # of a callback's address

_Scope: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def create_skill(
    handler: Handler,
    guard: Guard,
    *,
    waiting_text: str = "답변을 준비하고 있어요. 잠시만 기다려 주세요.",
    sorry_text: str = "지금은 답변을 드리기 어려워요. 잠시 후 다시 말씀해 주세요.",
    deadline: float = 4.5,
    patience: float = 0.5,
    callback_within: float = 50.0,
    callback_hosts: Collection[str] = ("kakao.com",),
) -> Skill:
    """Return an ASGI app that serves a guarded skill, at whatever path it is called.

    Nothing that the handler returns is sent before the guard passed all of it: texts, cards,
    buttons, quick replies, `data` and `context`, names that hold words included. Images are not
    looked at.

    Args:
        handler: takes a `SkillRequest` and returns the reply: a text, or a response of version 2.0
            as a dict. A `def` runs on one of 32 threads; an `async def` must not block the event
            loop.
        guard: judges.
        waiting_text: said at once where the answer may come later, through the callback. The
            block shows it as `{{#webhook.text}}`.
        sorry_text: said where no answer came in time, or the handler failed.
        deadline: seconds after which something is answered; the platform waits five.
        patience: seconds to wait for the answer itself before `waiting_text`.
        callback_within: seconds after which a callback is made with what there is; its address
            is good for a minute, and for one call.
        callback_hosts: domains that callbacks may go to. Anybody can send a request to the skill,
            so other addresses in one are ignored.

    Raises:
        ConfigError: a time is longer than the platform waits, the handler cannot be called, or the
            guard is none.
    """
    if not callable(handler):
        raise ConfigError(f"create_skill takes a function as its handler, not {handler!r:.100}")
    if not isinstance(guard, Guard):
        raise ConfigError(f"create_skill takes a Guard, not {guard!r:.100}")
    bot = Bot(handler, guard, sorry=said(sorry_text))
    times = _Times(deadline, patience, callback_within)
    return Skill(bot, Callbacks(callback_hosts), waiting(waiting_text), times)


@dataclass(frozen=True, slots=True)
class _Times:
    """Seconds since a request came."""

    deadline: float
    patience: float
    callback_within: float

    def __post_init__(self) -> None:
        for name, most in (
            ("deadline", _WAITS_S),
            ("patience", _WAITS_S),
            ("callback_within", _VALID_S),
        ):
            if not 0 <= getattr(self, name) < most:
                raise ConfigError(f"{name} must be less than {most:g} seconds, which Kakao waits")


class Skill:
    """The ASGI app; made by `create_skill`.

    Where the server tells it of its end, it makes the callbacks that are still due before that.
    """

    def __init__(self, bot: Bot, callbacks: Callbacks, waiting: Response, times: _Times) -> None:
        self._bot = bot
        self._callbacks = callbacks
        self._waiting = waiting
        self._times = times
        self._replies: set[asyncio.Task[Response]] = set()  # that callbacks wait for
        self._jobs: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Serve one request, or the life of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            status, content = await self._serve(scope, receive)
            await _send_json(send, status, content)
        else:
            raise ValueError(f"a skill serves HTTP, not {scope['type']!r}")

    async def _serve(self, scope: _Scope, receive: _Receive) -> tuple[int, Response]:
        clock = asyncio.get_running_loop().time
        start = clock()
        if scope["method"] != "POST":
            return 405, {"error": "the platform sends POST"}
        try:
            async with asyncio.timeout(self._times.deadline):
                request = parse(await _body(receive))
        except TimeoutError:
            return 408, {"error": "the body did not come in time"}
        except BadRequest as error:
            return error.status, {"error": str(error)}
        return 200, await self._answer(request, start)

    async def _answer(self, request: SkillRequest, start: float) -> Response:
        """Return the answer if it comes in time, or what is said in its place."""
        url = request.callback_url
        later = url if url is not None and self._callbacks.allows(url) else None
        reply = asyncio.create_task(self._bot.respond(request))
        try:
            patience = self._times.deadline if later is None else self._times.patience
            answer = await self._wait(reply, start + patience)
        except asyncio.CancelledError:
            reply.cancel()
            raise
        if answer is not None:
            return answer
        if later is None:
            reply.cancel()
            return self._bot.sorry
        self._replies.add(reply)
        job = asyncio.create_task(self._answer_later(reply, later, start))
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return self._waiting

    async def _answer_later(self, reply: asyncio.Task[Response], url: str, start: float) -> None:
        answer = await self._wait(reply, start + self._times.callback_within)
        reply.cancel()
        self._replies.discard(reply)
        left = start + _VALID_S - asyncio.get_running_loop().time()
        await self._callbacks.call(url, answer or self._bot.sorry, max(left, 1.0))

    async def _wait(self, reply: asyncio.Task[Response], until: float) -> Response | None:
        """Return the reply if it comes by then, and was not given up."""
        left = until - asyncio.get_running_loop().time()
        await asyncio.wait([reply], timeout=max(0.0, left))
        return reply.result() if reply.done() and not reply.cancelled() else None

    async def _live(self, receive: _Receive, send: _Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._finish()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _finish(self) -> None:
        """Wait a little for the answers under way; apologise where they do not come."""
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=_SHUTDOWN_S)
        for reply in self._replies:
            reply.cancel()
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=_SHUTDOWN_S)


async def _body(receive: _Receive) -> bytes:
    """Return the body of a request.

    Raises:
        BadRequest: it is longer than any of the platform's, or the client left.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("the client left")
        body += message.get("body", b"")
        if len(body) > _MOST_BYTES:
            raise BadRequest(f"the body is longer than {_MOST_BYTES} bytes", status=413)
        if not message.get("more_body", False):
            return bytes(body)


async def _send_json(send: _Send, status: int, content: Response) -> None:
    body = json_line(content).encode()
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
