"""The gateway where things go wrong: errors, keys, limits, timeouts, clients that leave, the end."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from guardrail import Guard
from guardrail.errors import ConfigError
from guardrail.integrations.gateway import GatewayConfig
from guardrail.integrations.gateway import cli as gateway_cli
from guardrail.testing import StubClassifier

from .gateways import MARKER, Served, serving
from .openai_calls import MESSAGES, USER, says
from .openai_upstream import Asked, Said, Upstream, chat, chat_stream, chunk, sse

SAFE = "안녕하세요, 고객님. 환불은 영업일로 사흘쯤 걸려요. 더 궁금한 점이 있으신가요?"
BODY = {"model": "m", "messages": MESSAGES}
KEY, OTHER, OWN = "gate-key-1", "gate-key-2", "upstream-key"


@pytest.fixture(scope="module")
def plain() -> Iterator[Served]:
    with serving(says(SAFE)) as served:
        yield served


def post(served: Served, body: Any = BODY, path: str = "chat/completions", **more: Any) -> Any:
    """Post JSON to a path of a gateway."""
    return httpx.post(f"{served.url}/{path}", json=body, timeout=10, **more)


def test_errors_of_the_upstream_pass_as_they_are() -> None:
    """Rate limits and the time to wait go through; a failed reply beside the error does not."""
    error = {"message": "slow down", "type": "tokens", "param": None, "code": "rate_limit_exceeded"}
    body = {"error": error, "failed_generation": MARKER}
    limited = Said(body, 429, {"retry-after": "7", "x-request-id": "req_1"})
    with serving(lambda _: limited) as served:
        for stream in (False, True):
            reply = post(served, {**BODY, "stream": stream})

            assert (reply.status_code, reply.json()) == (429, {"error": error})
            assert reply.headers["retry-after"] == "7"
            assert reply.headers["x-request-id"] == "req_1"


def test_paths_without_a_reply_pass() -> None:
    """Lists of models, vectors and the like go through, with their status and type."""
    listed = {
        "object": "list",
        "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "x"}],
    }
    with serving(lambda _: Said(listed)) as served, served.client() as client:
        assert [model.id for model in client.models.list()] == ["m"]
        assert served.upstream.asked[-1].headers["authorization"] == "Bearer client-key"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "completions"),
        ("GET", "responses/resp_1"),
        ("GET", "chat/completions/c1"),
        ("POST", "images/generations"),
        ("POST", "threads/t1/runs"),
        ("GET", "files/f1/content"),
        ("PUT", "chat/completions"),
    ],
)
def test_paths_with_an_unguarded_reply_are_refused(plain: Served, method: str, path: str) -> None:
    """They get 501 with a sentence, and nothing goes upstream."""
    before = len(plain.upstream.asked)
    reply = httpx.request(method, f"{plain.url}/{path}", json=BODY)

    assert reply.status_code in (501, 405)
    assert len(reply.json()["error"]["message"]) > 10
    assert len(plain.upstream.asked) == before


@pytest.mark.parametrize(
    "path",
    [
        *("models/../chat/completions", "models/%2e%2e/chat/completions", "models//x"),
        *("models/%252e%252e/x", "models/..%2fcompletions", "models/x%3fy", "models/x%5c..%5cy"),
    ],
)
def test_strange_paths_are_refused(plain: Served, path: str) -> None:
    """A path that somebody could read as another one goes nowhere."""
    before = len(plain.upstream.asked)
    assert raw_status(plain, path) in (404, 405, 501)
    assert len(plain.upstream.asked) == before


def raw_status(served: Served, path: str) -> int:
    """Return the status for a path that no client would send as it is."""
    address = ("127.0.0.1", int(served.root.rpartition(":")[2]))
    with socket.create_connection(address, timeout=5) as connection:
        lines = f"GET /v1/{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        connection.sendall(lines.encode())
        return int(connection.makefile("rb").readline().split()[1])


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"[" * 100_000, b""])
def test_bad_json_is_a_bad_request(plain: Served, body: bytes) -> None:
    """It is said so, and nothing goes upstream."""
    for path in ("chat/completions", "responses", "guard/check", "moderations"):
        headers = {"content-type": "application/json"}
        reply = httpx.post(f"{plain.url}/{path}", content=body, headers=headers)

        assert reply.status_code == 400
        assert reply.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("path", ["chat/completions", "guard/check"])
def test_a_body_over_the_limit_is_refused(path: str, counted: bool) -> None:
    """Whether its length is told before, or only seen as it comes."""
    body = json.dumps({**BODY, "padding": "x" * 5000}).encode()

    def pieces() -> Iterator[bytes]:
        yield from (body[at : at + 500] for at in range(0, len(body), 500))

    with serving(says(SAFE), max_body=2000) as served:
        headers = {"content-type": "application/json"}
        content = body if counted else pieces()
        reply = httpx.post(f"{served.url}/{path}", content=content, headers=headers)

        assert (reply.status_code, served.upstream.asked) == (413, [])
    assert reply.json()["error"]["code"] == "request_too_large"


def test_a_slow_upstream_gives_a_timeout() -> None:
    """Whole or streamed, as an error of the usual shape."""

    def reply(_: Asked) -> Said:
        time.sleep(0.4)
        return Said(chat(SAFE))

    with serving(reply, upstream_timeout=0.1) as served:
        answer = post(served)

    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")


def test_an_upstream_that_is_not_there_gives_an_error() -> None:
    """So does readiness, and only it: the gateway itself lives."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nowhere = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    with serving(says(SAFE), url=nowhere) as served:
        answer = post(served)
        ready, alive = (httpx.get(f"{served.root}/{path}") for path in ("readyz", "healthz"))

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unreachable")
    assert (ready.status_code, ready.json()["classifier"]) == (503, "ok")
    assert alive.status_code == 200


