"""What the benchmark measures, and how."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp
import openai

from guardrail.integrations.gateway.bench.servers import CHUNKS, MARKER, UNSAFE, Process
from guardrail.window import Window

__all__ = ["Load", "cpu_per_call", "leaked", "load", "memory_of"]

_WINDOW = Window()
_SHORT = 60  # characters of the streams that memory is measured with


@dataclass(slots=True)
class Load:
    """What many streams at once have come to.

    Args:
        first: seconds until the first text, of each stream.
        window: seconds until so much text was there as a guard judges first.
        total: seconds until the end.
        leaks: characters shown that no verdict can have passed.
        errors: what streams ended in.
    """

    first: list[float] = field(default_factory=list)
    window: list[float] = field(default_factory=list)
    total: list[float] = field(default_factory=list)
    leaks: int = 0
    errors: list[str] = field(default_factory=list)

    def median(self, name: str) -> float:
        """Return the median of one of the times, in milliseconds."""
        times: list[float] = getattr(self, name)
        return statistics.median(times or [float("nan")]) * 1e3


async def load(process: Process, clients: int, rounds: int, *, pause: float) -> Load:
    """Have so many clients take one stream after the other, every fourth of them unsafe.

    They begin one by one over the time that a stream takes, since people do not type in step. Their
    first streams, for which connections are opened, count for errors and leaks only.
    """
    found, ignored = Load(), Load()
    async with _client(process) as client:

        async def one(number: int) -> None:
            await asyncio.sleep(number / clients * pause * CHUNKS)
            for turn in range(rounds):
                model = "unsafe" if (number + turn) % 4 == 0 else "safe"
                try:
                    await _stream(client, model, pause, found if turn else ignored)
                except Exception as error:  # the client's, or of whatever HTTP library it has
                    found.errors.append(repr(error))

        await asyncio.gather(*map(one, range(clients)))
    found.leaks += ignored.leaks
    return found


def _client(process: Process) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=process.url, api_key="k", max_retries=0, timeout=60)


async def _stream(client: openai.AsyncOpenAI, model: str, pause: float, found: Load) -> None:
    started, text, windowed = time.perf_counter(), "", False
    stream = await client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "배송은 언제 오나요?"}],
        stream=True,
        user=str(pause),
    )
    async for chunk in stream:
        piece = chunk.choices[0].delta.content or "" if chunk.choices else ""
        if piece and not text:
            found.first.append(time.perf_counter() - started)
        text += piece
        if not windowed and _WINDOW.cut(0, text) is not None:
            windowed = True
            found.window.append(time.perf_counter() - started)
    found.total.append(time.perf_counter() - started)
    found.leaks += leaked(text) if model == "unsafe" else 0


def leaked(text: str) -> int:
    """Return how many characters of the unsafe reply were shown from where its marker was whole."""
    place = UNSAFE.index(MARKER) + len(MARKER)
    return max(0, _common(text, UNSAFE) - place + 1)


def _common(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


async def cpu_per_call(process: Process, calls: int, at_once: int = 4) -> float:
    """Return the milliseconds of CPU that a server uses for one call that is not streamed."""
    async with _client(process) as client:

        async def some(count: int) -> None:
            for _ in range(count):
                await client.chat.completions.create(
                    model="safe", messages=[{"role": "user", "content": "배송은?"}]
                )

        await some(20)
        before = process.cpu()
        await asyncio.gather(*(some(calls // at_once) for _ in range(at_once)))
        return (process.cpu() - before) / (calls // at_once * at_once) * 1e3


async def memory_of(process: Process, streams: int, at_once: int) -> Sequence[int]:
    """Return the bytes a server holds after each tenth of so many short streams."""
    body = {"model": "safe", "messages": [], "stream": True, "max_tokens": _SHORT, "user": "0"}
    sizes = []
    connector = aiohttp.TCPConnector(limit=at_once)
    async with aiohttp.ClientSession(connector=connector) as client:

        async def some(count: int) -> None:
            for _ in range(count):
                async with client.post(f"{process.url}/chat/completions", json=body) as reply:
                    text = await reply.text()
                assert re.search(r"\[DONE\]\s*$", text), text[-200:]

        for _ in range(10):
            await asyncio.gather(*(some(streams // 10 // at_once) for _ in range(at_once)))
            sizes.append(process.memory())
    return sizes
