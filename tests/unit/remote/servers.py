"""Inference servers that misbehave, over real sockets on the loopback interface."""

from __future__ import annotations

import gc
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Self

__all__ = [
    "MODEL",
    "Connection",
    "FakeServer",
    "answer",
    "answering",
    "completion",
    "eventually",
    "html",
    "open_sockets",
]

MODEL = "guard"


class Connection:
    """One connection of a client, and what may be done to it."""

    def __init__(self, stream: socket.socket, server: FakeServer) -> None:
        self.stream = stream
        self.server = server

    def read(self) -> dict[str, Any] | None:
        """Return the next request's body; None when the client has gone."""
        head = self._until(b"\r\n\r\n")
        if head is None:
            return None
        headers, _, body = head.partition(b"\r\n\r\n")
        size = next(
            int(line.split(b":")[1])
            for line in headers.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        while len(body) < size:
            body += self.stream.recv(65536)
        self.server.heads.append(headers.decode())
        request: dict[str, Any] = json.loads(body)
        self.server.requests.append(request)
        return request

    def send(self, data: bytes) -> None:
        """Send bytes; a client that has gone is not an error."""
        with suppress(OSError):
            self.stream.sendall(data)

    def reset(self) -> None:
        """Drop the connection as a crashed process does."""
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.stream.close()

    def half_close(self) -> None:
        """Say that nothing more comes, and go on listening."""
        self.stream.shutdown(socket.SHUT_WR)

    def wait(self, seconds: float = 10.0) -> bool:
        """Wait for the client to go; whether it has."""
        self.stream.settimeout(seconds)
        try:
            while self.stream.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def _until(self, end: bytes) -> bytes | None:
        data = b""
        while end not in data:
            try:
                more = self.stream.recv(65536)
            except OSError:
                return None
            if not more:
                return None
            data += more
        return data


Behaviour = Callable[[Connection], None]


class FakeServer:
    """A server that treats each connection as told, and counts those that are open.

    Args:
        behave: takes each connection.
        tls: what it speaks TLS with.

    Attributes:
        requests: bodies of the requests, in order.
        heads: their headers.
        open: connections that neither side has closed.
    """

    def __init__(self, behave: Behaviour, *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[dict[str, Any]] = []
        self.heads: list[str] = []
        self.open = 0
        self.most_open = 0
        self._behave = behave
        self._tls = tls
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://localhost:{self._listener.getsockname()[1]}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.open += 1
                self.most_open = max(self.most_open, self.open)
            threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream: socket.socket) -> None:
        try:
            if self._tls:
                stream = self._tls.wrap_socket(stream, server_side=True)
            self._behave(Connection(stream, self))
        except OSError:
            pass
        finally:
            stream.close()
            with self._lock:
                self.open -= 1


def completion(**changes: Any) -> dict[str, Any]:
    """Return an answer as vLLM gives it, with some of it changed."""
    content = {
        "token": "safe",
        "logprob": -0.1,
        "top_logprobs": [
            {"token": "safe", "logprob": -0.1},
            {"token": "unsafe", "logprob": -3.0},
        ],
    }
    choice = {
        "index": 0,
        "finish_reason": "length",
        "message": {"role": "assistant", "content": "safe"},
        "logprobs": {"content": [content]},
    }
    whole = {"id": "1", "object": "chat.completion", "created": 1, "model": MODEL}
    return {**whole, "choices": [choice], **changes}


def answer(body: Any, status: str = "200 OK", headers: Mapping[str, str] | None = None) -> bytes:
    """Return an HTTP response."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"content-type": "application/json", "content-length": str(len(data))}
    written = "".join(
        f"{name}: {value}\r\n" for name, value in {**lines, **(headers or {})}.items()
    )
    return f"HTTP/1.1 {status}\r\n{written}\r\n".encode() + data


def html() -> bytes:
    """Return what a proxy shows while it is being repaired."""
    return answer(
        b"<html><body>safe safe safe</body></html>", headers={"content-type": "text/html"}
    )


def answering(*responses: bytes, delay: float = 0.0) -> Behaviour:
    """Answer with these in turn, over all connections; the last is repeated."""
    lock, left = threading.Lock(), list(responses)

    def behave(connection: Connection) -> None:
        while connection.read() is not None:
            time.sleep(delay)
            with lock:
                response = left.pop(0) if len(left) > 1 else left[0]
            connection.send(response)

    return behave


def eventually(holds: Callable[[], bool], seconds: float = 2.0) -> bool:
    """Whether something comes to hold in time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def open_sockets() -> int:
    """Return how many sockets Python code of this process holds; Ray's own come and go."""
    held = (one for one in gc.get_objects() if issubclass(type(one), socket.socket))
    return sum(one.fileno() >= 0 for one in held)
