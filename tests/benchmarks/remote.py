"""What the remote classifier adds to a bare HTTP call, and how near it comes to its ceiling.

python -m tests.benchmarks.remote
"""

from __future__ import annotations

import asyncio
import http.client
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp

from guardrail import Guard, Policy
from guardrail.classifiers import Remote
from guardrail.types import exchange

ENGINE_MS = 20.0
CALLERS = 500
EACH = 4  # calls of each caller, one after the other
ROUNDS = 5
USER, REPLY = "환불은 며칠 걸려요?", "환불은 접수하신 날부터 영업일 기준으로 3일 안에 됩니다. " * 4


@contextmanager
def engine(milliseconds: float) -> Iterator[int]:
    """Run the fake engine in a process of its own and yield its port."""
    command = [sys.executable, "-m", "tests.benchmarks.fake_engine", "0", str(milliseconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def added(milliseconds: float, rounds: int = 150) -> None:
    """Print the medians of a bare call and of a guarded one, taken in turns."""
    with (
        engine(milliseconds) as port,
        Guard(Remote(f"http://127.0.0.1:{port}/v1", "guard")) as guard,
    ):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        prompt = guard.classifier.prompts(exchange(USER, REPLY))[0]  # type: ignore[attr-defined]
        asked = {"model": "guard", "max_tokens": 1, "logprobs": True, "top_logprobs": 20}
        body = json.dumps(asked | dict(prompt.body))

        def bare() -> object:
            connection.request("POST", "/v1/chat/completions", body)
            return json.loads(connection.getresponse().read())

        def guarded() -> object:
            outcome = guard.check(user=USER, assistant=REPLY)
            assert outcome.verdict is not None
            return outcome

        plain, judged = timed(bare, guarded, rounds)
    print(
        f"{milliseconds:4.0f} ms engine: bare {plain:6.2f} ms, guarded {judged:6.2f} ms, "
        f"added {judged - plain:5.2f} ms (medians of {rounds})"
    )


def timed(one: Callable[[], object], other: Callable[[], object], rounds: int) -> list[float]:
    """Return both medians in milliseconds, taken in turns so that noise meets both."""
    times: tuple[list[float], list[float]] = ([], [])
    for call in (one, other) * 5:
        call()
    for _ in range(rounds):
        for place, call in enumerate((one, other)):
            started = time.perf_counter()
            call()
            times[place].append((time.perf_counter() - started) * 1000)
    return [statistics.median(each) for each in times]


def sustained(concurrency: int) -> None:
    """Print how many of many concurrent calls a second end, against the limit's ceiling.

    A bare client of the same HTTP library, under the same limit, says what this machine can do.
    """
    with engine(ENGINE_MS) as port:
        url = f"http://127.0.0.1:{port}/v1"
        remote = Remote(url, "guard", concurrency=concurrency)
        with Guard(remote, Policy(timeout=60.0)) as guard:

            async def judged() -> None:
                assert (await guard.acheck(user=USER, assistant=REPLY)).verdict is not None

            async def guarded() -> float:
                return await rate(judged)

            body = dict(remote.prompts(exchange(USER, REPLY))[0].body)
            asyncio.run(guarded())
            pairs = [
                (asyncio.run(bare_rate(url, body, concurrency)), asyncio.run(guarded()))
                for _ in range(ROUNDS)
            ]
    plain, ours = (statistics.median(each) for each in zip(*pairs, strict=True))
    ceiling = concurrency * 1000 / ENGINE_MS
    print(
        f"concurrency {concurrency:2}: {ours:4.0f} calls/s, {ours / ceiling:4.0%} of the "
        f"ceiling of {ceiling:.0f}; a bare client {plain:4.0f}, {plain / ceiling:4.0%}"
    )


async def bare_rate(url: str, body: dict[str, Any], concurrency: int) -> float:
    """Return the calls a second of the HTTP library alone."""
    places = asyncio.Semaphore(concurrency)
    asked = {"model": "guard", "max_tokens": 1, "logprobs": True, "top_logprobs": 20, **body}
    async with aiohttp.ClientSession() as client:

        async def call() -> object:
            async with places, client.post(f"{url}/chat/completions", json=asked) as response:
                return await response.json()

        await call()
        return await rate(call)


async def rate(call: Callable[[], Awaitable[object]]) -> float:
    """Return how many calls a second end when many callers call at once, again and again."""

    async def caller() -> None:
        for _ in range(EACH):
            await call()

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return CALLERS * EACH / (time.perf_counter() - started)


if __name__ == "__main__":
    for milliseconds in (0.0, ENGINE_MS):
        added(milliseconds)
    for concurrency in (4, 8, 16):
        sustained(concurrency)
