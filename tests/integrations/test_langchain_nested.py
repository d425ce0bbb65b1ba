"""Guarded chains with a graph in them, run inside of another graph."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("langchain")

from langchain.agents import create_agent
from langchain_core.runnables import Runnable, RunnableLambda
from langgraph.config import get_store, get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command, interrupt

from guardrail.integrations.langchain import guard_runnable

from ..conftest import Mode
from .langchain_agents import THREAD, Agent, calling, clean
from .langchain_models import BAD, FALLBACK, MARK, SAFE, cut, guard_for, scripted

pytestmark = pytest.mark.filterwarnings("ignore:.* is (in beta|experimental)")
STREAMED = ["values", "updates", "messages", "custom", "tasks", "checkpoints"]


def last_text(state: dict[str, Any]) -> str:
    return str(state["messages"][-1].text)


def inner_agent(text: str) -> Runnable[Any, str]:
    """Return a guarded chain with an agent in it."""
    return guard_runnable(create_agent(scripted(text)) | RunnableLambda(last_text), guard_for())


def in_a_node(chain: Runnable[Any, str], mode: Mode) -> Agent:
    """Return a graph with a memory that runs a chain in a node."""

    def reply(state: MessagesState) -> dict[str, Any]:
        return {"messages": [("ai", chain.invoke(state))]}

    async def areply(state: MessagesState) -> dict[str, Any]:
        return {"messages": [("ai", await chain.ainvoke(state))]}

    agent, graph = Agent(), StateGraph(MessagesState)
    graph.add_node("bot", reply if mode is Mode.SYNC else areply)
    graph.add_edge(START, "bot")
    agent.graph = graph.compile(checkpointer=agent.saver, store=InMemoryStore())
    return agent


class Asking(Agent):
    """A guarded agent whose tool asks another one."""

    def __init__(self, chain: Runnable[Any, str], mode: Mode) -> None:
        self._expert, self._mode = chain, mode
        super().__init__([calling("환불")], cut(SAFE))

    def tool(self) -> Callable[[str], Any]:
        def search(query: str) -> str:
            """Ask an expert."""
            return self._expert.invoke({"messages": [("user", query)]})

        async def asearch(query: str) -> str:
            """Ask an expert."""
            return await self._expert.ainvoke({"messages": [("user", query)]})

        asearch.__name__ = "search"
        return search if self._mode is Mode.SYNC else asearch


PLACES = {"node": in_a_node, "tool": Asking}


@pytest.fixture(params=PLACES)
def outer(request: pytest.FixtureRequest, mode: Mode) -> Callable[[Runnable[Any, str]], Agent]:
    return lambda chain: PLACES[request.param](chain, mode)


def test_a_graph_inside_shows_nothing_around_it(
    outer: Callable[[Runnable[Any, str]], Agent], mode: Mode
) -> None:
    """What an agent in a guarded chain says unjudged is in no stream or memory of another graph."""
    agent = outer(inner_agent(BAD))

    shown = agent.stream(mode, stream_mode=STREAMED, subgraphs=True)

    assert clean(shown, agent.watched, agent.kept)
    assert FALLBACK in repr(shown)


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_a_graph_inside_is_in_no_events(version: str) -> None:
    """Neither version of events shows an inner agent at work."""
    agent = in_a_node(inner_agent(BAD), Mode.ASYNC)

    shown = agent.events(version)

    assert clean(shown, agent.watched, agent.kept)
    assert FALLBACK in repr(shown)


def test_a_step_can_still_pause_the_graph_around_it(mode: Mode) -> None:
    """A step of a guarded chain has the graph's store, and can wait for an answer; it shows none."""

    def step(_: Any) -> str:
        get_stream_writer()(MARK)
        assert get_store() is not None
        return f"{interrupt('계속할까요?')} 했어요."

    agent = in_a_node(guard_runnable(RunnableLambda(step), guard_for()), mode)
    shown = agent.stream(mode, stream_mode=["updates", "custom"])
    resumed = resume(agent, mode, "네")

    assert "계속할까요?" in repr(shown)
    assert clean(shown)
    assert last_text(resumed) == "네 했어요."


def resume(agent: Agent, mode: Mode, answer: str) -> dict[str, Any]:
    if mode is Mode.SYNC:
        return agent.graph.invoke(Command(resume=answer), THREAD)
    return asyncio.run(agent.graph.ainvoke(Command(resume=answer), THREAD))
