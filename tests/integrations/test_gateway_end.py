"""The gateway when clients leave it, and when it is told to stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest

from .gateways import Served, serving
from .openai_calls import MESSAGES, USER, says
from .openai_upstream import Asked, Said, Upstream, chat_stream, chunk, sse

SAFE = "안녕하세요, 고객님. 환불은 영업일로 사흘쯤 걸려요. 더 궁금한 점이 있으신가요?"
BODY = {"model": "m", "messages": MESSAGES}


@pytest.fixture(scope="module")
def plain() -> Iterator[Served]:
    with serving(says(SAFE)) as served:
        yield served


@pytest.mark.parametrize("stream", [False, True])
def test_when_the_client_leaves_the_upstream_is_closed(stream: bool) -> None:
    """Nobody pays for a reply that nobody reads."""

    def reply(_: Asked) -> Said:
        endless = (sse(chunk(content="네. ")) for _ in range(100_000))
        return Said(endless, pause=0.005)

    with serving(reply) as served:
        body = json.dumps({**BODY, "stream": stream}).encode()
        address = ("127.0.0.1", int(served.root.rpartition(":")[2]))
        with socket.create_connection(address, timeout=5) as connection:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            assert served.upstream.sending.wait(5)

        assert served.upstream.cut.wait(5)


def test_a_client_that_sends_half_a_body_and_leaves_is_no_error(
    caplog: pytest.LogCaptureFixture, plain: Served
) -> None:
    """Nothing goes upstream, nothing is logged."""
    before = len(plain.upstream.asked)
    address = ("127.0.0.1", int(plain.root.rpartition(":")[2]))
    with socket.create_connection(address, timeout=5) as connection:
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{"
        )
        connection.sendall(head.encode())
    assert httpx.get(f"{plain.root}/healthz").status_code == 200

    assert (len(plain.upstream.asked), caplog.text) == (before, "")


class Process:
    """`guardrail serve` as its own process."""

    def __init__(self, upstream: str, drain: float) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        options = ["--upstream", upstream, "--port", str(self.port), "--drain", str(drain)]
        options.append("--no-records")
        run = f"from guardrail.integrations.gateway.cli import main; main({options!r})"
        environment = {
            **os.environ,
            "GUARDRAIL_CLASSIFIER__KIND": "guardrail.testing:StubClassifier",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", run], env=environment, stderr=subprocess.PIPE
        )
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def wait_until_up(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/healthz")
                return
            except httpx.ConnectError:
                time.sleep(0.05)
        raise AssertionError("the gateway did not start")


def test_when_told_to_stop_it_finishes_its_streams() -> None:
    """A stream under way comes to its end, a new connection is refused."""
    told = threading.Event()

    def reply(_: Asked) -> Said:
        def events() -> Iterator[bytes]:
            first, *rest = chat_stream(SAFE, size=30)
            yield first
            told.wait(10)
            time.sleep(0.3)
            yield from rest

        return Said(events())

    with Upstream(reply) as upstream:
        served = Process(upstream.url, drain=10)
        try:
            served.wait_until_up()
            shown: list[str] = []

            def read() -> None:
                with openai.OpenAI(api_key="k", base_url=served.url) as client:
                    create = client.chat.completions.create
                    for one in create(model="m", messages=MESSAGES, stream=True):
                        shown.extend(choice.delta.content or "" for choice in one.choices)

            reader = threading.Thread(target=read)
            reader.start()
            assert upstream.sending.wait(10)
            served.process.send_signal(signal.SIGTERM)
            told.set()
            reader.join(10)
        finally:
            served.process.terminate()
            log = served.process.communicate(timeout=15)[1]

    assert "".join(shown) == SAFE
    assert b"Traceback" not in log


def test_what_takes_too_long_is_cut_at_the_deadline() -> None:
    """A stream's last event says so, what had not begun is an error; neither is a failure."""
    over = threading.Event()

    def reply(asked: Asked) -> Said:
        if asked.body.get("stream"):
            return Said((sse(chunk(content=USER)) for _ in range(2000)), pause=0.01)
        return Said(b"" for _ in range(1) if over.wait(20))

    with Upstream(reply) as upstream:
        served = Process(upstream.url, drain=1)
        try:
            served.wait_until_up()
            url, body = f"{served.url}/chat/completions", {**BODY, "stream": True}
            with ThreadPoolExecutor() as workers, httpx.stream("POST", url, json=body) as stream:
                late = workers.submit(httpx.post, url, json=BODY, timeout=15)
                while len(upstream.asked) < 2:
                    time.sleep(0.01)
                served.process.send_signal(signal.SIGTERM)
                last = [line for line in stream.iter_lines() if line][-1]
            assert upstream.cut.wait(5)
        finally:
            over.set()
            served.process.terminate()
            log = served.process.communicate(timeout=15)[1]

    errors = (json.loads(last.removeprefix("data: ")), late.result().json())
    assert [one["error"]["code"] for one in errors] == ["gateway_stopping"] * 2
    assert late.result().status_code == 503
    assert b"Traceback" not in log
