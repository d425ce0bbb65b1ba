"""A server that answers "safe" after a while, to measure what a client of it costs.

python -m tests.benchmarks.fake_engine 8001 20     # port, milliseconds
"""

from __future__ import annotations

import asyncio
import json
import selectors
import sys

ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "guard",
    "choices": [
        {
            "index": 0,
            "finish_reason": "length",
            "message": {"role": "assistant", "content": "safe"},
            "logprobs": {
                "content": [
                    {
                        "token": "safe",
                        "logprob": -0.1,
                        "top_logprobs": [
                            {"token": f"t{place}", "logprob": -5.0 - place} for place in range(18)
                        ]
                        + [
                            {"token": "safe", "logprob": -0.1},
                            {"token": "unsafe", "logprob": -3.0},
                        ],
                    }
                ]
            },
        }
    ],
}
BODY = json.dumps(ANSWER).encode()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(
    BODY
)


class Engine(asyncio.Protocol):
    """One connection, on which each request is answered so many seconds after it came."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._came = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        due = self._loop.time() + self._seconds
        self._came += data
        head, found, rest = self._came.partition(b"\r\n\r\n")
        if not found:
            return
        size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(rest) >= size:
            self._came = rest[size:]
            self._loop.call_at(due, self._transport.write, HEAD + BODY)


async def serve(port: int, seconds: float) -> None:
    """Answer for ever."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Engine(seconds), "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    # This selector's waits end in time; the usual one's by up to a millisecond late.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    loop.run_until_complete(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
