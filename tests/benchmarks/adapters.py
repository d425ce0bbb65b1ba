"""What the adapters' streams cost, and whether they leak (python -m tests.benchmarks.adapters).

A fake model says back what the user said: 120 tokens of three Korean letters, one every 5 ms; a
stub classifier takes 20 ms. A forbidden phrase of six letters slides over 115 places of the reply.
The OpenAI clients talk to a server in a process of its own. Each guarded stream is timed right
after the same one without a guard; `core` is the gate alone, with nothing of an adapter around it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import openai
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import StrOutputParser

from guardrail import Guard
from guardrail.integrations.langchain import GuardrailMiddleware, guard_model, guard_runnable
from guardrail.integrations.openai import guard_client
from guardrail.testing import StubClassifier

from ..integrations.langchain_models import Scripted, cut
from ..integrations.openai_upstream import (
    Asked,
    Said,
    Upstream,
    chat_stream,
    message_events,
    response_stream,
)
from .gate import CLASSIFIER_S, PHRASE, PLACES, REPLIES, TOKEN_S, TOKENS

ROUNDS = 15
AT_ONCE = 6  # of the streams that are only looked at for leaks
REPLY = (REPLIES["with sentences"] * TOKENS)[: TOKENS * 3]

Stream = Callable[[str], Iterator[str] | AsyncIterator[str]]
Way = Callable[[Guard | None], Stream]


def judge() -> Guard:
    """Return a guard as slow as a small model."""
    return Guard(StubClassifier(PHRASE, delay=CLASSIFIER_S))


def echo() -> BaseChatModel:
    """Return a model that says back what it is told, token by token."""
    return Scripted(says=lambda asked, _: cut(asked[-1].text, 3), delay=TOKEN_S)


def core(guard: Guard | None) -> Stream:
    """Stream through the gate alone, on a thread."""

    def stream(text: str) -> Iterator[str]:
        for token in cut(text, 3):
            time.sleep(TOKEN_S)
            yield token

    return stream if guard is None else lambda text: guard.stream(user="q", chunks=stream(text))


def acore(guard: Guard | None) -> Stream:
    """Stream through the gate alone, on an event loop."""

    async def stream(text: str) -> AsyncIterator[str]:
        for token in cut(text, 3):
            await asyncio.sleep(TOKEN_S)
            yield token

    return stream if guard is None else lambda text: guard.astream(user="q", chunks=stream(text))


def model(guard: Guard | None) -> Stream:
    """Stream a LangChain model on a thread."""
    one = echo() if guard is None else guard_model(echo(), guard)
    return lambda text: (str(chunk.text) for chunk in one.stream(text))


def amodel(guard: Guard | None) -> Stream:
    """Stream a LangChain model on an event loop."""
    one = echo() if guard is None else guard_model(echo(), guard)
    return lambda text: (str(chunk.text) async for chunk in one.astream(text))


def chain(guard: Guard | None) -> Stream:
    """Stream a LangChain chain on a thread."""
    steps = echo() | StrOutputParser()
    return steps.stream if guard is None else guard_runnable(steps, guard).stream


def achain(guard: Guard | None) -> Stream:
    """Stream a LangChain chain on an event loop."""
    steps = echo() | StrOutputParser()
    return steps.astream if guard is None else guard_runnable(steps, guard).astream


def agent(guard: Guard | None) -> Stream:
    """Stream an agent's messages on a thread."""
    graph, options = _agent(guard), {"stream_mode": "messages"}
    return lambda text: (_said(one) for one, _ in graph.stream(_asked(text), **options))


def aagent(guard: Guard | None) -> Stream:
    """Stream an agent's messages on an event loop."""
    graph, options = _agent(guard), {"stream_mode": "messages"}
    return lambda text: (_said(one) async for one, _ in graph.astream(_asked(text), **options))


def _agent(guard: Guard | None) -> Any:
    return create_agent(echo(), middleware=[] if guard is None else [GuardrailMiddleware(guard)])


def _asked(text: str) -> dict[str, Any]:
    return {"messages": [("user", text)]}


def _said(one: BaseMessage) -> str:
    return str(one.text)


def chats(url: str, guard: Guard | None) -> Stream:
    """Stream chat completions on a thread."""
    client = openai.OpenAI(base_url=url, api_key="key")
    client = client if guard is None else guard_client(client, guard)

    def stream(text: str) -> Iterator[str]:
        said: Any = [{"role": "user", "content": text}]
        for chunk in client.chat.completions.create(model="m", messages=said, stream=True):
            yield "".join(choice.delta.content or "" for choice in chunk.choices)

    return stream


