"""The `moderation` field of a request: verdicts come with the reply, and can be made to count.

OpenAI's own service reads it; here the gateway does, and the upstream never sees it. It can make
the policy stricter, never laxer: `block` enforces, and `score` only asks to be told.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from guardrail.integrations.gateway.faults import Fault
from guardrail.integrations.gateway.moderations import result_of
from guardrail.integrations.gateway.upstream import Asked
from guardrail.integrations.gateway.watching import Watch
from guardrail.integrations.openai_wire import Call
from guardrail.integrations.openai_wire.sse import DONE, Decoder, ServerEvent, encode, to_bytes, to_json
from guardrail.policy import Mode, Policy
from guardrail.types import Outcome, Stage

__all__ = ["Moderated", "read_moderated"]

_ENDS = ("response.completed", "response.incomplete", "response.failed")


class _Side(BaseModel):
    mode: Literal["score", "block"] = "score"


class _Sides(BaseModel):
    input: _Side | None = None
    output: _Side | None = None


class _Field(BaseModel):
    model: str = ""
    policy: _Sides | None = None


def read_moderated(asked: Asked) -> tuple[Asked, Moderated]:
    """Return a request without the field, and what the field asks for.

    Raises:
        Fault: the field is not as the API has it.
    """
    chat = asked.path.endswith("chat/completions")
    if b'"moderation"' not in asked.body:
        return asked, Moderated(None, chat)
    body = json.loads(asked.body)
    given = body.pop("moderation", None)
    if given is None:
        return asked, Moderated(None, chat)
    try:
        field = _Field.model_validate(given)
    except ValidationError as error:
        message = f"'moderation' is not as it should be: {error.errors()[0]['msg']}"
        raise Fault(400, message, code=None, param="moderation") from None
    return replace(asked, body=to_bytes(to_json(body))), Moderated(field, chat)


@dataclass(slots=True)
class Moderated:
    """What one request asks to be told.

    Args:
        field: as it came; None if it asks for nothing.
        chat: whether it is about a chat completion.
    """

    field: _Field | None
    chat: bool
    _input: Mapping[str, Any] | None = None

    def policy(self, policy: Policy) -> Policy:
        """Return the policy for this request."""
        sides = _Sides() if self.field is None else self.field.policy or _Sides()
        update: dict[str, Any] = {}
        if self._blocks(sides.input):
            update = {"check_input": True, "mode": Mode.ENFORCE}
        if self._blocks(sides.output):
            update["mode"] = Mode.ENFORCE
        return policy.model_copy(update=update) if update else policy

    def _blocks(self, side: _Side | None) -> bool:
        return side is not None and side.mode == "block"

    async def judge_input(self, call: Call, watch: Watch) -> None:
        """Judge what the user said, for the record, unless the policy has had it judged."""
        if self.field is None:
            return
        if not any(one.stage is Stage.INPUT for one in watch.decisions):
            await watch.guard.areview([call.asked])
        self._input = self._side([watch.decisions[-1]])
        watch.decisions.clear()

    def reply(self, body: bytes, watch: Watch) -> bytes:
        """Return a whole reply, with what was asked for."""
        if self.field is None:
            return body
        reply = json.loads(body)
        return to_bytes(to_json({**reply, "moderation": self._found(watch.replies)}))

    async def events(
        self, first: bytes, events: AsyncIterator[bytes], watch: Watch
    ) -> AsyncIterator[bytes]:
        """Yield the events of a stream, with what was asked for near the end."""
        last = first
        if first:
            yield self._event(first, watch)
        async for last in events:
            yield self._event(last, watch)

    def _event(self, event: bytes, watch: Watch) -> bytes:
        if self.field is None:
            return event
        (one,) = Decoder().feed(event) or (ServerEvent(None, "{}"),)
        outcomes = list(watch.outcomes.values())
        if self.chat and one.is_done:
            return self._chunk(outcomes) + event
        if not self.chat and one.name in _ENDS:
            data = one.json()
            data["response"]["moderation"] = self._found(outcomes or watch.replies[-1:])
            return encode(ServerEvent(one.name, to_json(data)))
        return event

    def _chunk(self, outcomes: Sequence[Outcome]) -> bytes:
        chunk = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": ""}
        return encode(
            ServerEvent(
                None, to_json({**chunk, "choices": [], "moderation": self._found(outcomes)})
            )
        )

    def _found(self, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        return {"input": self._input, "output": self._side(outcomes)}

    def _side(self, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        """Return the verdicts on one side as the API has them; of a chat, one for each choice."""
        results = [_result(outcome) for outcome in outcomes]
        failed = next((one for one in results if one["type"] == "error"), None)
        if failed or not results:
            return failed or _error("nothing was judged")
        if not self.chat:
            return results[0]
        return {
            "type": "moderation_results",
            "model": results[0]["model"],
            "results": results,
        }


def _result(outcome: Outcome) -> dict[str, Any]:
    if outcome.verdict is None:
        return _error("the text could not be judged")
    verdict = outcome.verdict
    kind = {"type": "moderation_result", "model": verdict.classifier}
    return {**kind, **result_of(outcome, verdict)}


def _error(message: str) -> dict[str, Any]:
    return {"type": "error", "code": "classifier_unavailable", "message": message}
