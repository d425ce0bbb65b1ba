"""The playground's talk: one reply through the guard, and what was decided about it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from guardrail.audit import AuditRecord
from guardrail.errors import GuardrailError
from guardrail.guard import Guard
from guardrail.integrations.gateway.faults import Fault, translating
from guardrail.integrations.gateway.page.bot import ScriptedBytes, line_for
from guardrail.integrations.gateway.page.heard import Heard, said_in
from guardrail.integrations.gateway.page.originals import Originals
from guardrail.integrations.gateway.upstream import Asked, Upstream
from guardrail.integrations.gateway.watching import Watch
from guardrail.integrations.openai_wire import (
    AsyncBytes,
    GuardedAsyncBytes,
    afailed,
    arefusal,
    read_call,
)
from guardrail.integrations.openai_wire.reading import load
from guardrail.integrations.openai_wire.sse import Decoder, to_bytes, to_json
from guardrail.types import Outcome, Role

__all__ = ["Talk", "TalkRequest"]

_logger = logging.getLogger("guardrail")
_PATH = "chat/completions"
_Event = dict[str, Any]


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Role
    content: str


class TalkRequest(BaseModel):
    """What is said to the model or the bot.

    Args:
        source: who answers.
        messages: the conversation; the last one is the user's.
        model: its name, for the upstream.
        key: for the upstream, where the gateway has none of its own.
        reply: what the bot is to say; its script's line unless given.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    source: Literal["upstream", "bot"]
    messages: list[_Said] = Field(min_length=1, max_length=200)
    model: str = Field("", max_length=200)
    key: SecretStr | None = None
    reply: str | None = Field(None, max_length=20_000)

    def body(self) -> bytes:
        """Return the body of the call that goes upstream."""
        messages = [{"role": one.role, "content": one.content} for one in self.messages]
        return to_bytes(to_json({"model": self.model, "messages": messages, "stream": True}))

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers of that call."""
        kind = (b"content-type", b"application/json")
        key = self.key.get_secret_value() if self.key else ""
        if not key.isascii() or not key.isprintable():
            raise Fault(400, "a key is printable ASCII", code="bad_key", param="key")
        return [kind, (b"authorization", f"Bearer {key}".encode())] if key else [kind]


@dataclass(slots=True)
class _Taken:
    """When things happened, and what was recorded."""

    began: float = field(default_factory=time.perf_counter)
    first: float | None = None
    records: list[AuditRecord] = field(default_factory=list)

    def text(self, text: str) -> _Event:
        """Return the event for text that is shown."""
        if self.first is None:
            self.first = time.perf_counter() - self.began
        return {"type": "text", "text": text}


class Talk:
    """Has things said, and tells as lines of JSON what comes through the guard.

    Args:
        guard: judges, as it does for everybody.
        upstream: answers.
        originals: hold what was replaced, for whoever asks for it.
    """

    def __init__(
        self, guard: Guard, upstream: Callable[[], Upstream], originals: Originals
    ) -> None:
        self._guard = guard
        self._upstream = upstream
        self._originals = originals

    async def lines(self, asked: TalkRequest) -> AsyncIterator[bytes]:
        """Yield one event a line: text as it is shown, then how it ended."""
        try:
            async for event in self._events(asked):
                yield _line(event)
        except Fault as fault:
            yield _line({**fault.error, "type": "error"})
        except GuardrailError as error:
            yield _line({"type": "error", "message": str(error), "code": type(error).__name__})
        except Exception:
            _logger.exception("the playground failed")
            message, code = "the gateway failed", "gateway_failed"
            yield _line({"type": "error", "message": message, "code": code})

    async def _events(self, asked: TalkRequest) -> AsyncIterator[_Event]:
        taken = _Taken()
        watch = Watch(self._guard.with_hooks(taken.records.append))
        call = read_call("POST", _PATH, asked.body)
        assert call is not None, "a chat completion carries a reply"
        if (refusal := await arefusal(call, watch.guard)) is not None:
            yield taken.text(refusal.text)
            yield self._end(watch, taken, refusal, "")
            return
        async with self._source(asked, watch.guard) as source:
            heard = Heard(source)
            async for text in _shown(watch.guarded(call, heard)):
                if text:
                    yield taken.text(text)
        yield self._end(watch, taken, _last(watch), heard.text)

    @asynccontextmanager
    async def _source(self, asked: TalkRequest, guard: Guard) -> AsyncIterator[AsyncBytes]:
        if asked.source == "bot":
            said = asked.messages[-1].content
            yield ScriptedBytes(line_for(said) if asked.reply is None else asked.reply)
            return
        request = Asked("POST", _PATH, "", asked.headers(), asked.body())
        async with self._upstream().answering(request) as answer:
            if not answer.is_success:
                status, raw = answer.status_code, await answer.aread()
                raise _failed(status, await afailed(status, raw, guard))
            if answer.is_stream:
                yield answer
            else:  # came whole although a stream was asked for
                yield ScriptedBytes(said_in(load(await answer.aread())), pause=0.0)

    def _end(self, watch: Watch, taken: _Taken, outcome: Outcome | None, said: str) -> _Event:
        """Return how it ended; what was replaced is left behind under a name."""
        blocked = outcome is not None and outcome.blocked
        record = taken.records[-1] if taken.records else None
        return {
            "type": "end",
            "original": self._originals.put(said) if blocked and said else None,
            "total": time.perf_counter() - taken.began,
            "first": taken.first,
            "judging": sum(one.seconds for one in taken.records),
            "held": watch.meter.held,
            "checks": [_check(one) for one in watch.decisions if one.verdict],
            "record": record.id if record else None,
            **(_told(outcome) if outcome else {}),
        }


async def _shown(guarded: GuardedAsyncBytes) -> AsyncIterator[str]:
    """Yield the text that comes through the guard."""
    decoder = Decoder()
    try:
        with translating():
            async for chunk in guarded:
                for event in decoder.feed(chunk):
                    yield _text_of(event.json())
    finally:
        await guarded.aclose()


def _text_of(data: Mapping[str, Any]) -> str:
    if error := data.get("error"):
        raise _failed(None, to_bytes(to_json({"error": error})))
    return said_in(data)


def _last(watch: Watch) -> Outcome | None:
    """Return what was decided in the end."""
    ended = next(iter(watch.outcomes.values()), None)
    return ended or next(reversed(watch.decisions), None)


def _told(outcome: Outcome) -> _Event:
    verdict = outcome.verdict
    return {
        "action": outcome.action,
        "stage": outcome.stage,
        "category": outcome.category,
        "score": verdict.score if verdict else None,
        "categories": dict(verdict.categories) if verdict else {},
        "classifier": verdict.classifier if verdict else None,
        "degraded": outcome.degraded,
        "shown": outcome.shown,
        "error": type(outcome.error).__name__ if outcome.error else None,
    }


def _check(outcome: Outcome) -> _Event:
    verdict = outcome.verdict
    assert verdict is not None, "only decisions with a verdict are told"
    return {
        "score": verdict.score,
        "categories": dict(verdict.categories),
        "action": outcome.action,
        "characters": None if outcome.blocked else len(outcome.text),
    }


def _failed(status: int | None, body: bytes) -> Fault:
    """Return an upstream's error, in its own words; nothing of it is a reply."""
    try:
        said = str(json.loads(body)["error"]["message"])
    except (KeyError, TypeError, ValueError):
        said = ""
    told = " ".join(one for one in (str(status or ""), said) if one)
    return Fault(502, told or "–", code="upstream_error")


def _line(event: _Event) -> bytes:
    return to_bytes(to_json(event)) + b"\n"
