"""A fake OpenAI: a real HTTP server on a real socket, that says what a test tells it to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Asked:
    """A request that has come."""

    method: str
    path: str
    body: dict[str, Any]
    port: int  # of the connection
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case


@dataclass(frozen=True)
class Said:
    """A response: its body whole, or in pieces of a stream."""

    body: object
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pause: float = 0.0  # between the pieces


Reply = Callable[[Asked], Said]


class Upstream:
    """Serves until it is closed.

    Attributes:
        asked: the requests, in order.
        cut: set once a client has left a stream before its end.
        sending: set once a stream has begun.
    """

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.asked: list[Asked] = []
        self.cut = threading.Event()
        self.sending = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is, with the path of the API's base."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    @property
    def connections(self) -> int:
        """How many connections the requests came by."""
        return len({asked.port for asked in self.asked})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_: object) -> None: ...

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:  # the client has left
                    self.close_connection = True

            def handle_any(self) -> None:
                raw = self.rfile.read(int(self.headers.get("content-length") or 0))
                is_json = "json" in self.headers.get("content-type", "")
                body = json.loads(raw) if raw and is_json else {}
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, body, self.client_address[1], headers)
                upstream.asked.append(asked)
                self.answer(upstream.reply(asked))

            do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - the server's own names

            def answer(self, said: Said) -> None:
                self.send_response(said.status)
                for name, value in said.headers.items():
                    self.send_header(name, value)
                if isinstance(said.body, dict | str | bytes):
                    self.whole(said.body)
                else:
                    assert isinstance(said.body, Iterable)
                    self.streamed(said.body, said.pause)

            def whole(self, body: object) -> None:
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                if isinstance(body, str):
                    raw = body.encode()
                elif not isinstance(body, bytes):
                    self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def streamed(self, pieces: Iterable[bytes], pause: float) -> None:
                self.send_header("content-type", "text/event-stream; charset=utf-8")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                # The end goes with the last piece where that is known: a client that leaves after
                # reading all can use the connection again, however late the next write would be.
                last = len(pieces) - 1 if isinstance(pieces, list) and not pause else None
                try:
                    for place, piece in enumerate(pieces):
                        end = b"0\r\n\r\n" if place == last else b""
                        self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" + end)
                        upstream.sending.set()
                        if pause:
                            time.sleep(pause)
                    if last is None or last < 0:
                        self.wfile.write(b"0\r\n\r\n")
                except OSError:
                    self.close_connection = True
                    upstream.cut.set()

        return Handler


def sse(data: object, name: str | None = None) -> bytes:
    """Return one event as it crosses the wire."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def pieces_of(text: str, size: int = 3) -> list[str]:
    """Return a text in chunks of some characters."""
    return [text[start : start + size] for start in range(0, len(text), size)]


USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
RESPONSE_USAGE = {
    "input_tokens": 3,
    "output_tokens": 5,
    "total_tokens": 8,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}


def chat(*texts: str, **message: Any) -> dict[str, Any]:
    """Return a chat completion with a choice for each text."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "usage": USAGE,
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": text, **message},
                "finish_reason": "stop",
                "logprobs": None,
            }
            for index, text in enumerate(texts)
        ],
    }


def chunk(index: int = 0, finish: str | None = None, /, **delta: Any) -> dict[str, Any]:
    """Return one chunk of one choice."""
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {**CHUNK, "choices": [choice]}


CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def chat_chunks(*texts: str, size: int = 3, usage: bool = True) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a chat completion, its choices by turns."""
    for index in range(len(texts)):
        yield chunk(index, role="assistant", content="")
    chunked = [pieces_of(text, size) for text in texts]
    for turn in range(max(map(len, chunked))):
        for index, parts in enumerate(chunked):
            if turn < len(parts):
                yield chunk(index, content=parts[turn])
    for index in range(len(texts)):
        yield chunk(index, "stop")
    if usage:
        yield {**CHUNK, "choices": [], "usage": USAGE}


def chat_stream(*texts: str, size: int = 3, usage: bool = True) -> list[bytes]:
    """Return the events of a chat completion."""
    return [*map(sse, chat_chunks(*texts, size=size, usage=usage)), sse("[DONE]")]


def message(text: str, *, status: str = "completed", name: str = "msg_1") -> dict[str, Any]:
    """Return a message as an item of a response."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "id": name,
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [part],
    }


def response(*output: dict[str, Any], status: str = "completed") -> dict[str, Any]:
    """Return a response of some items."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "status": status,
        "output": list(output),
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": RESPONSE_USAGE if status == "completed" else None,
    }


def message_events(text: str, place: int = 0, size: int = 3) -> Iterator[dict[str, Any]]:
    """Yield the events of a message in a response."""
    where = {"output_index": place, "item_id": "msg_1", "content_index": 0}
    empty = {**message("", status="in_progress"), "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    yield {"type": "response.output_item.added", "output_index": place, "item": empty}
    yield {"type": "response.content_part.added", **where, "part": part}
    for delta in pieces_of(text, size):
        yield {"type": "response.output_text.delta", **where, "delta": delta, "logprobs": []}
    yield {"type": "response.output_text.done", **where, "text": text, "logprobs": []}
    done = message(text)
    yield {"type": "response.content_part.done", **where, "part": done["content"][0]}
    yield {"type": "response.output_item.done", "output_index": place, "item": done}


def call_events(arguments: str, place: int = 0, size: int = 3) -> Iterator[dict[str, Any]]:
    """Yield the events of a call of a function in a response."""
    where = {"output_index": place, "item_id": "fc_1"}
    item = {"id": "fc_1", "type": "function_call", "call_id": "c1", "name": "look_up"}
    added = {**item, "arguments": "", "status": "in_progress"}
    yield {"type": "response.output_item.added", "output_index": place, "item": added}
    kind = "response.function_call_arguments"
    for delta in pieces_of(arguments, size):
        yield {"type": f"{kind}.delta", **where, "delta": delta}
    yield {"type": f"{kind}.done", **where, "name": "look_up", "arguments": arguments}
    done = {**item, "arguments": arguments, "status": "completed"}
    yield {"type": "response.output_item.done", "output_index": place, "item": done}


def response_events(*events: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events of a whole response around those of its items."""
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    begun = response(status="in_progress")
    whole = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        *events,
        {"type": "response.completed", "response": response(*done)},
    ]
    return [{**event, "sequence_number": number} for number, event in enumerate(whole)]


def response_stream(*events: dict[str, Any]) -> list[bytes]:
    """Return a response's events as they cross the wire."""
    return [sse(event, event["type"]) for event in response_events(*events)]
