"""A guarded chat model, asked in every way."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip("langchain_core")

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration

from guardrail import ClassifierError, Guard, UnguardedCall
from guardrail.integrations.langchain import GuardedChatModel, guard_model
from guardrail.testing import ListHook, StubClassifier

from ..conftest import Mode
from .langchain_models import BAD, FALLBACK, MARK, POLICY, SAFE, Scripted, cut, guard_for, scripted
from .langchain_ways import EVENTS, EVENTS_V3, WAYS, Seen, Way, seen

pytestmark = pytest.mark.filterwarnings("ignore:.* is in beta")
ALL = WAYS | EVENTS | EVENTS_V3


@pytest.fixture(params=ALL)
def way(request: pytest.FixtureRequest) -> Way:
    return ALL[request.param]


def whole(mode: Mode, model: BaseChatModel, **kwargs: Any) -> AIMessage:
    """Return a model's whole reply."""
    if mode is Mode.SYNC:
        return model.invoke("질문", **kwargs)
    return asyncio.run(model.ainvoke("질문", **kwargs))


def chunks(mode: Mode, model: Any, value: Any = "질문") -> list[AIMessageChunk]:
    """Return the chunks of a model's streamed reply."""
    way = WAYS["stream" if mode is Mode.SYNC else "astream"]
    return way(model, value, {})


def clean(seen: Seen) -> bool:
    return MARK not in seen.shown and MARK not in seen.watched


def test_a_safe_reply_comes_whole(way: Way) -> None:
    """What passes, passes to the character, and handlers see it."""
    result = seen(way, guard_model(scripted(SAFE), guard_for()))

    assert result.text == SAFE
    assert SAFE in result.watched


def test_an_unsafe_reply_is_replaced(way: Way) -> None:
    """Neither callers nor their handlers see any of an unsafe passage; the refusal ends it."""
    result = seen(way, guard_model(scripted(BAD), guard_for()))

    assert clean(result)
    assert result.text.endswith(FALLBACK)


@pytest.mark.parametrize("at", range(len(SAFE)))
def test_no_part_of_the_mark_is_shown_wherever_it_is(at: int, mode: Mode) -> None:
    """Chunks of one character, the mark anywhere: not its first character leaves."""
    model = guard_model(scripted(*SAFE[:at], *MARK, *SAFE[at:]), guard_for())

    shown = "".join(one.text for one in chunks(mode, model)).removesuffix(FALLBACK)

    assert SAFE[:at].startswith(shown)


def test_every_choice_is_judged(mode: Mode) -> None:
    """Of several choices only the unsafe ones are replaced, and the order stays."""
    model = guard_model(scripted(SAFE, others=[cut(BAD), cut(SAFE)]), guard_for())
    ask = model.generate if mode is Mode.SYNC else lambda one: asyncio.run(model.agenerate(one))

    found = ask([[HumanMessage("질문")], [HumanMessage("둘")]]).generations

    assert [[one.text for one in choices] for choices in found] == [[SAFE, FALLBACK, SAFE]] * 2


def test_a_refusal_keeps_id_usage_and_model(mode: Mode) -> None:
    """A refused reply says why, and what it cost; nothing else of it is left."""
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    said = AIMessageChunk(
        BAD, id="msg_1", usage_metadata=usage, response_metadata={"model_name": "m", "odd": "o"}
    )

    for reply in (
        whole(mode, guard_model(scripted(said), guard_for())),
        *chunks(mode, guard_model(scripted(said), guard_for())),
    ):
        assert reply.id == "msg_1"
        assert reply.usage_metadata == usage
        metadata = reply.response_metadata
        assert metadata.pop("guardrail")["action"] == "replace"
        assert metadata == {"finish_reason": "content_filter", "model_name": "m"}


def test_what_chunks_have_shown_is_not_said_twice(mode: Mode) -> None:
    """LangChain concatenates metadata of chunks: a refusal leaves out what was shown before."""
    said = [AIMessageChunk(one, response_metadata={"model_provider": "p"}) for one in cut(BAD)]

    shown = chunks(mode, guard_model(scripted(*said), guard_for()))
    total = shown[0] + shown[1:]

    assert len(shown) > 2
    assert total.response_metadata["model_provider"] == "p"
    assert total.response_metadata["finish_reason"] == "content_filter"
    assert len({one.id for one in shown}) == 1
    assert shown[-1].chunk_position == "last"


def test_the_model_is_closed_once_a_reply_is_refused(mode: Mode) -> None:
    """After a refusal nothing is taken from the model any more."""
    model = scripted(*cut(BAD), *(["더"] * 400))

    chunks(mode, guard_model(model, guard_for()))

    assert model.closed == [True]


def test_a_consumer_that_leaves_closes_the_model(mode: Mode) -> None:
    """Leaving early closes the model's stream, and leaves no task behind."""
    model = scripted(SAFE * 3, delay=0.001)
    guarded = guard_model(model, guard_for(delay=0.001))

    async def leave() -> None:
        stream = guarded.astream("질문")
        await anext(stream)
        await stream.aclose()
        del stream
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert len(asyncio.all_tasks()) == 1

    if mode is Mode.ASYNC:
        asyncio.run(leave())
    else:
        stream = guarded.stream("질문")
        next(stream)
        stream.close()
        del stream
    gc.collect()

    assert model.closed == [True]


