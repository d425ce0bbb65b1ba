"""What else a guarded chat model is: bound, structured, written down, cached, traced."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("langchain_core")

from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.load import dumpd, load
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.output_parsers import JsonOutputParser
from langchain_core.outputs import ChatResult
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import RunnableBinding, RunnableLambda
from langchain_core.tracers.context import collect_runs
from pydantic import BaseModel, ValidationError

from guardrail import ClassifierError, Guard, UnguardedCall
from guardrail.integrations.langchain import GuardedChatModel, guard_model
from guardrail.testing import StubClassifier

from ..conftest import Mode
from .langchain_models import (
    BAD,
    FALLBACK,
    MARK,
    POLICY,
    SAFE,
    Scripted,
    Spy,
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


def test_it_is_written_down_without_its_guard() -> None:
    """What is loaded needs a guard, given or configured; without one it does not load."""
    guard = guard_for()
    model = GuardedChatModel(inner=FakeLoadable(reply=BAD), guard=guard, judge_tool_calls=False)
    written = json.loads(json.dumps(dumpd(model)))
    options: Any = {
        "valid_namespaces": ["guardrail", "tests"],
        "allowed_objects": [GuardedChatModel, FakeLoadable],
    }

    loaded = load(written, secrets_map={"GUARDRAIL_CONFIG": guard}, **options)

    assert loaded.invoke("질문").text == FALLBACK
    assert loaded.judge_tool_calls is False
    with pytest.raises(ValidationError):
        load(written, **options)


class FakeLoadable(BaseChatModel):
    """A model that can be written down."""

    reply: str

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        return scripted(self.reply)._generate([])

    @property
    def _llm_type(self) -> str:
        return "loadable"

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether it can be written down."""
        return True


def test_it_is_written_down_only_with_what_is_inside() -> None:
    """Around a model that cannot be written down it cannot be either."""
    model = guard_model(FakeMessagesListChatModel(responses=[AIMessage(SAFE)]), guard_for())

    assert dumpd(model)["type"] == "not_implemented"


@pytest.fixture
def cache() -> Iterator[InMemoryCache]:
    cache = InMemoryCache()
    set_llm_cache(cache)
    yield cache
    set_llm_cache(None)


def test_a_cache_holds_no_verdicts(cache: InMemoryCache, mode: Mode) -> None:
    """What the bare model has put into a cache is judged; a failure to judge is not kept."""
    stub = StubClassifier(MARK, error=ClassifierError("down"))
    model = scripted(BAD.replace(MARK, "좋은말"))
    guarded = guard_model(model, Guard(stub, POLICY))
    ask = guarded.invoke if mode is Mode.SYNC else lambda one: asyncio.run(guarded.ainvoke(one))

    model.invoke("질문")
    failed = ask("질문").text
    stub._error = None
    passed = ask("질문").text

    assert (failed, "좋은말" in passed) == (FALLBACK, True)
    assert len(model.asked) == 1
    with pytest.raises(ValidationError):
        guarded.cache = cache  # type: ignore[assignment]


def test_a_rate_limit_of_the_model_holds(mode: Mode) -> None:
    """The limiter of the model inside is asked once for each call."""
    limiter = Counting(requests_per_second=1000)
    model = guard_model(scripted(SAFE, rate_limiter=limiter), guard_for())

    for way in ("invoke", "stream") if mode is Mode.SYNC else ("ainvoke", "astream"):
        WAYS[way](model, "질문", {})

    assert limiter.asked == 2


class Counting(InMemoryRateLimiter):
    """Counts how often it is asked."""

    asked = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        """Let through."""
        self.asked += 1
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        """Let through."""
        return self.acquire()


def test_handlers_of_the_model_see_the_guarded_one() -> None:
    """Handlers that were given to the model itself are shown what is judged."""
    spy = Spy()

    guard_model(scripted(BAD, callbacks=[spy], tags=["mine"]), guard_for()).invoke("질문")

    assert "mine" in spy.saw[0]
    assert FALLBACK in spy.saw[-1]
    assert not any(MARK in one for one in spy.saw)


class Router(BaseChatModel):
    """Has another model reply, as a chain would."""

    other: Scripted

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        reply = self.other.invoke(messages)
        return ChatResult.model_validate({"generations": [{"message": reply}]})

    @property
    def _llm_type(self) -> str:
        return "router"


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "astream"])
def test_a_model_within_the_model_is_not_seen(way: str) -> None:
    """What the model inside calls in turn reports to no handler, however that is set."""
    chain = RunnableLambda(lambda one: one) | guard_model(Router(other=scripted(BAD)), guard_for())

    with collect_runs() as runs:
        result = seen(WAYS[way], chain)

    assert MARK not in result.watched
    assert MARK not in repr([run.outputs for run in runs.traced_runs])
    assert runs.traced_runs


def test_tokens_are_counted_for_the_guarded_model() -> None:
    """Handlers that count what models cost go on counting."""
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    said = AIMessageChunk(BAD, usage_metadata=usage, response_metadata={"model_name": "m"})

    with get_usage_metadata_callback() as counted:
        guard_model(scripted(said), guard_for()).invoke("질문")

    assert counted.usage_metadata["m"]["total_tokens"] == 3


def test_it_answers_for_the_model_inside() -> None:
    """Names, profile and token counts are those of the model."""
    inner = scripted(
        SAFE, profile={"structured_output": True}, custom_get_token_ids=lambda _: [1, 2]
    )
    model = guard_model(inner, guard_for())

    assert model._get_ls_params()["ls_model_name"] == "scripted-1"
    assert model.profile == {"structured_output": True}
    assert model.get_num_tokens("질문") == 2
    assert model.get_num_tokens_from_messages([HumanMessage("질문")]) == 2


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_model_that_cannot_stream_replies_whole(way: str) -> None:
    """Where the model inside does not stream, its reply comes at once, judged."""
    for inner in (FakeLoadable(reply=BAD), scripted(BAD, disable_streaming=True)):
        outputs = WAYS[way](guard_model(inner, guard_for()), "질문", {})
        assert [str(one.text) for one in outputs if one.text] == [FALLBACK]


@pytest.mark.parametrize("way", ["invoke", "astream"])
def test_a_version_of_content_is_kept(way: str) -> None:
    """A model set to standard content blocks gives those."""
    model = guard_model(scripted(BAD, output_version="v1"), guard_for())

    reply = WAYS[way](model, "질문", {})[-1]

    assert reply.content == [] or reply.content[0]["type"] == "text"
    assert reply.response_metadata.get("output_version", "v1") == "v1"
