"""Guards the replies of agents."""
# ruff: noqa: A002 - `input` is LangChain's name for it

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context, copy_context
from typing import Any, TypeAlias

from langchain.agents.middleware import (
    AgentMiddleware,
    AgentState,
    ModelRequest,
    ModelResponse,
    hook_config,
)
from langchain.agents.structured_output import StructuredOutputError
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from pydantic import PrivateAttr

from guardrail.errors import GuardrailError, UnguardedCall
from guardrail.guard import Guard
from guardrail.integrations.failures import passable, words_of
from guardrail.integrations.langchain.conversation import asked
from guardrail.integrations.langchain.dark import go_dark
from guardrail.integrations.langchain.model import GuardedChatModel
from guardrail.integrations.langchain.passage import Passage, Piece, agated, gated
from guardrail.integrations.langchain.refusal import final, is_final, is_refusal
from guardrail.types import Conversation, Outcome

__all__ = ["GuardrailMiddleware"]

_Request: TypeAlias = ModelRequest[Any]
_Response: TypeAlias = ModelResponse[Any]


class GuardrailMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Guards what an agent's model says, whole and streamed, before it enters the agent's state.

    Put it last in the list: then it is the innermost, and handlers see the model calls of other
    middleware. Where another one comes after it and calls a model of its own choice, a fallback,
    say, no handler but that model's own sees it at work; its reply is judged whole, then shown.

    A refusal ends an agent that was to answer in a structure: there is no `structured_response`
    then, and no `after_model` of middleware before this one runs.

    Tools speak for themselves: a model that a tool calls is guarded by `guard_model`, and a tool
    with `return_direct` by `Guard.protect`.

    Args:
        guard: judges, and decides what the user gets.
        judge_tool_calls: judge the arguments of tool calls too; those of a structured response
            are in any case.
    """

    def __init__(self, guard: Guard, *, judge_tool_calls: bool = True) -> None:
        super().__init__()
        self.tools = []
        self._guard = guard
        self._judge_tool_calls = judge_tool_calls

    def wrap_model_call(
        self, request: _Request, handler: Callable[[_Request], _Response]
    ) -> _Response:
        """Have the agent's model called with a guard around it."""
        call = _Call(self._model(request))
        try:
            call.ended(_darkness().run(handler, request.override(model=call.model)))
        except Exception as error:
            call.failed(error)
        turns = asked(request.messages)
        if call.unjudged:
            passage, take = call.passage()
            call.judged(dict(gated(self._guard, turns, call.said(), take, passage, None)))
        return call.response(self._guard.review(call.words(turns)))

    async def awrap_model_call(
        self, request: _Request, handler: Callable[[_Request], Awaitable[_Response]]
    ) -> _Response:
        """Do what `wrap_model_call` does, without blocking the event loop."""
        call = _Call(self._model(request))
        reply = _awaited(handler, request.override(model=call.model))
        try:
            call.ended(await asyncio.create_task(reply, context=_darkness()))
        except Exception as error:
            call.failed(error)
        turns = asked(request.messages)
        if call.unjudged:
            passage, take = call.passage()
            replies = agated(self._guard, turns, call.asaid(), take, passage, None)
            call.judged({place: reply async for place, reply in replies})
        return call.response(await self._guard.areview(call.words(turns)))

    @hook_config(can_jump_to=["end"])
    def after_model(self, state: AgentState[Any], runtime: Any) -> dict[str, Any] | None:
        """End an agent that would go on asking for a structure in place of a refusal."""
        return {"jump_to": "end"} if any(map(is_final, state["messages"][-1:])) else None

    def _model(self, request: _Request) -> _AgentModel:
        """Return the guarded form of the model that the agent would call."""
        model = request.model
        if not isinstance(model, BaseChatModel):
            raise UnguardedCall(f"a {type(model).__name__} is no chat model, so it is not guarded")
        if isinstance(model, GuardedChatModel) and model.guard is self._guard:
            model = model.inner
        structured = request.response_format is not None
        return _AgentModel(
            inner=model,
            guard=self._guard,
            judge_tool_calls=self._judge_tool_calls or structured,
            hold_streams=structured,
        )


