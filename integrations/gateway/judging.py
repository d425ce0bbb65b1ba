"""The endpoints that judge what they are given, and forward nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag
from starlette.responses import Response

from guardrail.errors import ClassifierTimeout
from guardrail.guard import Guard
from guardrail.integrations.gateway.bodies import JsonRoute
from guardrail.integrations.gateway.faults import Fault, json_response
from guardrail.integrations.gateway.moderations import result_of
from guardrail.types import (
    Action,
    Category,
    Conversation,
    Outcome,
    Role,
    Stage,
    Turn,
    exchange,
    question,
)

__all__ = [
    "Check",
    "Checks",
    "Judged",
    "JudgedMany",
    "ModerationRequest",
    "ModerationResponse",
    "ModerationResult",
    "judging",
]

_MOST = 1024  # texts in one request
_ONE, _MANY, _PARTS = "(one)", "(many)", "(parts)"  # alternatives; no names of fields


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Role
    content: str


class Check(BaseModel):
    """One turn to judge: the assistant's reply, or without one what the user said."""

    model_config = ConfigDict(extra="forbid")

    user: str = ""
    assistant: str | None = None
    history: list[_Said] = Field(default_factory=list, max_length=_MOST)

    def conversation(self) -> Conversation:
        """Return the conversation that ends in the turn to judge."""
        turns = [Turn(one.role, one.content) for one in self.history]
        if self.assistant is None:
            return question(self.user, turns)
        return exchange(self.user, self.assistant, turns)


class Checks(BaseModel):
    """Many turns, judged in one batch."""

    model_config = ConfigDict(extra="forbid")

    checks: Annotated[list[Check], Field(min_length=1, max_length=_MOST)]


def _kind_of_check(given: object) -> str:
    return _MANY if isinstance(given, Mapping) and "checks" in given else _ONE


_Asked = Annotated[
    Annotated[Check, Tag(_ONE)] | Annotated[Checks, Tag(_MANY)],
    Discriminator(_kind_of_check),
]


class Judged(BaseModel):
    """What was found about a turn, and what is to be shown in its place."""

    action: Action
    text: str
    stage: Stage
    unsafe: bool | None
    score: float | None
    category: Category | None
    categories: dict[Category, float]
    classifier: str | None
    degraded: bool
    error: str | None


class JudgedMany(BaseModel):
    """The outcomes, in the order of the checks."""

    outcomes: list[Judged]


class _Part(BaseModel):
    type: str
    text: str | None = None


def _kind_of_input(given: object) -> str:
    """Return which kind of input is meant, so that an error is about that one."""
    if not isinstance(given, list):
        return _ONE
    return _PARTS if given and isinstance(given[0], Mapping) else _MANY


class ModerationRequest(BaseModel):
    """What OpenAI's `moderations` takes; of several parts, only text can be judged."""

    input: Annotated[
        Annotated[str, Tag(_ONE)]
        | Annotated[list[str], Field(min_length=1, max_length=_MOST), Tag(_MANY)]
        | Annotated[list[_Part], Field(min_length=1, max_length=_MOST), Tag(_PARTS)],
        Discriminator(_kind_of_input),
    ]
    model: str | None = None


class ModerationResult(BaseModel):
    """The verdict on one text; O1 to O6 are KoSafeGuard's own categories."""

    model_config = ConfigDict(extra="allow")

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[str]]


class ModerationResponse(BaseModel):
    """What OpenAI's `moderations` gives."""

    id: str
    model: str
    results: list[ModerationResult]


def judging(guard: Guard) -> APIRouter:
    """Return the endpoints that judge with a guard."""
    router = APIRouter(route_class=JsonRoute)

    @router.post("/v1/guard/check", response_model=Judged | JudgedMany)
    async def check(asked: Annotated[_Asked, Body()]) -> Response:
        """Judge one turn, or many in one batch; nothing is forwarded."""
        if isinstance(asked, Check):
            (outcome,) = await guard.areview([asked.conversation()])
            return json_response(_judged(outcome))
        outcomes = await guard.areview([one.conversation() for one in asked.checks])
        return json_response({"outcomes": [_judged(one) for one in outcomes]})

    @router.post("/v1/moderations", response_model=ModerationResponse)
    async def moderations(asked: ModerationRequest) -> Response:
        """Judge texts, and answer as OpenAI's endpoint does; they are judged as replies."""
        outcomes = await guard.areview([exchange("", text) for text in _texts(asked)])
        return json_response(_moderated(outcomes, guard.classifier.name))

    return router


def _judged(outcome: Outcome) -> dict[str, Any]:
    verdict = outcome.verdict
    return {
        "action": outcome.action,
        "text": outcome.text,
        "stage": outcome.stage,
        "unsafe": verdict.unsafe if verdict else None,
        "score": verdict.score if verdict else None,
        "category": outcome.category,
        "categories": dict(verdict.categories) if verdict else {},
        "classifier": verdict.classifier if verdict else None,
        "degraded": outcome.degraded,
        "error": type(outcome.error).__name__ if outcome.error else None,
    }


def _texts(asked: ModerationRequest) -> list[str]:
    """Return the texts to judge; parts make up one.

    Raises:
        Fault: a part is no text.
    """
    if isinstance(asked.input, str):
        return [asked.input]
    texts = [one for one in asked.input if isinstance(one, str)]
    if texts:
        return texts
    return ["\n".join(_text(part) for part in asked.input if isinstance(part, _Part))]


def _text(part: _Part) -> str:
    if part.type != "text" or part.text is None:
        message = f"a part of type {part.type!r} cannot be judged, only text can"
        raise Fault(400, message, code="unsupported_input", param="input")
    return part.text


def _moderated(outcomes: Sequence[Outcome], classifier: str) -> dict[str, Any]:
    results = [_result(outcome) for outcome in outcomes]
    named = next((one.verdict.classifier for one in outcomes if one.verdict), "")
    return {"id": f"modr-{uuid4().hex}", "model": named or classifier, "results": results}


def _result(outcome: Outcome) -> dict[str, Any]:
    """Return the result for one text.

    Raises:
        Fault: there is no verdict, whatever the policy makes of that.
    """
    if outcome.verdict is not None:
        return result_of(outcome, outcome.verdict)
    if isinstance(outcome.error, ClassifierTimeout):
        raise Fault(504, "the text could not be judged in time", code="classifier_timeout")
    raise Fault(503, "the text could not be judged", code="classifier_unavailable")
