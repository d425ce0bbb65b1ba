"""Tools and structures of a guarded chat model."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("langchain_core")

from langchain_core.messages import AIMessageChunk
from langchain_core.output_parsers import JsonOutputParser
from langchain_core.runnables import RunnableBinding, RunnableLambda
from pydantic import BaseModel

from guardrail import UnguardedCall
from guardrail.integrations.langchain import guard_model

from ..conftest import Mode
from .langchain_models import (
    BAD,
    FALLBACK,
    MARK,
    SAFE,
    Scripted,
    cut,
    guard_for,
    scripted,
)
from .langchain_ways import WAYS, seen

pytestmark = pytest.mark.filterwarnings("ignore:.* is in beta")


class Answer(BaseModel):
    """An answer in a structure."""

    text: str


def answering(text: str) -> Scripted:
    """Return a model whose reply is the arguments of a tool call, in pieces."""
    args = json.dumps({"text": text}, ensure_ascii=False)
    return scripted(
        *(
            AIMessageChunk(
                "",
                tool_call_chunks=[
                    {"name": None if at else "Answer", "args": one, "id": "1", "index": 0}
                ],
            )
            for at, one in enumerate(cut(args, 5))
        )
    )


def test_tools_are_bound_to_the_guarded_model() -> None:
    """A bound model is guarded, and the model inside gets the tools."""
    model = scripted(BAD)
    bound = guard_model(model, guard_for()).bind_tools([Answer], tool_choice="any")

    assert isinstance(bound, RunnableBinding)
    assert bound.kwargs["tool_choice"] == "any"
    assert bound.invoke("질문").text == FALLBACK


@pytest.mark.parametrize("judge", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_a_structured_reply_is_judged(way: str, judge: bool) -> None:
    """The arguments that make a structure are judged, even where tool calls are left alone."""
    safe, unsafe = (
        guard_model(answering(text), guard_for(), judge_tool_calls=judge) for text in (SAFE, BAD)
    )

    passed = seen(WAYS[way], safe.with_structured_output(Answer))
    refused = seen(WAYS[way], unsafe.with_structured_output(Answer))

    assert passed.outputs[-1] == Answer(text=SAFE)
    assert refused.outputs in ([None], [])
    assert MARK not in refused.shown + refused.watched


def test_half_a_structure_is_not_shown() -> None:
    """A structure of which the end is unsafe does not come without its end."""
    says = json.dumps({"text": SAFE, "more": BAD}, ensure_ascii=False)
    model = guard_model(Jsonlike(says=cut(says)), guard_for())

    assert list(model.with_structured_output(Answer).stream("질문")) == []


class Jsonlike(Scripted):
    """Makes structures of JSON texts."""

    def with_structured_output(self, schema: Any, **_: Any) -> Any:
        """Parse the text of replies."""
        return self | JsonOutputParser()


def test_each_of_two_guards_judges(mode: Mode) -> None:
    """A guarded model can be guarded again, also where it makes structures and calls."""
    twice = guard_model(guard_model(scripted(BAD), guard_for("없는말")), guard_for())
    calls = twice.bind_tools([Answer])

    for model in (twice, calls, twice.with_structured_output(Answer, include_raw=True)):
        for way in ("invoke", "stream") if mode is Mode.SYNC else ("ainvoke", "astream"):
            assert MARK not in seen(WAYS[way], model).shown


def test_with_raw_the_refusal_is_to_be_had() -> None:
    """Whoever asks for the raw reply gets the refusal, and no structure."""
    structured = guard_model(answering(BAD), guard_for()).with_structured_output(
        Answer, include_raw=True
    )

    reply: Any = structured.invoke("질문")

    assert (reply["raw"].text, reply["parsed"]) == (FALLBACK, None)


class Closed(Scripted):
    """Makes structures in a function that nobody can look into."""

    def with_structured_output(self, schema: Any, **_: Any) -> Any:
        """Hide the model."""
        return RunnableLambda(lambda value: self.invoke(value))


class Copying(Scripted):
    """Binds tools to a copy of itself, behind a fallback and in a sequence."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        """Bind tools in a roundabout way."""
        copy = self.model_copy()
        return (
            {"raw": copy.with_fallbacks([copy])} | RunnableLambda(lambda one: one["raw"])
        ).with_retry()


def test_a_hidden_model_is_refused() -> None:
    """A structure made out of sight would call the model unguarded."""
    with pytest.raises(UnguardedCall, match="no chat model is to be seen"):
        guard_model(Closed(says=[BAD]), guard_for()).with_structured_output(Answer)


def test_a_model_inside_of_other_runnables_is_guarded() -> None:
    """Bindings, sequences, fallbacks and mappings are looked into."""
    bound = guard_model(Copying(says=[BAD]), guard_for()).bind_tools([Answer])

    assert bound.invoke("질문").text == FALLBACK