def test_readiness_needs_a_classifier() -> None:
    """One that fails is named by its error's kind, without the message."""
    guard = Guard(StubClassifier(error=RuntimeError("/secret/path")))
    with serving(says(SAFE), guard) as served:
        ready = httpx.get(f"{served.root}/readyz")

    assert (ready.status_code, ready.json()) == (
        503,
        {"classifier": "RuntimeError", "upstream": "ok"},
    )


STRANGE_REPLIES = [
    *(b"<html>", b"{}", b"[]", b"[" * 100_000, b'{"choices": "x"}', b'{"choices": [1]}'),
    b'{"output": [{"type": "message", "content": [{"type": [], "text": "x"}]}]}',
    b'{"output": [{"type": {}, "content": 1}], "choices": [{"message": {"tool_calls": [[1]]}}, 2]}',
]


@pytest.mark.parametrize("body", STRANGE_REPLIES)
def test_a_reply_of_no_known_kind_is_not_shown(body: bytes) -> None:
    """What cannot be read cannot be judged."""
    with serving(lambda _: Said(body)) as served:
        answers = [post(served), post(served, path="responses")]

    for answer in answers:
        assert answer.status_code in (200, 502)
        if answer.status_code == 502:
            assert answer.json()["error"]["code"] == "upstream_invalid_reply"
        else:  # read, with nothing in it that could be judged
            assert [part for item in answer.json()["output"] for part in item["content"]] == []


@pytest.mark.parametrize("path", ["chat/completions", "responses"])
def test_a_stream_of_strange_events_is_not_shown(path: str) -> None:
    """Events of wrong types end in an error, or are left out."""
    events = [
        {
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": {"tool_calls": [[]]}}],
        },
        {"type": "response.output_text.delta", "output_index": [], "delta": MARKER},
        {"type": [], "choices": {}},
        {"object": [], "choices": [[]]},
    ]
    said = [*map(sse, events), sse("[" * 100_000)]
    with serving(lambda _: Said(said)) as served:
        answer = post(served, {**BODY, "stream": True}, path)

    assert answer.status_code in (200, 502)
    assert MARKER not in answer.text


def test_redirects_are_not_passed_on() -> None:
    """A client that followed one would leave the guard behind."""
    moved = Said("moved", 307, {"location": "http://127.0.0.1:1/v1/chat/completions"})
    with serving(lambda _: moved) as served:
        answer = post(served)

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_redirects")
    assert "location" not in answer.headers


