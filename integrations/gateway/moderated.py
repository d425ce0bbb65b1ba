"""The `moderation` field of a request: verdicts come with the reply, and can be made to count.

OpenAI's own service reads it; here the gateway does, and the upstream never sees it. It can make
the policy stricter, never laxer: `block` enforces, and `score` only asks to be told.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from guardrail.integrations.gateway.faults import Fault
from guardrail.integrations.gateway.moderations import result_of
from guardrail.integrations.gateway.watching import Watch
from guardrail.integrations.openai_wire import Call
from guardrail.integrations.openai_wire.sse import (
    Decoder,
    ServerEvent,
    encode,
    to_bytes,
    to_json,
)
from guardrail.policy import Mode, Policy
from guardrail.types import Outcome, Stage

__all__ = ["Moderated", "read_moderated"]

_FRAME = ("id", "object", "created", "model")
_ENDS = ("response.completed", "response.incomplete", "response.failed")


class _Side(BaseModel):
    mode: Literal["score", "block"] = "score"


class _Sides(BaseModel):
    input: _Side | None = None
    output: _Side | None = None


class _Field(BaseModel):
    model: str = ""
    policy: _Sides | None = None


def read_moderated(path: str, body: bytes) -> tuple[bytes, Moderated]:
    """Return a request's body without the field, and what the field asks for.

    Raises:
        Fault: the field is not as the API has it.
    """
    chat = path.endswith("chat/completions")
    if b'"moderation"' not in body:
        return body, Moderated(None, chat)
    request = json.loads(body)
    given = request.pop("moderation", None)
    if given is None:
        return body, Moderated(None, chat)
    try:
        wanted = _Field.model_validate(given)
    except ValidationError as error:
        message = f"'moderation' is not as it should be: {error.errors()[0]['msg']}"
        raise Fault(400, message, code=None, param="moderation") from None
    return to_bytes(to_json(request)), Moderated(wanted, chat)


@dataclass(slots=True)
class Moderated:
    """What one request asks to be told.

    Args:
        wanted: the field as it came; None if it asks for nothing.
        chat: whether it is about a chat completion.
    """

    wanted: _Field | None
    chat: bool
    _input: Mapping[str, Any] | None = None
    _frame: Mapping[str, Any] = field(default_factory=dict)  # of the chunks of a stream

    def policy(self, policy: Policy) -> Policy:
        """Return the policy for this request."""
        sides = _Sides() if self.wanted is None else self.wanted.policy or _Sides()
        update: dict[str, Any] = {}
        if self._blocks(sides.input):
            update = {"check_input": True, "mode": Mode.ENFORCE}
        if self._blocks(sides.output):
            update["mode"] = Mode.ENFORCE
        return policy.model_copy(update=update) if update else policy

    def _blocks(self, side: _Side | None) -> bool:
        return side is not None and side.mode == "block"

    async def judge_input(self, call: Call, watch: Watch) -> None:
        """Judge what the user said, to tell of it only, unless the policy has had it judged."""
        if self.wanted is None:
            return
        judged = [one for one in watch.decisions if one.stage is Stage.INPUT]
        if not judged:
            policy = watch.guard.policy.model_copy(update={"mode": Mode.MONITOR})
            judged = await Watch(watch.guard, policy).guard.areview([call.asked])
        self._input = self._side(judged[-1:])

    def refused(self, body: bytes, outcome: Outcome, *, streamed: bool) -> bytes:
        """Return the body of a refused call, with what was asked for."""
        if self.wanted is None:
            return body
        self._input = self._side([outcome])
        if not streamed:
            return self._whole(body, [])
        return b"".join(self._event(one, []) for one in Decoder().feed(body))

    def reply(self, body: bytes, watch: Watch) -> bytes:
        """Return a whole reply, with what was asked for."""
        return body if self.wanted is None else self._whole(body, watch.replies)

    def events(self, events: AsyncIterator[bytes], watch: Watch) -> AsyncIterator[bytes]:
        """Return the events of a stream, with what was asked for near the end."""
        return events if self.wanted is None else self._told(events, watch)

    async def _told(self, events: AsyncIterator[bytes], watch: Watch) -> AsyncIterator[bytes]:
        async for event in events:
            yield self._events(event, watch)

    def _whole(self, body: bytes, outcomes: Sequence[Outcome]) -> bytes:
        return to_bytes(to_json({**json.loads(body), "moderation": self._found(outcomes)}))

    def _events(self, raw: bytes, watch: Watch) -> bytes:
        outcomes = list(watch.outcomes.values()) or watch.replies[-1:]
        return b"".join(self._event(one, outcomes) for one in Decoder().feed(raw))

    def _event(self, event: ServerEvent, outcomes: Sequence[Outcome]) -> bytes:
        raw, data = encode(event), event.json()
        if self.chat and event.is_done:
            chunk = {**self._frame, "choices": [], "moderation": self._found(outcomes)}
            return encode(ServerEvent(None, to_json(chunk))) + raw
        if self.chat:
            self._frame = {name: data[name] for name in _FRAME if name in data} or self._frame
        elif data.get("type") in _ENDS:
            data["response"]["moderation"] = self._found(outcomes)
            return encode(ServerEvent(event.name, to_json(data)))
        return raw

    def _found(self, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        return {"input": self._input, "output": self._side(outcomes)}

    def _side(self, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        """Return the verdicts on one side as the API has them; of a chat, one for each choice."""
        results = [_result(outcome) for outcome in outcomes]
        failed = next((one for one in results if one["type"] == "error"), None)
        if failed or not results:
            return failed or _error("not_judged", "nothing was judged")
        if not self.chat:
            return results[0]
        return {
            "type": "moderation_results",
            "model": results[0]["model"],
            "results": results,
        }


def _result(outcome: Outcome) -> dict[str, Any]:
    if outcome.verdict is None:
        return _error("classifier_unavailable", "the text could not be judged")
    verdict = outcome.verdict
    kind = {"type": "moderation_result", "model": verdict.classifier}
    return {**kind, **result_of(outcome, verdict)}


def _error(code: str, message: str) -> dict[str, Any]:
    return {"type": "error", "code": code, "message": message}