def test_a_cancelled_call_cancels_the_model() -> None:
    """Cancelling a call reaches the model, and nothing of it is left running."""

    async def cancel() -> None:
        model = scripted(SAFE, delay=0.01)
        call = asyncio.create_task(anext(guard_model(model, guard_for()).astream("질문")))
        await asyncio.sleep(0.02)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.sleep(0.01)
        assert model.closed == [True]
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(cancel())


def test_an_error_of_the_model_reaches_the_caller(mode: Mode) -> None:
    """What was not judged when the model failed is not shown; the error is."""
    model = guard_model(scripted(*cut(SAFE), MARK[:3], ValueError("upstream")), guard_for())
    shown: list[str] = []

    with pytest.raises(ValueError, match="upstream"):
        drain(mode, model, shown)

    assert shown
    assert SAFE.startswith("".join(shown))


def drain(mode: Mode, model: BaseChatModel, shown: list[str]) -> None:
    """Put the chunks of a reply down as they come."""

    async def ask() -> None:
        async for one in model.astream("질문"):
            shown.append(str(one.text))  # noqa: PERF401 - what came before an error counts

    if mode is Mode.ASYNC:
        asyncio.run(ask())
    else:
        shown.extend(str(one.text) for one in model.stream("질문"))


def test_a_classifier_that_fails_blocks(way: Way) -> None:
    """Without a verdict nothing is shown, and nobody's handler sees anything."""
    broken = Guard(StubClassifier(error=ClassifierError("down")), POLICY)

    result = seen(way, guard_model(scripted(BAD), broken))

    assert result.text == FALLBACK
    assert clean(result)
    assert "환불은 영업일" not in result.watched


def test_streams_on_one_model_do_not_mix() -> None:
    """Each of many streams at once ends as its own text does."""
    model = guard_model(
        Scripted(says=lambda asked, _: cut(asked[-1].text)),
        guard_for(delay=0.002),
    )

    async def ask(text: str) -> str:
        return "".join([str(one.text) async for one in model.astream(text)])

    async def ask_all() -> Sequence[str]:
        return await asyncio.gather(*(ask(f"{n} {BAD if n % 2 else SAFE}") for n in range(20)))

    for n, text in enumerate(asyncio.run(ask_all())):
        assert text.endswith(FALLBACK) if n % 2 else text == f"{n} {SAFE}"


def test_an_unsafe_question_is_not_put_to_the_model(way: Way) -> None:
    """With an input stage the model is not asked what the guard does not pass."""
    model = scripted(SAFE)

    result = seen(way, guard_model(model, guard_for(check_input=True)), f"{MARK} 알려 줘")

    assert result.text == FALLBACK
    assert model.asked == []


def test_each_choice_is_on_record(mode: Mode) -> None:
    """Hooks get a record of every judged choice."""
    hook = ListHook()
    guard = Guard(StubClassifier(MARK), POLICY, hooks=[hook])

    whole(mode, guard_model(scripted(SAFE, others=[cut(BAD)]), guard))

    assert [str(one.action) for one in hook.records] == ["allow", "replace"]


def test_no_choices_stay_none(mode: Mode) -> None:
    """A result without a choice is not made up."""
    model = guard_model(scripted(SAFE), guard_for())
    object.__setattr__(model.inner, "_generate", lambda *_, **__: _empty())

    with pytest.raises(IndexError):
        whole(mode, model)


def _empty() -> Any:
    from langchain_core.outputs import ChatResult

    return ChatResult(generations=[])


class Parrot(BaseChatModel):
    """Replies with a message that is not the assistant's."""

    def _generate(self, messages: Any, *_: Any, **__: Any) -> Any:
        from langchain_core.outputs import ChatResult

        return ChatResult(generations=[ChatGeneration(message=HumanMessage(BAD))])

    @property
    def _llm_type(self) -> str:
        return "parrot"


def test_a_reply_of_another_kind_is_refused(way: Way) -> None:
    """What is no assistant's message cannot be judged, and so is not shown."""
    with pytest.raises(UnguardedCall):
        seen(way, guard_model(Parrot(), guard_for()))


def test_only_a_chat_model_is_guarded_as_one() -> None:
    """Bound models and chains are refused with a word on what to do."""
    with pytest.raises(UnguardedCall, match="guard_runnable"):
        guard_model(scripted(SAFE).bind(stop=["x"]), guard_for())  # type: ignore[arg-type]


def test_a_guarded_model_is_a_chat_model() -> None:
    """Everything made for chat models takes it."""
    assert isinstance(guard_model(scripted(SAFE), guard_for()), BaseChatModel)
    assert GuardedChatModel(inner=scripted(SAFE), guard=guard_for()).invoke("질문").text == SAFE