@pytest.mark.parametrize("header", ["authorization", "api-key", "x-guardrail-key"])
def test_gateway_keys_let_in_and_go_no_further(header: str) -> None:
    """Any of them, in any of the usual headers; the upstream gets its own."""
    with serving(says(SAFE), keys=(KEY, OTHER), upstream_key=OWN) as served:
        value = f"Bearer {OTHER}" if header == "authorization" else OTHER
        assert post(served, headers={header: value}).status_code == 200
        seen = served.upstream.asked[-1].headers

    assert seen["authorization"] == f"Bearer {OWN}"
    assert OTHER not in json.dumps(dict(seen))


WRONG = (None, "Bearer", "Bearer gate-key", f"Basic {KEY}", f"Bearer {KEY}x")


def test_nobody_comes_in_without_a_key() -> None:
    """All paths are shut, but for those by which one sees whether it lives."""
    doors = [
        *(("POST", "/v1/chat/completions"), ("POST", "/v1/guard/check"), ("GET", "/v1/models")),
        *(("GET", "/metrics"), ("GET", "/openapi.json"), ("GET", "/"), ("GET", "/nowhere")),
    ]
    with serving(says(SAFE), keys=(KEY,)) as served, httpx.Client(base_url=served.root) as client:
        for key in WRONG:
            headers = {} if key is None else {"authorization": key}
            shut = [client.request(method, path, headers=headers) for method, path in doors]

            assert {reply.status_code for reply in shut} == {401}
            assert shut[0].json()["error"]["code"] == "invalid_api_key"
        assert client.get("/healthz").status_code == 200
        assert served.upstream.asked == []


def test_the_clients_own_key_goes_upstream_beside_the_gateways() -> None:
    """With the gateway's in a header of its own."""
    with serving(says(SAFE), keys=(KEY,)) as served:
        post(served, headers={"x-guardrail-key": KEY, "authorization": "Bearer mine"})
        seen = served.upstream.asked[-1].headers

    assert seen["authorization"] == "Bearer mine"
    assert "x-guardrail-key" not in seen


def test_keys_are_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """Nor in what a setting looks like."""
    config = GatewayConfig(upstream="http://x/v1", keys=(KEY,), upstream_key=OWN)
    with (
        caplog.at_level(logging.DEBUG),
        serving(says(SAFE), keys=(KEY,), upstream_key=OWN) as served,
    ):
        post(served, headers={"authorization": f"Bearer {KEY}"})
        post(served, headers={"authorization": "Bearer wrong-key"})

    said = caplog.text + repr(config) + config.model_dump_json()
    assert not [key for key in (KEY, OWN, "wrong-key") if key in said]


def test_settings_are_checked() -> None:
    """What is wrong is named by its option, and a key is not repeated."""
    with pytest.raises(ConfigError, match=r"--upstream: .*base URL"):
        gateway_cli.serve(upstream="localhost:1")
    with pytest.raises(ConfigError, match=r"--keys\.0: .*printable") as caught:
        gateway_cli.serve(upstream="http://x/v1", key=["a b"])
    assert "a b" not in str(caught.value)


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
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
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
        head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"
        connection.sendall(head.encode())
    assert httpx.get(f"{plain.root}/healthz").status_code == 200

    assert (len(plain.upstream.asked), caplog.text) == (before, "")


class Process:
    """`guardrail serve` as its own process."""

    def __init__(self, upstream: str, drain: float) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        options = ["--upstream", upstream, "--port", str(self.port), "--drain", str(drain)]
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


def test_a_stream_that_takes_too_long_is_cut_at_the_deadline() -> None:
    """The process ends all the same, and the stream has no proper end."""

    def reply(_: Asked) -> Said:
        return Said((sse(chunk(content=USER)) for _ in range(2000)), pause=0.01)

    with Upstream(reply) as upstream:
        served = Process(upstream.url, drain=1)
        try:
            served.wait_until_up()
            url, body = f"{served.url}/chat/completions", {**BODY, "stream": True}
            with httpx.stream("POST", url, json=body) as stream:
                served.process.send_signal(signal.SIGTERM)
                with pytest.raises(httpx.RemoteProtocolError):
                    deque(stream.iter_bytes())
            assert upstream.cut.wait(5)
        finally:
            served.process.terminate()
            served.process.communicate(timeout=15)
