"""What exceptions tell of replies that nobody passed."""

from __future__ import annotations

import asyncio
import json
import traceback
from typing import Any

import pytest

pytest.importorskip("langchain_core")

from langchain.agents.middleware import AgentMiddleware
from langchain_core.output_parsers import JsonOutputParser, StrOutputParser
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel, ValidationError

from guardrail import UnguardedCall
from guardrail.integrations.failures import words_of
from guardrail.integrations.langchain import GuardrailMiddleware, guard_model, guard_runnable
from guardrail.types import question

from ..conftest import Mode
from .langchain_agents import Agent, clean
from .langchain_models import BAD, MARK, SAFE, Spy, cut, guard_for, scripted


class Answer(BaseModel):
    """What a text should have been."""

    text: int


class Told(Exception):
    """An error with more to it than it says."""

    def __init__(self, **told: Any) -> None:
        super().__init__("odd")
        vars(self).update(told)


def caught(raising: Any) -> Exception:
    """Return what a function raises."""
    try:
        raising()
    except Exception as error:
        return error
    raise AssertionError("it was to raise")


def _within() -> None:
    try:
        json.loads(MARK)
    except ValueError:
        raise RuntimeError("odd") from None


class _Response:
    text = MARK


ERRORS = {
    "message": ValueError(f"invalid literal: {MARK!r}"),
    "argument": KeyError(MARK),
    "escaped": ValueError(json.dumps({"error": MARK})),
    "attribute": Told(llm_output=MARK),
    "body": Told(body={"error": {"failed_generation": [MARK]}}),
    "model": Told(completion=Answer.model_construct(text=MARK)),
    "response": Told(response=_Response()),
    "input": caught(lambda: Answer.model_validate({"text": "가" * 200 + MARK + "나" * 200})),
    "before": caught(_within),
    "group": ExceptionGroup("several", [ValueError(MARK)]),
}


@pytest.mark.parametrize("name", ERRORS)
def test_all_words_of_an_error_are_judged(name: str) -> None:
    """What it says, what it holds, and what the errors it came from do."""
    (conversation,) = words_of(ERRORS[name], question("질문"))

    assert MARK in conversation[-1].content


def test_an_error_without_words_needs_no_verdict() -> None:
    """And one whose response nobody has read is no trouble."""

    class Unread:
        @property
        def text(self) -> str:
            raise RuntimeError

    assert words_of(ConnectionError(), question("질문")) == []
    assert words_of(Told(response=Unread(), self_made=object()), question("질문"))


def failing(mode: Mode, way: str, guarded: Any, spy: Spy) -> Exception:
    """Return what a call of a guarded thing raises."""

    async def ask() -> None:
        if way == "invoke":
            await guarded.ainvoke("질문", {"callbacks": [spy]})
        else:
            async for _ in guarded.astream("질문", {"callbacks": [spy]}):
                pass

    def ask_here() -> Any:
        if way == "invoke":
            return guarded.invoke("질문", {"callbacks": [spy]})
        return list(guarded.stream("질문", {"callbacks": [spy]}))

    return caught(ask_here if mode is Mode.SYNC else lambda: asyncio.run(ask()))


def told(error: Exception, spy: Spy) -> str:
    """Return what a caller and a handler of theirs learn of an error."""
    return "".join([*traceback.format_exception(error), repr(error.__context__), *spy.saw])


CHAINS = {
    "model": lambda text: scripted(ValueError(text)),
    "parser": lambda text: scripted(text) | RunnableLambda(JsonOutputParser().invoke),
    "function": lambda text: scripted(text) | StrOutputParser() | RunnableLambda(int),
}


@pytest.mark.parametrize("way", ["invoke", "stream"])
@pytest.mark.parametrize("name", CHAINS)
def test_an_error_that_quotes_an_unsafe_reply_is_withheld(name: str, way: str, mode: Mode) -> None:
    """Neither callers nor handlers learn more of it than its kind, nor from what it came."""
    spy = Spy()

    error = failing(mode, way, guard_runnable(CHAINS[name](BAD), guard_for()), spy)

    assert isinstance(error, UnguardedCall)
    assert MARK not in told(error, spy)


@pytest.mark.parametrize("way", ["invoke", "stream"])
@pytest.mark.parametrize("text", [SAFE, BAD])
def test_an_error_of_a_model_passes_if_its_words_do(text: str, way: str, mode: Mode) -> None:
    """The very one, for whoever waits for it."""
    spy, raised = Spy(), ValueError(text)

    error = failing(mode, way, guard_model(scripted(raised), guard_for()), spy)

    assert (error is raised) == (text is SAFE)
    assert MARK not in told(error, spy)


@pytest.mark.parametrize("text", [SAFE, BAD])
def test_an_error_within_an_agent_passes_if_its_words_do(text: str, mode: Mode) -> None:
    """Whatever middleware makes of a reply before it fails."""

    class Parsing(AgentMiddleware):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            handler(request)
            raise ValueError(text)

        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            await handler(request)
            raise ValueError(text)

    agent = Agent(cut(SAFE), middleware=[GuardrailMiddleware(guard_for()), Parsing()])

    error = caught(lambda: agent.ask(mode))

    assert isinstance(error, ValueError if text is SAFE else UnguardedCall)
    assert clean(told(error, agent.spy), agent.watched, agent.kept)


def test_inputs_of_a_validation_error_are_whole() -> None:
    """Its own message cuts them; a mark in the middle is found all the same."""
    error = ERRORS["input"]

    assert isinstance(error, ValidationError)
    assert MARK not in str(error)
