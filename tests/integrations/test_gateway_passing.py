"""What carries no reply goes through the gateway piece by piece, in both directions."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from .gateways import Served, serving
from .openai_calls import says
from .raw_upstream import Line, head, raw_upstream

PIECE = b"x" * 65536


@contextmanager
def before(serve: object, **settings: int) -> Iterator[Served]:
    """Run a gateway before an upstream that says any bytes."""
    with raw_upstream(serve) as url, serving(says(""), url=url, **settings) as served:  # type: ignore[arg-type]  # a function of a line
        yield served


def chunk_of(line: Line) -> bytes:
    """Return one piece of a body that comes in pieces."""
    size = int(line.came.readline(), 16)
    data = line.came.read(size)
    line.came.readline()
    return data


def test_an_upload_goes_on_before_all_of_it_came() -> None:
    """The client sends the rest only when the upstream has the beginning."""
    began, got = threading.Event(), bytearray()

    def upstream(line: Line) -> None:
        got.extend(line.came.read(len(PIECE)))
        began.set()
        got.extend(line.came.read(len(PIECE)))
        line.say(head("application/json") + b'{"id": "file-1"}')

    def pieces() -> Iterator[bytes]:
        yield PIECE
        assert began.wait(10)
        yield PIECE

    headers = {"content-length": str(2 * len(PIECE)), "content-type": "multipart/form-data"}
    with before(upstream) as served:
        reply = httpx.post(f"{served.url}/files", content=pieces(), headers=headers, timeout=10)

    assert reply.json() == {"id": "file-1"}
    assert got == PIECE + PIECE


def test_an_upload_of_unknown_length_goes_in_pieces() -> None:
    """As it came, so it goes."""
    got: list[bytes] = []

    def upstream(line: Line) -> None:
        while piece := chunk_of(line):
            got.append(piece)
        line.say(head("application/json") + b"{}")

    with before(upstream) as served:
        reply = httpx.post(f"{served.url}/uploads/u/parts", content=iter([PIECE, b"end"]))

    assert (reply.status_code, b"".join(got)) == (200, PIECE + b"end")


def test_a_download_goes_on_before_all_of_it_came() -> None:
    """The upstream sends the rest only when the client has the beginning."""
    began = threading.Event()

    def upstream(line: Line) -> None:
        line.say(head("application/json", f"content-length: {2 * len(PIECE)}") + PIECE)
        assert began.wait(10)
        line.say(PIECE)

    with (
        before(upstream) as served,
        httpx.stream("GET", f"{served.url}/models", timeout=10) as reply,
    ):
        came = 0
        for piece in reply.iter_raw():
            came += len(piece)
            began.set()

    assert came == 2 * len(PIECE)
    assert reply.headers["content-length"] == str(came)


def test_a_compressed_answer_stays_as_it_is() -> None:
    """Nobody looks into it, so nobody unpacks it."""
    packed = gzip.compress(b'{"data": []}')
    asked: list[str] = []

    def upstream(line: Line) -> None:
        asked.append(line.headers["accept-encoding"])
        line.say(head("application/json", "content-encoding: gzip") + packed)

    with before(upstream) as served:
        reply = httpx.get(f"{served.url}/models", headers={"accept-encoding": "gzip"})

    assert (asked, reply.json()) == (["gzip"], {"data": []})


@pytest.mark.parametrize("told", [True, False])
def test_an_upload_over_the_limit_is_cut_off(told: bool) -> None:
    """Whether its length is told or not; the upstream never gets the whole."""
    got: list[int] = []

    def upstream(line: Line) -> None:
        got.append(len(line.came.read()))

    def pieces() -> Iterator[bytes]:
        yield from [PIECE] * 40

    body = PIECE * 40 if told else pieces()
    with before(upstream, max_body=1_000_000) as served:
        reply = httpx.post(f"{served.url}/files", content=body, timeout=10)

    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "request_too_large")
    assert all(size < 1_100_000 for size in got)


def test_a_client_that_leaves_in_the_middle_of_an_upload_ends_it() -> None:
    """The upstream's connection is closed, and no request was made of the half."""
    ended, began = threading.Event(), threading.Event()

    def upstream(line: Line) -> None:
        line.came.read(len(PIECE))
        began.set()
        if line.gone():
            ended.set()

    with before(upstream) as served:
        address = ("127.0.0.1", int(served.root.rpartition(":")[2]))
        with socket.create_connection(address, timeout=5) as connection:
            start = f"POST /v1/files HTTP/1.1\r\nhost: localhost\r\ncontent-length: {9 * len(PIECE)}\r\n\r\n"
            connection.sendall(start.encode() + PIECE)
            assert began.wait(10)

        assert ended.wait(10)


def test_a_client_that_leaves_in_the_middle_of_a_download_ends_it() -> None:
    """Nobody sends on what nobody reads."""
    ended = threading.Event()

    def upstream(line: Line) -> None:
        try:
            line.say(head("application/json"))
            while True:
                line.say(PIECE)
        except OSError:
            ended.set()

    with before(upstream) as served:
        with httpx.stream("GET", f"{served.url}/models", timeout=10) as reply:
            next(reply.iter_raw())

        assert ended.wait(10)


def test_a_download_that_breaks_off_is_not_taken_for_whole() -> None:
    """The client's connection is closed before the end."""

    def upstream(line: Line) -> None:
        line.say(head("application/json", f"content-length: {2 * len(PIECE)}") + PIECE)

    with before(upstream) as served, pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{served.url}/models", timeout=10)


def test_an_early_answer_to_an_upload_comes_through() -> None:
    """An upstream that refuses at once is heard, though not all was sent."""

    def upstream(line: Line) -> None:
        body = b'{"error": {"message": "no", "type": "x", "code": "y", "param": null}}'
        length = f"content-length: {len(body)}"
        line.say(head("application/json", length, status="403 Forbidden") + body)
        line.gone()

    with before(upstream) as served:
        reply = httpx.post(f"{served.url}/files", content=PIECE * 4, timeout=10)

    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "y")
