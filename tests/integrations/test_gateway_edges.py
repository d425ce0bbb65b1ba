"""The gateway where things go wrong: errors, keys, limits, timeouts, clients that leave, the end."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from guardrail import Guard
from guardrail.testing import StubClassifier

from .gateways import MARKER, Served, serving
from .openai_calls import MESSAGES, says
from .openai_upstream import Asked, Said, chat, sse

SAFE = "안녕하세요, 고객님. 환불은 영업일로 사흘쯤 걸려요. 더 궁금한 점이 있으신가요?"
BODY = {"model": "m", "messages": MESSAGES}


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

    message = reply.json()["error"]["message"]
    assert reply.status_code in (501, 405)
    assert len(message) > 10
    assert reply.status_code == 405 or "gateway does not forward it" in message
    assert "client without a guard" not in message
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


@pytest.mark.parametrize("path", ["moderations", "guard/check", "chat/completions"])
def test_what_is_judged_here_is_not_sent_on_by_another_spelling(plain: Served, path: str) -> None:
    """A slash too many goes nowhere; otherwise the text would leave the machine."""
    before = len(plain.upstream.asked)
    for spelled in (f"{path}/", f"{path}//", f"/{path}", path.replace("/", "//") + "/"):
        reply = httpx.post(f"{plain.url}/{spelled}", json={**BODY, "input": "a"})

        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_path")
    assert len(plain.upstream.asked) == before


def raw_status(served: Served, path: str) -> int:
    """Return the status for a path that no client would send as it is."""
    address = ("127.0.0.1", int(served.root.rpartition(":")[2]))
    with socket.create_connection(address, timeout=5) as connection:
        lines = f"GET /v1/{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
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
