"""A server that answers "safe" after a while, to measure what a client of it costs.

python -m tests.benchmarks.fake_engine 8001 20     # port, milliseconds
"""

from __future__ import annotations

import asyncio
import json
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


async def serve(port: int, seconds: float) -> None:
    """Answer for ever."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
                await asyncio.sleep(seconds)
                writer.write(HEAD + BODY)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
