"""What the guard makes of other middleware, of structures, and of many agents at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("langchain")

from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
)
from langchain.agents.structured_output import (
    ProviderStrategy,
    StructuredOutputValidationError,
    ToolStrategy,
)
from langchain_core.messages import AIMessage, AIMessageChunk
from pydantic import BaseModel

from guardrail import UnguardedCall
from guardrail.integrations.langchain import GuardrailMiddleware, guard_runnable

from ..conftest import Mode
from .langchain_agents import ASK, THREAD, Agent, clean
from .langchain_models import BAD, FALLBACK, SAFE, Scripted, cut, guard_for, scripted


class Failing(Scripted):
    """A model that is out of order."""

    def _generate(self, *_: Any, **__: Any) -> Any:
        raise ConnectionError("out of order")

    def _stream(self, *_: Any, **__: Any) -> Any:
        raise ConnectionError("out of order")

    async def _astream(self, *_: Any, **__: Any) -> Any:
        raise ConnectionError("out of order")
        yield


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("safe", [True, False])
def test_a_fallback_is_guarded_in_any_order(last: bool, safe: bool, mode: Mode) -> None:
    """A model that other middleware puts in the place of the guarded one is judged as well."""
    guard = GuardrailMiddleware(guard_for())
    fallback = ModelFallbackMiddleware(scripted(SAFE if safe else BAD))
    agent = Agent(middleware=[fallback, guard] if last else [guard, fallback])
    agent.graph = create_agent(
        Failing(says=[]),
        middleware=[fallback, guard] if last else [guard, fallback],
        checkpointer=agent.saver,
    )

    shown = agent.stream(mode, stream_mode=["messages", "updates"])

    assert clean(shown, agent.watched, agent.kept)
    assert (
        agent.graph.get_state(THREAD)
        .values["messages"][-1]
        .text.endswith(SAFE if safe else FALLBACK)
    )


def test_other_middleware_cannot_speak_unjudged(mode: Mode) -> None:
    """What middleware after the guard makes of a reply is judged in turn."""

    class Changing(AgentMiddleware):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            handler(request)
            return AIMessage(BAD, id="m1")

        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            await handler(request)
            return AIMessage(BAD, id="m1")

    agent = Agent(cut(SAFE), middleware=[GuardrailMiddleware(guard_for()), Changing()])

    message = agent.ask(mode)["messages"][-1]

    assert (message.text, message.id) == (FALLBACK, "m1")
    assert clean(agent.kept, agent.watched)


def test_a_retry_reaches_the_model(mode: Mode) -> None:
    """Middleware that calls the model again gets the guarded one again."""
    tries: list[int] = []

    def says(*_: Any) -> Any:
        tries.append(1)
        return cut(BAD) if len(tries) > 1 else [ConnectionError("once")]

    retry = ModelRetryMiddleware(max_retries=2, initial_delay=0.001, jitter=False)
    agent = Agent(middleware=[GuardrailMiddleware(guard_for()), retry])
    agent.model.says = says

    assert agent.ask(mode)["messages"][-1].text.endswith(FALLBACK)
    assert len(tries) == 2


class Answer(BaseModel):
    """An answer in a structure."""

    text: str


def structured(text: str) -> AIMessageChunk:
    args = json.dumps({"text": text})
    call = {"name": "Answer", "args": args, "id": "call_1", "index": 0}
    return AIMessageChunk("", tool_call_chunks=[call])


STRUCTURES: dict[str, tuple[Any, Callable[[str], Any]]] = {
    "tool": (ToolStrategy(Answer), structured),
    "provider": (ProviderStrategy(Answer), lambda text: json.dumps({"text": text})),
}


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("text", [SAFE, BAD], ids=["safe", "unsafe"])
def test_a_structured_response_is_judged(name: str, text: str, mode: Mode) -> None:
    """A structure is judged even where tool calls are left alone; a refusal has none."""
    strategy, said = STRUCTURES[name]
    guard = GuardrailMiddleware(guard_for(), judge_tool_calls=False)
    agent = Agent([said(text)], middleware=[guard], response_format=strategy)

    state = agent.ask(mode)

    assert state.get("structured_response") == (Answer(text=text) if text is SAFE else None)
    assert clean(state, agent.watched, agent.kept)
    assert text is SAFE or state["messages"][-1].text == FALLBACK


def test_a_refusal_ends_an_agent_that_waits_for_a_structure(mode: Mode) -> None:
    """Where a structure is all that would end an agent, the model is not asked for one for ever."""
    model = Scripted(says=[structured(BAD)])
    guard = GuardrailMiddleware(guard_for())
    agent = create_agent(model, response_format=ToolStrategy(Answer), middleware=[Other(), guard])

    state = agent.invoke(ASK) if mode is Mode.SYNC else asyncio.run(agent.ainvoke(ASK))

    assert state["messages"][-1].text == FALLBACK
    assert state.get("structured_response") is None
    assert len(model.asked) == 1


def test_a_refusal_leaves_other_middleware_its_turn(mode: Mode) -> None:
    """Where the agent ends by itself, what others do after the model is done for a refusal, too."""
    other = Other()

    Agent(cut(BAD), middleware=[other, GuardrailMiddleware(guard_for())]).ask(mode)

    assert other.saw == [FALLBACK]


class Other(AgentMiddleware):
    """Middleware that looks at what the model said."""

    def __init__(self) -> None:
        super().__init__()
        self.saw: list[str] = []

    def after_model(self, state: Any, runtime: Any) -> None:
        self.saw.append(str(state["messages"][-1].text))


def test_a_safe_reply_out_of_structure_is_an_error_as_ever(mode: Mode) -> None:
    """What LangChain raises for a reply that does not parse it goes on raising."""
    agent = Agent([SAFE], response_format=ProviderStrategy(Answer))

    with pytest.raises(StructuredOutputValidationError):
        agent.ask(mode)


def test_agents_on_one_middleware_do_not_mix() -> None:
    """One middleware serves any number of agents at once."""
    guard = GuardrailMiddleware(guard_for(delay=0.002))
    agents = [Agent(cut(f"{n} {BAD if n % 2 else SAFE}"), middleware=[guard]) for n in range(10)]

    async def ask_all() -> list[Any]:
        return await asyncio.gather(*(one.graph.ainvoke(ASK, one.config) for one in agents))

    for n, state in enumerate(asyncio.run(ask_all())):
        text = state["messages"][-1].text
        assert text.endswith(FALLBACK) if n % 2 else text == f"{n} {SAFE}"


def test_what_is_no_chat_model_is_refused(mode: Mode) -> None:
    """Middleware that puts something else in the model's place is told so."""

    class Odd(AgentMiddleware):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            return handler(request.override(model=scripted(SAFE).bind()))

        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            return await handler(request.override(model=scripted(SAFE).bind()))

    with pytest.raises(UnguardedCall):
        Agent(middleware=[Odd(), GuardrailMiddleware(guard_for())]).ask(mode)


def test_a_chain_with_a_memory_is_refused() -> None:
    """Around an agent with a memory there is no guard, for the memory would keep everything."""
    with pytest.raises(UnguardedCall, match="guard the model inside"):
        guard_runnable(Agent(cut(BAD), middleware=[]).graph, guard_for(), output_key="messages")
