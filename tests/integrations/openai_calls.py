"""Every way the official client has of asking for a reply, for both halves of the library."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import openai
from pydantic import BaseModel

from guardrail import Guard
from guardrail.integrations.openai import guard_client

from ..conftest import Mode
from .openai_upstream import (
    Asked,
    Reply,
    Said,
    Upstream,
    chat,
    chat_stream,
    message,
    message_events,
    response,
    response_stream,
)

USER = "질문이에요"
MESSAGES = [{"role": "user", "content": USER}]


@dataclass
class Seen:
    """What a caller gets to see of a reply.

    Args:
        text: the reply's text.
        finish: how it says it ended.
        everything: all of it, events and all, as JSON.
    """

    text: str = ""
    finish: str | None = None
    everything: list[str] = field(default_factory=list)

    def note(self, event: Any) -> Any:
        """Keep whatever came."""
        is_model = isinstance(event, BaseModel)
        self.everything.append(
            event.model_dump_json(warnings=False) if is_model else json.dumps(event)
        )
        return event

    @property
    def all(self) -> str:
        """Everything, as one text, Hangul as it is."""
        return "".join(self.everything)


Ask = Callable[[Any, Seen], Awaitable[None]]


async def done(value: Any) -> Any:
    """Return a value, or what an awaitable comes to."""
    return await value if inspect.isawaitable(value) else value


async def items(stream: Any) -> AsyncIterator[Any]:
    """Yield from a stream of either half."""
    if hasattr(stream, "__aiter__"):
        async for item in stream:
            yield item
    else:
        for item in stream:
            yield item


@asynccontextmanager
async def entered(manager: Any) -> AsyncIterator[Any]:
    """Enter a context manager of either half."""
    if hasattr(manager, "__aenter__"):
        async with manager as value:
            yield value
    else:
        with manager as value:
            yield value


class Answer(BaseModel):
    """What structured replies are parsed into."""

    answer: str


async def chat_create(client: Any, seen: Seen) -> None:
    reply = seen.note(await done(client.chat.completions.create(model="m", messages=MESSAGES)))
    seen.text, seen.finish = reply.choices[0].message.content, reply.choices[0].finish_reason


async def chat_post(client: Any, seen: Seen) -> None:
    body = {"model": "m", "messages": MESSAGES}
    reply = seen.note(await done(client.post("/chat/completions", body=body, cast_to=object)))
    seen.text = reply["choices"][0]["message"]["content"]
    seen.finish = reply["choices"][0]["finish_reason"]


async def chat_raw(client: Any, seen: Seen) -> None:
    raw = client.chat.completions.with_raw_response
    reply = await done(raw.create(model="m", messages=MESSAGES))
    seen.everything.append(reply.http_response.text)
    parsed = await done(reply.parse())
    seen.text, seen.finish = parsed.choices[0].message.content, parsed.choices[0].finish_reason


async def chat_streaming_response(client: Any, seen: Seen) -> None:
    raw = client.chat.completions.with_streaming_response
    async with entered(raw.create(model="m", messages=MESSAGES, stream=True)) as reply:
        lines = [line async for line in items(reply.iter_lines())]
    seen.everything += lines
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    choices = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
    seen.text = "".join(choice["delta"].get("content") or "" for choice in choices)
    seen.finish = choices[-1]["finish_reason"]


async def chat_streamed(client: Any, seen: Seen) -> None:
    create = client.chat.completions.create
    async for chunk in items(await done(create(model="m", messages=MESSAGES, stream=True))):
        seen.note(chunk)
        for choice in chunk.choices:
            seen.text += choice.delta.content or ""
            seen.finish = choice.finish_reason or seen.finish


async def chat_helper(client: Any, seen: Seen) -> None:
    async with entered(client.chat.completions.stream(model="m", messages=MESSAGES)) as stream:
        async for event in items(stream):
            seen.note(event)
        try:
            final = seen.note(await done(stream.get_final_completion()))
        except openai.ContentFilterFinishReasonError:  # the SDK's way with every such reply
            final = seen.note(stream._state.current_completion_snapshot)
    seen.text, seen.finish = final.choices[0].message.content, final.choices[0].finish_reason


async def responses_create(client: Any, seen: Seen) -> None:
    _whole(seen, await done(client.responses.create(model="m", input=USER)))


async def responses_streamed(client: Any, seen: Seen) -> None:
    create = client.responses.create
    async for event in items(await done(create(model="m", input=MESSAGES, stream=True))):
        seen.note(event)
        if event.type in ("response.completed", "response.incomplete"):
            _whole(seen, event.response)


async def responses_helper(client: Any, seen: Seen) -> None:
    async with entered(client.responses.stream(model="m", input=USER)) as stream:
        async for event in items(stream):
            seen.note(event)
            if event.type in ("response.completed", "response.incomplete"):
                _whole(seen, event.response)


def _whole(seen: Seen, reply: Any) -> None:
    seen.note(reply)
    seen.text = reply.output_text
    details = reply.incomplete_details
    seen.finish = details.reason if details else "stop"


ASKS: Mapping[str, Ask] = {
    "chat.create": chat_create,
    "chat.post": chat_post,
    "chat.raw": chat_raw,
    "chat.streaming_response": chat_streaming_response,
    "chat.streamed": chat_streamed,
    "chat.stream": chat_helper,
    "responses.create": responses_create,
    "responses.streamed": responses_streamed,
    "responses.stream": responses_helper,
}


def says(text: str) -> Reply:
    """Return an upstream that says a text, in whichever form it is asked."""

    def reply(asked: Asked) -> Said:
        streamed = asked.body.get("stream")
        if asked.path.partition("?")[0].endswith("/responses"):
            events = response_stream(*message_events(text))
            return Said(events if streamed else response(message(text)))
        return Said(chat_stream(text) if streamed else chat(text))

    return reply


def client_of(mode: Mode, upstream: Upstream, guard: Guard | None, **options: Any) -> Any:
    """Return a client of the upstream, guarded if there is a guard."""
    kind = openai.OpenAI if mode is Mode.SYNC else openai.AsyncOpenAI
    settings = {"api_key": "key", "base_url": upstream.url, "max_retries": 0, **options}
    client = kind(**settings)
    return client if guard is None else guard_client(client, guard)


def seen_of(mode: Mode, ask: Ask, reply: Reply, guard: Guard | None, **options: Any) -> Seen:
    """Return what a caller sees of a reply."""
    seen = Seen()
    with Upstream(reply) as upstream:
        run(mode, upstream, guard, lambda client: ask(client, seen), **options)
    return seen


def run(
    mode: Mode,
    upstream: Upstream,
    guard: Guard | None,
    use: Callable[[Any], Awaitable[Any]],
    **options: Any,
) -> Any:
    """Use a client of the upstream, and close it."""

    async def main() -> Any:
        client = client_of(mode, upstream, guard, **options)
        try:
            return await use(client)
        finally:
            await done(client.close())

    return asyncio.run(main())
