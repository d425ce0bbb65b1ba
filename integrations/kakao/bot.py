"""From a request to a response that the guard has passed."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from guardrail.guard import Guard
from guardrail.integrations.kakao.request import SkillRequest
from guardrail.integrations.kakao.template import Answer, answer_of, said
from guardrail.types import Outcome
from guardrail.workers import Workers

__all__ = ["Bot", "Handler", "Response"]

_logger = logging.getLogger("guardrail")

Handler: TypeAlias = Callable[[SkillRequest], Any]
Response: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Bot:
    """A handler and the guard over it.

    Args:
        handler: takes a request and returns a reply.
        guard: judges.
        sorry: sent where there is no reply to judge.
        workers: run a handler that is no coroutine function.
    """

    handler: Handler
    guard: Guard
    sorry: Response
    workers: Workers = field(default_factory=lambda: Workers(name="kakao"))

    async def respond(self, request: SkillRequest) -> Response:
        """Return what to send: the handler's reply, a refusal, or an apology where it failed."""
        try:
            return await self._judged(request)
        except Exception:
            _logger.exception("a KakaoTalk skill has no reply")
            return self.sorry

    async def _judged(self, request: SkillRequest) -> Response:
        answers: list[Answer] = []

        async def reply() -> str:
            answers.append(answer_of(await self._handled(request)))
            return answers[0].whole

        outcome = await self.guard.aanswer(request.utterance, reply)
        if not outcome.blocked:
            parts = await self._judge_parts(request, answers[0])
            outcome = next((one for one in parts if one.blocked), outcome)
        if outcome.blocked:
            return said(outcome.text)
        return answers[0].response if answers[0].says_something else self.sorry

    async def _judge_parts(self, request: SkillRequest, answer: Answer) -> list[Outcome]:
        exchanges = [(request.utterance, part) for part in answer.parts]
        return await self.guard.acheck_many(exchanges) if exchanges else []

    async def _handled(self, request: SkillRequest) -> Any:
        if inspect.iscoroutinefunction(self.handler):
            return await self.handler(request)
        reply = await asyncio.wrap_future(self.workers.submit(self.handler, request))
        return await reply if inspect.isawaitable(reply) else reply
