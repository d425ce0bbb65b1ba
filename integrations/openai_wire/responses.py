"""The Responses API on the wire: one response is one lane, whatever items it consists of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guardrail.errors import UnguardedCall
from guardrail.integrations.escapes import readable
from guardrail.integrations.openai_wire.calls import Call, Stream, conversation
from guardrail.integrations.openai_wire.events import ResponseStream
from guardrail.integrations.openai_wire.items import (
    blocked_response,
    empty_message,
    known_response,
    refusal_part,
    refuse_lost,
    spoken,
)
from guardrail.integrations.openai_wire.reading import Said
from guardrail.types import Outcome

__all__ = ["ResponsesCall", "read_responses"]


@dataclass(frozen=True, slots=True)
class ResponsesCall(Call):
    """A call of `responses`."""

    def texts(self, reply: Mapping[str, Any]) -> list[str]:
        """Return the text of all items, as one."""
        if not isinstance(reply.get("output"), list):
            raise UnguardedCall("the reply is no response with output, so it cannot be judged")
        refuse_lost(reply)
        parts = [text for _, text in spoken(reply) if text]
        return ["\n".join(map(readable, parts))]

    def answer(self, reply: Mapping[str, Any], outcomes: Sequence[Outcome]) -> dict[str, Any]:
        """Return the response, or the refusal as its only item."""
        known = known_response(reply, self)
        (outcome,) = outcomes
        if not outcome.blocked:
            return known
        return blocked_response(known, [self.message(str(known.get("id", "")), outcome.text)])

    def refusal(self, outcome: Outcome) -> dict[str, Any]:
        """Return a response made here."""
        frame = self.frame()
        usage = dict.fromkeys(("input_tokens", "output_tokens", "total_tokens"), 0)
        details = {
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        }
        message = self.message(frame["id"], outcome.text)
        return {**blocked_response(frame, [message]), "usage": {**usage, **details}}

    def stream(self) -> Stream:
        """Return the state of one streamed response."""
        return ResponseStream(self, self.frame())

    def frame(self) -> dict[str, Any]:
        """Return what stands around the output of a response made here."""
        return {
            "id": "resp_guardrail",
            "object": "response",
            "created_at": self.created,
            "model": self.model,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }

    def message(self, response: str, text: str) -> dict[str, Any]:
        """Return a refusal as an item of a response."""
        part = refusal_part(text, structured=self.structured)
        return {**empty_message(response), "status": "incomplete", "content": [part]}


def read_responses(body: Mapping[str, Any], created: int) -> ResponsesCall:
    """Return the call that a request's body describes."""
    given = body.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    messages = given if isinstance(given, list) else []
    settings = body.get("text")
    kind = settings.get("format") if isinstance(settings, Mapping) else None
    return ResponsesCall(
        asked=conversation(messages, body.get("instructions")),
        model=str(body.get("model", "")),
        streamed=bool(body.get("stream")),
        structured=isinstance(kind, Mapping) and kind.get("type") != "text",
        created=created,
        said=Said(body),
    )
