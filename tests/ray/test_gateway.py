"""The gateway on a cluster, through the official client, also while replicas die."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import httpx
import openai
import pytest

from .conftest import Cluster
from .judges import MARKER

SAFE = "환불은 영업일로 사흘쯤 걸려요. 배송은 내일 오후에 도착할 예정이에요. 더 궁금하신 점 있나요?"
CALLS = 40


@dataclass(frozen=True)
class Heard:
    """What a client heard of a reply.

    Args:
        text: all that was shown.
        finish: how it ended.
    """

    text: str
    finish: str | None


async def streamed(client: openai.AsyncOpenAI, text: str, **options: Any) -> list[Heard]:
    """Have the upstream say a text, in a stream; return what was heard of each choice."""
    texts: dict[int, str] = {}
    ends: dict[int, str | None] = {}
    message: Any = {"role": "user", "content": text}
    create: Any = client.chat.completions.create
    async for event in await create(model="m", messages=[message], stream=True, **options):
        for choice in event.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
            ends[choice.index] = choice.finish_reason or ends.get(choice.index)
    return [Heard(texts[index], ends[index]) for index in sorted(texts)]


async def whole(client: openai.AsyncOpenAI, text: str) -> list[Heard]:
    """Have the upstream say a text, whole."""
    message: Any = {"role": "user", "content": text}
    done = await client.chat.completions.create(model="m", messages=[message])
    return [Heard(one.message.content or "", one.finish_reason) for one in done.choices]


def texts() -> list[tuple[str, int | None]]:
    """Return replies, all but every fourth with the marker somewhere, and where it is."""
    places = [None if number % 4 == 0 else number for number in range(CALLS)]
    return [
        (SAFE, None) if place is None else (f"{SAFE[:place]}{MARKER}{SAFE[place:]}", place)
        for place in places
    ]


def told(refusal: str, heard: Heard, text: str, place: int | None) -> bool:
    """Whether a client heard what it should: all of a safe reply, nothing from the marker on."""
    if place is None:
        return heard == Heard(text, "stop")
    shown = heard.text.removesuffix(refusal).rstrip("\n")
    return heard.finish == "content_filter" and text[:place].startswith(shown)


@pytest.fixture(scope="module")
def refusal(cluster: Cluster) -> str:
    """What is said in place of an unsafe reply."""

    async def ask() -> str:
        async with cluster.client() as client:
            return (await whole(client, MARKER))[0].text

    return asyncio.run(ask())


def test_while_a_replica_is_killed_nothing_leaks_and_nothing_is_lost(
    cluster: Cluster, refusal: str
) -> None:
    """The marker is slid over a reply, many at once; each client hears exactly what it should."""
    victim = min(cluster.judges())
    asked = [(ask, text, place) for ask in (whole, streamed) for text, place in texts()]

    async def run() -> list[list[Heard]]:
        async with cluster.client() as client:
            calls = [asyncio.create_task(ask(client, text)) for ask, text, _ in asked]
            await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            os.kill(victim, signal.SIGKILL)
            return await asyncio.gather(*calls)

    heard = [one for (one,) in asyncio.run(run())]
    wrong = [
        (one, text)
        for one, (_, text, place) in zip(heard, asked, strict=True)
        if not told(refusal, one, text, place)
    ]

    assert wrong == []


def test_several_choices_of_one_reply_are_judged_at_once(cluster: Cluster) -> None:
    """All calls that one request makes are answered: Serve's routers confuse those of one id."""

    async def ask() -> list[Heard]:
        async with cluster.client() as client, asyncio.timeout(20):
            return await streamed(client, SAFE, n=5)

    assert asyncio.run(ask()) == [Heard(SAFE, "stop")] * 5


def test_both_replicas_work_and_in_batches(cluster: Cluster) -> None:
    """Many clients keep all of them busy."""
    cluster.judges()
    before = len(cluster.judged)

    async def ask() -> None:
        async with cluster.client() as client:
            await asyncio.gather(*(whole(client, f"{SAFE} {number}") for number in range(CALLS)))

    asyncio.run(ask())
    seen = cluster.judged[before:]

    assert len({process for process, _, _ in seen}) == 2
    assert max(size for _, size, _ in seen) > 1


def test_probes_are_answered(cluster: Cluster) -> None:
    """It lives, and it can judge and reach its upstream."""
    alive, ready = (
        httpx.get(f"{cluster.root}/{path}", timeout=10) for path in ("healthz", "readyz")
    )

    assert (alive.status_code, ready.status_code) == (200, 200)
    assert ready.json() == {"classifier": "ok", "upstream": "ok"}


def test_importing_the_module_starts_nothing() -> None:
    """`serve build` and editors import it, too."""
    code = "import ray, guardrail.integrations.ray_serve as r; print(ray.is_initialized(), r.app)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("False <function app")


def test_without_ray_the_error_names_the_extra() -> None:
    """One clear sentence, with what to do."""
    code = "import sys; sys.modules['ray'] = None; import guardrail.integrations.ray_serve"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert "'ray' is not installed; it comes with: pip install 'guardrail-ko[ray]'" in done.stderr
