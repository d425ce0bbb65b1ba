"""An upstream that says any bytes, when a test tells it to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

__all__ = ["Line", "head", "raw_upstream"]


@dataclass
class Line:
    """One connection to it.

    Args:
        came: what the gateway sends, after the head of its request.
        to: the gateway.
        first: the request's first line.
        headers: the request's, names in lower case.
    """

    came: BinaryIO
    to: socket.socket
    first: str
    headers: dict[str, str] = field(default_factory=dict)

    def say(self, data: bytes) -> None:
        """Send bytes."""
        self.to.sendall(data)

    def body(self) -> bytes:
        """Return the request's body, whose length is told."""
        return self.came.read(int(self.headers.get("content-length", 0)))

    def gone(self) -> bool:
        """Wait until the gateway has left; return whether it has in time."""
        try:
            while self.came.read(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True


def head(kind: str, *more: str, status: str = "200 OK") -> bytes:
    """Return the head of a response, whose end is that of the connection."""
    lines = (f"HTTP/1.1 {status}", f"content-type: {kind}", "connection: close", *more)
    return "\r\n".join((*lines, "", "")).encode()


@contextmanager
def raw_upstream(serve: Callable[[Line], None]) -> Iterator[str]:
    """Run one, with a thread for each connection, and yield its base URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=_talk, args=(connection, serve))
            threads.append(thread)
            thread.start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in [accepting, *threads]:
            thread.join(10)


def _talk(connection: socket.socket, serve: Callable[[Line], None]) -> None:
    connection.settimeout(10)
    with connection, connection.makefile("rb") as came:
        try:
            line = Line(came, connection, came.readline().decode().strip())
            while text := came.readline().decode("latin-1").strip():
                name, _, value = text.partition(":")
                line.headers[name.lower()] = value.strip()
            if line.first:
                serve(line)
        except OSError:
            pass
