"""Upstreams and clients that mean ill, or are merely odd: nothing unjudged comes through."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import openai
import pytest

from guardrail import Guard
from guardrail.errors import ClassifierError
from guardrail.testing import StubClassifier

from .gateways import MARKER, Served, serving
from .openai_calls import MESSAGES, USER, says
from .openai_upstream import (
    CHUNK,
    Asked,
    Said,
    chat,
    chat_stream,
    chunk,
    message,
    response,
    sse,
)
from .raw_upstream import Line, head, raw_upstream

SAFE = "안녕하세요, 고객님. 환불은 영업일로 사흘쯤 걸려요. 더 궁금한 점이 있으신가요?"
UNSAFE = f"그럼 {MARKER}부터 알려 드릴게요."
BODY = {"model": "m", "messages": MESSAGES, "input": USER}
SSE = "text/event-stream"
JSON = "application/json"


def post(served: Served, path: str = "chat/completions", **fields: Any) -> httpx.Response:
    """Post a call to a gateway."""
    return httpx.post(f"{served.url}/{path}", json={**BODY, **fields}, timeout=20)


@contextmanager
def before(serve: Callable[[Line], None], **settings: Any) -> Iterator[Served]:
    """Run a gateway before an upstream that says any bytes."""
    with raw_upstream(serve) as url, serving(says(""), url=url, **settings) as served:
        yield served


def saying(*parts: bytes) -> Callable[[Line], None]:
    """Return an upstream that reads a request and says some bytes."""

    def serve(line: Line) -> None:
        line.body()
        for part in parts:
            line.say(part)

    return serve


def raw_of(text: str) -> bytes:
    return json.dumps(chat(text), ensure_ascii=False).encode()


# Replies in disguise


@pytest.mark.parametrize("name", ["gzip", "deflate"])
@pytest.mark.parametrize("text", [SAFE, UNSAFE])
def test_a_compressed_reply_is_unpacked_and_judged(name: str, text: str) -> None:
    """Whole or streamed, although it was not asked for."""
    pack = gzip.compress if name == "gzip" else zlib.compress
    whole = head(JSON, f"content-encoding: {name}") + pack(raw_of(text))
    streamed = head(SSE, f"content-encoding: {name}") + pack(b"".join(chat_stream(text)))
    for raw in (whole, streamed):
        with before(saying(raw)) as served:
            reply = post(served)

        assert (reply.status_code, MARKER in reply.text) == (200, False)
        assert ("content_filter" in reply.text) == (text == UNSAFE)
        assert "content-encoding" not in reply.headers


@pytest.mark.parametrize("name", ["rot13", "gzip"])
@pytest.mark.parametrize("kind", [JSON, SSE])
def test_a_reply_that_cannot_be_unpacked_is_not_shown(name: str, kind: str) -> None:
    """Of an unknown encoding, or not what it says it is."""
    raw = head(kind, f"content-encoding: {name}") + b"\x1f\x8b" + raw_of(UNSAFE)
    with before(saying(raw)) as served:
        reply = post(served)

    assert MARKER not in reply.text
    assert "고객님" not in reply.text


@pytest.mark.parametrize("stream", [True, False])
def test_a_reply_of_the_other_kind_is_judged_too(stream: bool) -> None:
    """A whole one where a stream was asked for, and the reverse."""
    other = Said(chat(UNSAFE)) if stream else Said(chat_stream(UNSAFE))
    with serving(lambda _: other) as served:
        reply = post(served, stream=stream)

    assert MARKER not in reply.text
    assert "content_filter" in reply.text


@pytest.mark.parametrize("kind", ["text/plain", "application/x-ndjson", "TEXT/Event-Stream ; a=b"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_content_type_is_no_way_around(kind: str, end: bytes) -> None:
    """Events under any name, and with line ends of any kind."""
    raw = b"".join(chat_stream(UNSAFE)).replace(b"\n", end)
    with before(saying(head(kind) + b"\xef\xbb\xbf" + raw)) as served:
        reply = post(served, stream=True)

    assert MARKER not in reply.text
    assert reply.status_code == 502 or "content_filter" in reply.text


COVERT = [
    f": {MARKER}\n\n",
    f"event: {MARKER}\ndata: {{}}\n\n",
    f"id: {MARKER}\nretry: {MARKER}\n{MARKER}: a\n{MARKER}\n\n",
    f"data: {MARKER}\n\n",
    f"data: [DONE] {MARKER}\n\n",
    f"data: [DONE]\n\ndata: {MARKER}\n\n",
]


@pytest.mark.parametrize("covert", COVERT)
def test_what_stands_between_events_is_not_passed_on(covert: str) -> None:
    """Comments, names, ids and the like are made anew, or left out."""
    said = sse(chunk(content="네.")).decode()
    with before(saying(head(SSE), said.encode(), covert.encode(), said.encode())) as served:
        reply = post(served, stream=True)

    assert reply.status_code == 200
    assert MARKER not in reply.text


FAILURES: list[Any] = [
    {"error": {"message": UNSAFE, "code": MARKER, "type": UNSAFE}},
    {"error": UNSAFE},
    {"error": {"message": "m", "innererror": {"code": UNSAFE}, "param": [UNSAFE]}},
    {"error": {"message": [UNSAFE]}},
]


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("path", ["chat/completions", "responses"])
def test_errors_do_not_say_what_the_reply_may_not(path: str, failure: Any) -> None:
    """In a stream, in the place of a reply, and of a server that failed."""
    event = {"type": "error", **failure}
    ways = [
        Said([sse(chunk(content="네. ")), sse(failure), sse(event), sse("[DONE]")]),
        Said(failure),
        Said(failure, 500),
        Said({**response(message("네.")), **failure}),
        Said([sse({"type": "response.failed", "response": {**response(), **failure}})]),
    ]
    for way in ways:
        with serving(lambda _, way=way: way) as served:
            reply = post(served, path, stream=True)

        assert MARKER not in reply.text


def test_an_error_that_says_nothing_unsafe_passes() -> None:
    """In a stream with its message, so that people know what is wrong."""
    error = {"message": "the model is overloaded", "type": "server_error", "code": 503}
    with serving(lambda _: Said([sse(chunk(content="네. ")), sse({"error": error})])) as served:
        streamed = post(served, stream=True)
    with serving(lambda _: Said({"error": error}, 503, {"retry-after": "3"})) as served:
        whole = post(served)

    assert '"message":"the model is overloaded"' in streamed.text
    assert (whole.status_code, whole.json(), whole.headers["retry-after"]) == (
        503,
        {"error": error},
        "3",
    )


def test_a_word_in_a_header_is_not_passed_on() -> None:
    """Nor a trailer; names and numbers are."""
    raw = head(JSON, f"x-said: {UNSAFE}", "x-request-id: r1") + raw_of(SAFE)
    with before(saying(raw)) as served:
        reply = post(served)

    assert reply.json()["choices"][0]["message"]["content"] == SAFE
    assert (reply.headers.get("x-said"), reply.headers["x-request-id"]) == (None, "r1")


def test_of_128_choices_one_is_unsafe() -> None:
    """It alone is replaced."""
    texts = [UNSAFE if at == 77 else SAFE for at in range(128)]
    for said in (Said(chat(*texts)), Said(chat_stream(*texts, size=30))):
        with serving(lambda _, said=said: said) as served:
            reply = post(served, n=128, stream=not isinstance(said.body, dict))

        assert MARKER not in reply.text
        assert reply.text.count('"content_filter"') == 1
        assert reply.text.count('"finish_reason":"stop"') == 127


# Replies without measure


def test_an_event_without_end_is_given_up() -> None:
    """Before it takes all memory."""
    piece = b"x" * 2**20

    def endless(line: Line) -> None:
        line.body()
        line.say(head(SSE) + b"data: ")
        while True:
            line.say(piece)

    with before(endless) as served:
        reply = post(served, stream=True)

    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "upstream_invalid_reply")


def test_a_whole_reply_without_end_is_given_up() -> None:
    """Before it takes all memory."""

    def endless(line: Line) -> None:
        line.body()
        line.say(head(JSON))
        while True:
            line.say(b" " * 2**20)

    with before(endless) as served:
        reply = post(served)

    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "upstream_reply_too_large")


@pytest.mark.parametrize("many", [[f"x-{at}: a" for at in range(5000)], ["x: " + "a" * 10**6]])
def test_headers_without_measure_are_given_up(many: list[str]) -> None:
    """However many, or however long."""
    with before(saying(head(JSON, *many) + raw_of(SAFE))) as served:
        reply = post(served)

    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "upstream_failed")


def test_an_upstream_that_trickles_is_left_with_its_client() -> None:
    """It may take for ever, and no longer than somebody waits."""
    ended, began = threading.Event(), threading.Event()

    def trickling(line: Line) -> None:
        line.body()
        line.say(head(SSE))
        try:
            while not ended.wait(0.02):
                line.say(b":")
                began.set()
        except OSError:
            ended.set()

    with before(trickling) as served:
        address = ("127.0.0.1", int(served.root.rpartition(":")[2]))
        with socket.create_connection(address, timeout=5) as connection:
            body = json.dumps({**BODY, "stream": True}).encode()
            start = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
            connection.sendall(start.encode() + body)
            assert began.wait(10)

        assert ended.wait(10)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}}",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"no http\r\n\r\n",
        b"",
    ],
)
def test_what_is_no_answer_is_an_error_of_the_usual_shape(raw: bytes) -> None:
    """Broken off, framed twice, of another protocol, or nothing at all."""
    with before(saying(raw)) as served:
        reply = post(served)

    assert (reply.status_code, reply.json()["error"]["type"]) == (502, "server_error")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "300 Multiple Choices"])
def test_a_status_without_a_reply_is_no_way_around(status: str) -> None:
    """What has no body has no reply, and what has one elsewhere is not followed."""
    with before(saying(head(JSON, f"location: /{MARKER}", status=status))) as served:
        reply = post(served)

    assert MARKER not in reply.text
    assert reply.status_code in (304, 502)


# Requests in disguise


def test_nothing_tells_the_upstream_to_take_the_request_for_another() -> None:
    """Headers that some servers take for the method or the path are left out."""
    disguises = {
        "x-http-method-override": "DELETE",
        "x-http-method": "DELETE",
        "x-method-override": "DELETE",
        "x-original-url": "/v1/responses/r",
        "x-rewrite-url": "/v1/responses/r",
        "connection": "keep-alive, x-mine",
        "x-mine": "1",
        "te": "trailers",
    }
    with serving(lambda _: Said({"data": []})) as served:
        httpx.get(f"{served.url}/models", headers=disguises)
        came = served.upstream.asked[-1].headers

    assert {*disguises} & {*came} <= {"connection"}
    assert "x-mine" not in came.get("connection", "")


def status_of(served: Served, raw: bytes) -> int:
    """Return the status for bytes that no client would send."""
    address = ("127.0.0.1", int(served.root.rpartition(":")[2]))
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(raw)
        return int(connection.makefile("rb").readline().split()[1])


@pytest.mark.parametrize(
    "framing",
    [
        "content-length: 2\r\ntransfer-encoding: chunked",
        "content-length: 2\r\ncontent-length: 30",
        "content-length: 2, 30",
        "content-length: +2",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: xchunked",
    ],
)
def test_a_request_with_two_ends_is_refused(framing: str) -> None:
    """Nobody behind the gateway can find a second request in it."""
    with serving(says(SAFE)) as served:
        raw = f"POST /v1/embeddings HTTP/1.1\r\nhost: localhost\r\n{framing}\r\n\r\n{{}}"
        status = status_of(served, raw.encode())

        assert (status, served.upstream.asked) == (400, [])


@pytest.mark.parametrize(
    "body",
    [
        '{"messages": [], "messages": [{"role": "user", "content": "a"}]}',
        '{"messages": [{"role": "user", "content": "a", "content": "b"}]}',
        '{"stream": false, "n": 1, "stream": true}',
        '{"messages": NaN}',
        '{"temperature": 1e999}',
        '{"a": ' + "[" * 200 + "]" * 200 + "}",
    ],
)
def test_a_request_that_two_may_read_in_two_ways_is_refused(body: str) -> None:
    """What is looked at here is what the upstream sees."""
    with serving(says(SAFE)) as served:
        for path in ("chat/completions", "responses"):
            reply = httpx.post(f"{served.url}/{path}", content=body)

            assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_json")
        assert served.upstream.asked == []


# Clients that try again


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_does_not_repeat_what_could_not_be_judged(stream: bool) -> None:
    """The model has been paid for; its reply would not be judged the second time either."""
    guard = Guard(StubClassifier(error=ClassifierError("down")))
    with serving(says(SAFE), guard) as served, served.client(max_retries=3) as client:
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model="m", messages=MESSAGES, stream=stream)

        assert len(served.upstream.asked) == 1


def test_a_client_repeats_what_the_upstream_asks_it_to() -> None:
    """And gets the reply in the end."""
    asked: list[Asked] = []

    def reply(one: Asked) -> Said:
        asked.append(one)
        error = {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}
        return Said(error, 429, {"retry-after-ms": "1"}) if len(asked) < 3 else Said(chat(SAFE))

    with serving(reply) as served, served.client(max_retries=3) as client:
        whole = client.chat.completions.create(model="m", messages=MESSAGES)

    assert (whole.choices[0].message.content, len(asked)) == (SAFE, 3)


def test_while_a_reply_is_blocked_nothing_else_is_said() -> None:
    """Comments keep the connection, and the refusal is the last of it."""
    told = threading.Event()

    def events() -> Iterator[bytes]:
        yield sse(chunk(content="안녕하세요, 고객님. "))
        yield sse(chunk(content=f"{UNSAFE} "))
        for _ in range(200):
            if told.wait(0.01):
                return
            yield sse({**CHUNK, "choices": [], "usage": None})

    with serving(lambda _: Said(events()), keep_alive=0.02) as served:
        reply = post(served, stream=True)
        told.set()

    said, _, rest = reply.text.partition('"finish_reason":"content_filter"')
    assert MARKER not in said
    assert "content" not in rest