def achats(url: str, guard: Guard | None) -> Stream:
    """Stream chat completions on an event loop."""
    client = openai.AsyncOpenAI(base_url=url, api_key="key")
    client = client if guard is None else guard_client(client, guard)

    async def stream(text: str) -> AsyncIterator[str]:
        said: Any = [{"role": "user", "content": text}]
        chunks = await client.chat.completions.create(model="m", messages=said, stream=True)
        async for chunk in chunks:
            yield "".join(choice.delta.content or "" for choice in chunk.choices)

    return stream


def responses(url: str, guard: Guard | None) -> Stream:
    """Stream responses on a thread."""
    client = openai.OpenAI(base_url=url, api_key="key")
    client = client if guard is None else guard_client(client, guard)

    def stream(text: str) -> Iterator[str]:
        for event in client.responses.create(model="m", input=text, stream=True):
            yield event.delta if event.type == "response.output_text.delta" else ""

    return stream


def aresponses(url: str, guard: Guard | None) -> Stream:
    """Stream responses on an event loop."""
    client = openai.AsyncOpenAI(base_url=url, api_key="key")
    client = client if guard is None else guard_client(client, guard)

    async def stream(text: str) -> AsyncIterator[str]:
        async for event in await client.responses.create(model="m", input=text, stream=True):
            yield event.delta if event.type == "response.output_text.delta" else ""

    return stream


def _reply(asked: Asked) -> Said:
    """Say back what the user said."""
    if asked.path.endswith("/responses"):
        return Said(response_stream(*message_events(asked.body["input"])), pause=TOKEN_S)
    return Said(chat_stream(asked.body["messages"][-1]["content"]), pause=TOKEN_S)


def _serve(pipe: Connection) -> None:
    with Upstream(_reply) as upstream:
        pipe.send(upstream.url)
        pipe.recv()  # until the other end closes


@contextmanager
def server() -> Iterator[str]:
    """Run the fake OpenAI in a process of its own; give its address."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send(None)
        process.join()


async def taken(stream: Stream, text: str) -> tuple[float, float, str]:
    """Return the milliseconds until the first text and until the end, and all that was shown."""
    chunks = stream(text)
    if not hasattr(chunks, "__aiter__"):
        return await asyncio.to_thread(_taken, chunks)
    began, first, shown = time.perf_counter(), 0.0, []
    async for one in chunks:
        first = first or (time.perf_counter() - began if one else 0.0)
        shown.append(one)
    return first * 1e3, (time.perf_counter() - began) * 1e3, "".join(shown)


def _taken(chunks: Iterator[str]) -> tuple[float, float, str]:
    began, first, shown = time.perf_counter(), 0.0, []
    for one in chunks:
        first = first or (time.perf_counter() - began if one else 0.0)
        shown.append(one)
    return first * 1e3, (time.perf_counter() - began) * 1e3, "".join(shown)


async def leaked(stream: Stream) -> int:
    """Return at how many places any letter of the phrase is shown."""
    some = asyncio.Semaphore(AT_ONCE)

    async def leaks(place: int) -> bool:
        text = REPLY[: place * 3] + PHRASE + REPLY[place * 3 + len(PHRASE) :]
        refusal = judge().check(user=text, assistant=PHRASE).text
        async with some:
            _, _, shown = await taken(stream, text)
        assert shown.endswith(refusal), "it is to be found at every place"
        return not set(PHRASE).isdisjoint(shown.removesuffix(refusal))

    return sum(await asyncio.gather(*map(leaks, range(PLACES))))


async def added(bare: Stream, guarded: Stream) -> tuple[float, float, float]:
    """Return the median milliseconds that the guard adds: to the first text, the whole, the work.

    The last is processor time, which other programs on the machine disturb the least.
    """
    firsts, wholes, works = [], [], []
    for _ in range(ROUNDS):
        began = time.process_time()
        one = await taken(bare, REPLY)
        between = time.process_time()
        other = await taken(guarded, REPLY)
        assert one[2] == other[2] == REPLY, "a safe reply comes whole"
        firsts.append(other[0] - one[0])
        wholes.append(other[1] - one[1])
        works.append((time.process_time() - between) - (between - began))
    return statistics.median(firsts), statistics.median(wholes), statistics.median(works) * 1e3


async def main(names: list[str]) -> None:
    """Measure the ways of these names, or all, and print."""
    with server() as url:
        ways: dict[str, Way] = {
            **{one.__name__: one for one in (core, acore, model, amodel)},
            **{one.__name__: one for one in (chain, achain, agent, aagent)},
            **{one.__name__: partial(one, url) for one in (chats, achats, responses, aresponses)},
        }
        for name in names or ways:
            guarded = ways[name](judge())
            first, whole, work = await added(ways[name](None), guarded)
            print(
                f"{name:>10}: shown in part {await leaked(guarded)} of {PLACES}; first text "
                f"+{first:.0f} ms, whole +{whole:.0f} ms, of which work {work:.0f} ms",
                flush=True,
            )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
