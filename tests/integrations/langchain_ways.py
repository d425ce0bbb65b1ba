"""Every way in which LangChain hands over what a runnable says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage

from .langchain_models import Spy


@dataclass(frozen=True)
class Seen:
    """What a caller and a handler of theirs were shown.

    Args:
        text: the reply.
        shown: all that was handed over, as text.
        watched: all that the handler saw.
        outputs: what was handed over.
    """

    text: str
    shown: str
    watched: str
    outputs: list[Any]


Way = Callable[[Any, Any, dict[str, Any]], list[Any]]


def gathered(stream: Callable[..., Any]) -> Way:
    """Return a way through something that is iterated over asynchronously."""

    async def gather(runnable: Any, value: Any, config: dict[str, Any]) -> list[Any]:
        return [one async for one in stream(runnable, value, config)]

    return lambda *args: asyncio.run(gather(*args))


async def _events_v3(runnable: Any, value: Any, config: dict[str, Any]) -> Any:
    stream = await runnable.astream_events(value, config, version="v3")
    async for event in stream:
        yield event
    yield await stream.output


def _sync_events_v3(runnable: Any, value: Any, config: dict[str, Any]) -> list[Any]:
    stream = runnable.stream_events(value, config, version="v3")
    return [*stream, stream.output]


async def _log(runnable: Any, value: Any, config: dict[str, Any]) -> Any:
    async for patch in runnable.astream_log(value, config):
        yield patch


WAYS: dict[str, Way] = {
    "invoke": lambda one, value, config: [one.invoke(value, config)],
    "ainvoke": lambda one, value, config: [asyncio.run(one.ainvoke(value, config))],
    "batch": lambda one, value, config: one.batch([value], config),
    "abatch": lambda one, value, config: asyncio.run(one.abatch([value], config)),
    "stream": lambda one, value, config: list(one.stream(value, config)),
    "astream": gathered(lambda one, value, config: one.astream(value, config)),
    "transform": lambda one, value, config: list(one.transform(iter([value]), config)),
}
EVENTS: dict[str, Way] = {
    "events_v2": gathered(
        lambda one, value, config: one.astream_events(value, config, version="v2")
    ),
}
EVENTS_V3: dict[str, Way] = {"events_v3": gathered(_events_v3), "sync_events_v3": _sync_events_v3}


def seen(way: Way, runnable: Any, value: Any = "환불은 며칠 걸려요?") -> Seen:
    """Ask in some way, and return what was shown."""
    spy = Spy()
    outputs = way(runnable, value, {"callbacks": [spy]})
    return Seen(_text(outputs), repr(outputs), "\n".join(spy.saw), outputs)


def _text(outputs: list[Any]) -> str:
    """Return the reply in what was handed over: chunks, a whole message, or events."""
    if outputs and isinstance(outputs[0], dict) and "event" in outputs[0]:
        return _text([_in_event(one) for one in outputs])
    if outputs and all(isinstance(one, dict) for one in outputs):
        return "".join(str(one.get("answer", "")) for one in outputs)
    return "".join(str(one.text) if isinstance(one, AIMessage) else str(one) for one in outputs)


def _in_event(event: Any) -> Any:
    """Return the piece of the reply that an event of the outermost run, or of v3, carries."""
    if isinstance(event, AIMessage):
        return ""
    if event["event"] == "content-block-delta":
        return event["delta"].get("text", "")
    outermost = event["event"].endswith("_stream") and not event.get("parent_ids")
    chunk = event["data"]["chunk"] if outermost else ""
    return _text([chunk])