class _AgentModel(GuardedChatModel):
    """The guarded model of one model call; handlers see it, though it is called in the dark."""

    _light: Context = PrivateAttr(default_factory=copy_context)
    _passed: list[BaseMessage | Exception] = PrivateAttr(default_factory=list)

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Return a reply, and remember that it is judged."""
        light, call = self._light.copy(), super().invoke
        with self._remembering():
            reply = light.run(lambda: call(input, _lit(config), **kwargs))
        self._passed.append(reply)
        return reply

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Do what `invoke` does, without blocking the event loop."""
        light = self._light.copy()
        call = super().ainvoke(input, light.run(_lit, config), **kwargs)
        with self._remembering():
            reply = await asyncio.create_task(call, context=light)
        self._passed.append(reply)
        return reply

    def knows(self, what: BaseMessage | Exception) -> bool:
        """Whether this is a reply or an error of this model, and so is judged."""
        return any(what is one for one in self._passed)

    @contextmanager
    def _remembering(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._passed.append(error)
            raise


class _Call:
    """What becomes of one model call of an agent."""

    def __init__(self, model: _AgentModel) -> None:
        self.model = model
        self.unjudged: list[AIMessage] = []
        self._response: _Response = ModelResponse(result=[])
        self._error: Exception | None = None

    def ended(self, response: _Response) -> None:
        """Take note of what the agent makes of the model's reply, or of another model's."""
        self._response = response
        said = [one for one in response.result if isinstance(one, AIMessage)]
        self.unjudged = [one for one in said if not self.model.knows(one)]

    def failed(self, error: Exception) -> None:
        """Take note that there is no reply, or none in the structure it should be in."""
        self._error = error
        if isinstance(error, StructuredOutputError):
            self.ended(ModelResponse(result=[error.ai_message]))

    def words(self, asked: Conversation) -> list[Conversation]:
        """Return what is to be judged of how the call failed."""
        error, known = self._error, (StructuredOutputError, GuardrailError)
        if error is None or isinstance(error, known) or self.model.knows(error):
            return []
        return words_of(error, asked)

    def judged(self, replies: Mapping[int, AIMessage]) -> None:
        """Put what has come out of the guard in the place of what was not judged."""
        names = {id(one): replies[place] for place, one in enumerate(self.unjudged)}
        self._response.result = [names.get(id(one), one) for one in self._response.result]

    def response(self, outcomes: list[Outcome]) -> _Response:
        """Return the model's response; of one with a refusal in it, nothing but what it says.

        Args:
            outcomes: of the words that the call failed in.

        Raises:
            StructuredOutputError: the reply is safe, and not in the structure it should be in.
            Exception: whatever else the call failed with, if its words passed.
            UnguardedCall: they did not.
        """
        said = [one for one in self._response.result if isinstance(one, AIMessage)]
        if any(map(is_refusal, said)):
            return ModelResponse(result=[self._ending(one) for one in said])
        if self._error is not None:
            raise passable(self._error, outcomes)
        return self._response

    def _ending(self, message: AIMessage) -> AIMessage:
        return final(message) if self.model.hold_streams and is_refusal(message) else message

    def passage(self) -> tuple[Passage, Callable[[tuple[int, AIMessage]], Iterator[Piece]]]:
        """Return a passage for what is not judged, and what takes it in."""
        passage = Passage(_itself, AIMessage, judge_calls=self.model.judge_tool_calls)
        return passage, lambda one: passage.take(one[1], one[1], _itself, choice=one[0])

    def said(self) -> Generator[tuple[int, AIMessage], None, None]:
        """Yield what is not judged, numbered."""
        yield from enumerate(self.unjudged)

    async def asaid(self) -> AsyncGenerator[tuple[int, AIMessage], None]:
        """Do what `said` does, for `async for`."""
        for one in self.said():
            yield one


def _itself(message: AIMessage, _: object) -> AIMessage:
    return message


def _lit(config: RunnableConfig | None) -> RunnableConfig:
    """Return a configuration, made in the dark, with the handlers that watch here."""
    return merge_configs({}, config)


def _darkness() -> Context:
    context = copy_context()
    context.run(go_dark)
    return context


async def _awaited(
    handler: Callable[[_Request], Awaitable[_Response]], request: _Request
) -> _Response:
    return await handler(request)
