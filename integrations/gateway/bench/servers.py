"""The servers of the benchmark, and the processes they run in."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from guardrail.errors import GuardrailError
from guardrail.guard import Guard
from guardrail.integrations.gateway.app import create_app
from guardrail.integrations.gateway.settings import GatewayConfig
from guardrail.integrations.telemetry.prometheus import PrometheusHook
from guardrail.testing import StubClassifier

__all__ = ["CHUNKS", "CLASSIFIER_S", "MARKER", "SAFE", "UNSAFE", "Process", "run", "started"]

CLASSIFIER_S = 0.020
MARKER = "나쁜말"
SAFE = (
    "안녕하세요, 고객님. 주문하신 상품은 내일 오후에 도착할 예정이에요. 더 궁금한 점이 있으신가요? "
    * 4
)
UNSAFE = SAFE[:120] + MARKER + SAFE[120:]
_CHUNK = 6  # characters
CHUNKS = len(SAFE) // _CHUNK  # of a streamed reply


def run(role: str, port: int, upstream: str) -> None:
    """Run one of the servers until it is stopped."""
    apps = {"upstream": _upstream, "gateway": _gateway, "proxy": _proxy}
    uvicorn.run(
        apps[role](upstream),
        port=port,
        access_log=False,
        log_level="error",
        ws="none",
        backlog=4096,
        timeout_keep_alive=75,  # as `guardrail serve` has it
    )


def _upstream(_: str) -> ASGIApp:
    """Return a model that says what `model` names, at the pace that `user` names."""

    async def reply(request: Request) -> Response:
        body = await request.json()
        text = UNSAFE if body["model"] == "unsafe" else SAFE
        if not body.get("stream"):
            return JSONResponse(_whole(text))
        events = _events(text[: int(body.get("max_tokens") or len(text))], float(body["user"]))
        return StreamingResponse(events, media_type="text/event-stream")

    return Starlette(routes=[Route("/v1/chat/completions", reply, methods=["POST"])])


def _whole(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


async def _events(text: str, pause: float) -> AsyncIterator[bytes]:
    for start in range(0, len(text), _CHUNK):
        yield _event({"content": text[start : start + _CHUNK]}, None)
        await asyncio.sleep(pause)
    yield _event({}, "stop")
    yield b"data: [DONE]\n\n"


def _event(delta: dict[str, Any], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    frame = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return f"data: {json.dumps({**frame, 'choices': [choice]}, ensure_ascii=False)}\n\n".encode()


def _gateway(upstream: str) -> ASGIApp:
    figures = PrometheusHook()
    guard = Guard(StubClassifier(MARKER, delay=CLASSIFIER_S), hooks=[figures])
    return create_app(GatewayConfig(upstream=upstream), guard, figures=figures)


def _proxy(upstream: str) -> ASGIApp:
    """Return the least that forwards a call: what the gateway is compared with."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as app.state.client:
            yield

    async def forward(request: Request) -> Response:
        body, url = await request.body(), f"{upstream}/chat/completions"
        async with request.app.state.client.post(url, data=body) as reply:
            content = await reply.read()
        return Response(content, reply.status, media_type="application/json")

    routes = [Route("/v1/chat/completions", forward, methods=["POST"])]
    return Starlette(routes=routes, lifespan=lifespan)


@dataclass(frozen=True, slots=True)
class Process:
    """A server in a process of its own."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        """The base URL for clients."""
        return f"http://127.0.0.1:{self.port}/v1"

    def cpu(self) -> float:
        """Return the seconds of CPU it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Return the bytes of memory it holds."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def started(role: str, upstream: str = "") -> Iterator[Process]:
    """Run one of the servers in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "guardrail.integrations.gateway.bench", role, str(port)]
    child = subprocess.Popen([*command, upstream])
    try:
        _wait_for(port)
        yield Process(child.pid, port)
    finally:
        child.terminate()
        child.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise GuardrailError(f"no server came up on port {port}")
