"""What else a guarded chat model is: written down, cached, limited, traced."""

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
from langchain_core.outputs import ChatResult
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers.context import collect_runs
from pydantic import ValidationError

from guardrail import ClassifierError, Guard
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


def test_arguments_reach_the_model(mode: Mode) -> None:
    """Stop words and whatever else a call is given are the model's."""
    heard: list[dict[str, Any]] = []

    def says(_: Any, kwargs: dict[str, Any]) -> list[str]:
        heard.append(kwargs)
        return cut(SAFE)

    model = guard_model(Scripted(says=says), guard_for()).bind(temperature=1)

    for way in ("invoke", "stream") if mode is Mode.SYNC else ("ainvoke", "astream"):
        WAYS[way](model, "질문", {})

    assert [one["temperature"] for one in heard] == [1, 1]


def test_it_is_called_from_within_an_event_loop() -> None:
    """The sync half needs no loop of its own, and so works where one runs."""

    async def cell() -> list[str]:
        model = guard_model(scripted(BAD), guard_for(delay=0.001))
        return [str(model.invoke("질문").text), str(list(model.stream("질문"))[-1].text)]

    assert asyncio.run(cell()) == [FALLBACK, FALLBACK]
