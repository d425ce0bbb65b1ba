"""Agents with tools and memory, guarded by middleware, watched in every stream mode."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("langchain")

from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver

from guardrail import ClassifierError, Guard
from guardrail.integrations.langchain import GuardrailMiddleware, guard_model
from guardrail.testing import ListHook, StubClassifier

from ..conftest import Mode
from .langchain_agents import ASK, THREAD, Agent, calling, clean, listed
from .langchain_models import (
    BAD,
    FALLBACK,
    MARK,
    POLICY,
    SAFE,
    Scripted,
    Spy,
    by_turn,
    cut,
    guard_for,
    scripted,
)

pytestmark = pytest.mark.filterwarnings("ignore:.* is (in beta|experimental)")
MODES = ["values", "updates", "messages", "custom", "debug", "checkpoints", "tasks"]


def test_an_unguarded_agent_shows_it_everywhere(mode: Mode) -> None:
    """These tests would see a leak: without a guard it is in streams, handlers and memory."""
    agent = Agent(cut(BAD), middleware=[])

    for shown in (agent.stream(mode, stream_mode="updates"), agent.watched, agent.kept):
        assert not clean(shown)


@pytest.mark.parametrize("stream_mode", [*MODES, MODES])
def test_no_stream_mode_shows_unsafe_text(stream_mode: Any, mode: Mode) -> None:
    """Whatever an agent's stream shows, handlers see and memory keeps is judged."""
    agent = Agent([calling("환불")], cut(BAD))

    shown = agent.stream(mode, stream_mode=stream_mode)

    assert clean(shown, agent.watched, agent.kept)
    assert agent.searched == ["환불"]


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_no_events_show_unsafe_text(version: str) -> None:
    """Neither version of events shows more than the state does."""
    agent = Agent([calling("환불")], cut(BAD))

    shown = agent.events(version)

    assert clean(shown, agent.watched, agent.kept)
    assert FALLBACK in repr(shown)


def test_messages_are_streamed_as_they_are_judged(mode: Mode) -> None:
    """The safe beginning of a reply comes in its chunks, the refusal at its end."""
    agent = Agent(cut(BAD))

    shown = [one for one, _ in agent.stream(mode, stream_mode="messages")]

    assert "".join(str(one.text) for one in shown) == f"안녕하세요.{FALLBACK}"
    assert len({one.id for one in shown}) == 1


def test_the_memory_keeps_the_refusal_in_place_of_the_reply(mode: Mode) -> None:
    """The next turn is put to the model with the refusal, not with what it said."""
    agent = Agent(cut(BAD), cut(SAFE))

    first = agent.ask(mode)["messages"]
    second = agent.ask(mode)["messages"]

    assert [one.type for one in second] == ["human", "ai", "human", "ai"]
    assert first[-1].text == FALLBACK
    assert first[-1].response_metadata["finish_reason"] == "content_filter"
    assert second[-1].text == SAFE
    assert clean(agent.model.asked[1:], agent.kept)


def test_an_unsafe_call_is_not_made(mode: Mode) -> None:
    """A tool whose arguments are unsafe is not called; the answer is the refusal."""
    agent = Agent([calling(MARK)])

    state = agent.ask(mode)

    assert agent.searched == []
    assert state["messages"][-1].text == FALLBACK
    assert clean(state, agent.watched, agent.kept)


def test_a_guarded_model_guards_an_agent_too(mode: Mode) -> None:
    """Without middleware, an agent of a guarded model leaks nothing either."""
    inner = Scripted(says=by_turn([calling("환불")], cut(BAD)))
    graph: Any = create_agent(
        guard_model(inner, guard_for()), [Agent().tool()], checkpointer=InMemorySaver()
    )
    spy = Spy()

    config = {**THREAD, "callbacks": [spy]}
    stream = (
        graph.stream
        if mode is Mode.SYNC
        else lambda *a, **k: asyncio.run(listed(graph.astream(*a, **k)))
    )
    shown = list(stream(ASK, config, stream_mode=["messages", "updates"]))

    assert clean(shown, spy.saw, list(graph.get_state_history(THREAD)))
    assert FALLBACK in repr(shown[-1])


def test_a_guarded_model_is_not_judged_twice(mode: Mode) -> None:
    """Middleware takes a model that its own guard guards already as it is."""
    hook = ListHook()
    guard = Guard(StubClassifier(MARK), POLICY, hooks=[hook])
    graph: Any = create_agent(
        guard_model(scripted(SAFE), guard), middleware=[GuardrailMiddleware(guard)]
    )

    graph.invoke(ASK) if mode is Mode.SYNC else asyncio.run(graph.ainvoke(ASK))

    assert len(hook.records) == 1


def test_a_classifier_that_fails_blocks(mode: Mode) -> None:
    """Without a verdict an agent says nothing but the refusal."""
    guard = Guard(StubClassifier(error=ClassifierError("down")), POLICY)
    agent = Agent(cut(SAFE), middleware=[GuardrailMiddleware(guard)])

    shown = agent.stream(mode, stream_mode=["messages", "values"])

    assert "영업일" not in repr(shown) + agent.watched + agent.kept
