"""Guarded chains, asked in every way."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, ClassVar

import pytest

pytest.importorskip("langchain_core")

from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.globals import set_debug
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import JsonOutputParser, StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import (
    ConfigurableField,
    Runnable,
    RunnableGenerator,
    RunnableLambda,
    RunnablePassthrough,
)
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_core.tracers.context import (
    _configure_hooks,
    collect_runs,
    register_configure_hook,
)

from guardrail import ClassifierError, Guard, UnguardedCall
from guardrail.integrations.langchain import guard_runnable
from guardrail.testing import ListHook, StubClassifier

from ..conftest import Mode
from .langchain_models import BAD, FALLBACK, MARK, POLICY, SAFE, Spy, cut, guard_for, scripted
from .langchain_ways import EVENTS, WAYS, Way, seen

ALL = WAYS | EVENTS
PROMPT = ChatPromptTemplate.from_messages([("system", "친절하게"), ("human", "{question}")])


def text_chain(text: str) -> Runnable[Any, str]:
    return PROMPT | scripted(text) | StrOutputParser()


def message_chain(text: str) -> Runnable[Any, Any]:
    return PROMPT | scripted(text)


def mapping_chain(text: str) -> Runnable[Any, Any]:
    return RunnablePassthrough.assign(context=lambda _: ["문서"]).assign(answer=text_chain(text))


def message_mapping_chain(text: str) -> Runnable[Any, Any]:
    return {"answer": message_chain(text)} | RunnablePassthrough()  # type: ignore[operator]


def lambda_chain(text: str) -> Runnable[Any, str]:
    return PROMPT | RunnableLambda(lambda _: text)


CHAINS: dict[str, Callable[[str], Runnable[Any, Any]]] = {
    "text": text_chain,
    "message": message_chain,
    "mapping": mapping_chain,
    "lambda": lambda_chain,
}


@pytest.fixture(params=CHAINS)
def chain(request: pytest.FixtureRequest) -> Callable[[str, Guard], Runnable[Any, Any]]:
    key = "answer" if request.param == "mapping" else None
    return lambda text, guard: guard_runnable(CHAINS[request.param](text), guard, output_key=key)


@pytest.fixture(params=ALL)
def way(request: pytest.FixtureRequest) -> Way:
    return ALL[request.param]


def test_a_safe_reply_comes_whole(way: Way, chain: Any) -> None:
    """What passes, passes to the character, in the chain's own form."""
    assert seen(way, chain(SAFE, guard_for()), {"question": "환불?"}).text == SAFE


def test_an_unsafe_reply_is_replaced(way: Way, chain: Any) -> None:
    """Neither callers nor their handlers see any of an unsafe passage; the refusal ends it."""
    with collect_runs() as runs:
        result = seen(way, chain(BAD, guard_for()), {"question": "환불?"})

    assert MARK not in result.shown
    assert MARK not in result.watched
    assert MARK not in repr([run.outputs for run in runs.traced_runs])
    assert result.text.endswith(FALLBACK)


def test_a_classifier_that_fails_blocks(way: Way, chain: Any) -> None:
    """Without a verdict nothing is shown."""
    broken = Guard(StubClassifier(error=ClassifierError("down")), POLICY)

    result = seen(way, chain(SAFE, broken), {"question": "환불?"})

    assert result.text == FALLBACK
    assert "영업일" not in result.shown + result.watched


def test_an_unsafe_question_does_not_reach_the_chain(way: Way, chain: Any) -> None:
    """With an input stage the chain is not run for what the guard does not pass."""
    result = seen(way, chain(SAFE, guard_for(check_input=True)), {"question": MARK})

    assert result.text == FALLBACK


def test_refusals_have_the_form_of_replies() -> None:
    """A text stays a text, a message a message, a mapping keeps what else it holds."""
    guard, asked = guard_for(), {"question": "환불?"}

    message = guard_runnable(message_chain(BAD), guard).invoke(asked)
    mapping = guard_runnable(mapping_chain(BAD), guard, output_key="answer").invoke(asked)
    nested = guard_runnable(message_mapping_chain(BAD), guard, output_key="answer").invoke(asked)

    assert guard_runnable(text_chain(BAD), guard).invoke(asked) == FALLBACK
    assert isinstance(message, AIMessage)
    assert message.response_metadata["finish_reason"] == "content_filter"
    assert mapping == {"question": "환불?", "context": ["문서"], "answer": FALLBACK}
    assert nested["answer"].response_metadata["finish_reason"] == "content_filter"


def test_a_streamed_mapping_adds_up() -> None:
    """The chunks of a guarded mapping make the mapping that the chain makes whole."""
    guarded = guard_runnable(mapping_chain(SAFE), guard_for(), output_key="answer")
    chunks = list(guarded.stream({"question": "환불?"}))

    total = chunks[0]
    for chunk in chunks[1:]:
        total = total + chunk

    assert total == {"question": "환불?", "context": ["문서"], "answer": SAFE}


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("환불?", None),
        ({"question": "환불?"}, None),
        ({"question": "환불?", "lang": "ko"}, "question"),
        ({"messages": [HumanMessage("환불?")], "lang": "ko"}, None),
        ([("system", "지침"), ("user", "환불?")], None),
        (HumanMessage("환불?"), None),
        (PROMPT.invoke({"question": "환불?"}), None),
    ],
    ids=["text", "mapping", "key", "messages", "pairs", "message", "prompt"],
)
def test_the_users_turn_is_found_in_the_input(value: Any, key: str | None) -> None:
    """A reply is judged with what the user said, however the chain is told it."""
    hook = ListHook()
    guard = Guard(StubClassifier(MARK), POLICY, hooks=[hook], record_text="text")
    said = RunnableLambda(lambda _: SAFE)

    guard_runnable(said, guard, input_key=key).invoke(value)

    assert "환불?" in repr(hook.records[0])


@pytest.mark.parametrize("value", [{"a": "가", "b": "나"}, {"a": 1}, 7], ids=repr)
def test_an_input_without_a_users_turn_is_refused(value: Any) -> None:
    """Where the user's turn is not to be seen, the chain is not run."""
    ran: list[Any] = []

    with pytest.raises(UnguardedCall):
        guard_runnable(RunnableLambda(ran.append), guard_for()).invoke(value)
    assert ran == []


@pytest.mark.parametrize("output", [{"a": MARK}, [MARK], 7, None, HumanMessage(MARK)], ids=repr)
def test_an_output_that_cannot_be_judged_is_refused(output: Any, mode: Mode) -> None:
    """Nothing passes that is neither text nor message nor a mapping with a key."""
    guarded = guard_runnable(RunnableLambda(lambda _: output), guard_for())

    for way in ("invoke", "stream") if mode is Mode.SYNC else ("ainvoke", "astream"):
        with pytest.raises(UnguardedCall) as refusal:
            WAYS[way](guarded, "질문", {})
        assert MARK not in str(refusal.value)


def test_a_structured_output_is_refused() -> None:
    """A parsed structure is no text: its model is to be guarded, as the error says."""
    chain = scripted('{"a": "b"}') | JsonOutputParser()

    with pytest.raises(UnguardedCall):
        guard_runnable(chain, guard_for()).invoke("질문")


def test_a_reply_that_never_comes_is_refused(mode: Mode) -> None:
    """Where the key with the reply is missing, nothing of the rest is shown."""
    guarded = guard_runnable(
        RunnableLambda(lambda _: {"other": MARK}), guard_for(), output_key="answer"
    )
    for way in ("invoke", "stream") if mode is Mode.SYNC else ("ainvoke", "astream"):
        with pytest.raises(UnguardedCall):
            WAYS[way](guarded, "질문", {})


def test_observers_see_the_steps_inside() -> None:
    """Handlers named for it see the chain at work, and the caller's still do not."""
    inside, outside = Spy(), Spy()
    guarded = guard_runnable(text_chain(BAD), guard_for(), observers=[inside])

    guarded.invoke({"question": "환불?"}, {"callbacks": [outside]})

    assert MARK in "".join(inside.saw)
    assert MARK not in "".join(outside.saw)


WATCHED: dict[str, Callable[[Spy], Runnable[Any, Any]]] = {
    "model": lambda spy: PROMPT | scripted(BAD, callbacks=[spy]),
    "config": lambda spy: PROMPT | scripted(BAD).with_config(callbacks=[spy]),
    "listener": lambda spy: scripted(BAD).with_listeners(on_end=print) | StrOutputParser(),
    "mapping": lambda spy: RunnablePassthrough.assign(a=scripted(BAD, callbacks=[spy])),
    "history": lambda _: RunnableWithMessageHistory(
        message_chain(BAD), lambda _: InMemoryChatMessageHistory(), input_messages_key="question"
    ),
    "closure": lambda spy: _calling(scripted(BAD, callbacks=[spy])),
}


def _calling(model: Any) -> Runnable[Any, Any]:
    return RunnableLambda(lambda value: model.invoke(value))


@pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated")
@pytest.mark.parametrize("name", WATCHED)
def test_handlers_inside_are_refused(name: str) -> None:
    """Handlers and memories that sit on a step would get all it says."""
    with pytest.raises(UnguardedCall, match="observers="):
        guard_runnable(WATCHED[name](Spy()), guard_for())


@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke", "astream"])
def test_debugging_prints_what_is_judged(way: str, capsys: pytest.CaptureFixture[str]) -> None:
    """LangChain's own switch shows the guarded chain at work, not the steps inside."""
    set_debug(True)
    try:
        WAYS[way](guard_runnable(text_chain(BAD), guard_for()), {"question": "환불?"}, {})
    finally:
        set_debug(False)

    printed = capsys.readouterr().out
    assert FALLBACK in printed
    assert MARK not in printed


class Tracer(Spy):
    """A handler that the environment switches on."""

    ever: ClassVar[list[Spy]] = []

    def __init__(self) -> None:
        super().__init__()
        self.ever.append(self)


@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke", "astream"])
def test_tracers_of_the_environment_see_what_is_judged(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LangChain adds them to every run, wherever it runs."""
    monkeypatch.setenv("TRACE_ALL", "true")
    register_configure_hook(ContextVar("trace", default=None), True, Tracer, "TRACE_ALL")
    try:
        WAYS[way](guard_runnable(text_chain(BAD), guard_for()), {"question": "환불?"}, {})
    finally:
        _configure_hooks.pop()

    saw = "".join(one for spy in Tracer.ever for one in spy.saw)
    Tracer.ever.clear()
    assert FALLBACK in saw
    assert MARK not in saw


def test_it_keeps_the_callers_context(mode: Mode) -> None:
    """Working out of sight changes nothing for what the caller does next."""
    spy = Spy()

    def chain(value: Any) -> Any:
        return scripted(SAFE).invoke(str(value))

    async def achain(value: Any) -> Any:
        return await scripted(SAFE).ainvoke(str(value))

    guarded = guard_runnable(text_chain(BAD), guard_for())
    steps = guarded | RunnableLambda(chain, achain)
    WAYS["invoke" if mode is Mode.SYNC else "astream"](
        steps, {"question": "?"}, {"callbacks": [spy]}
    )

    assert any(one.startswith("on_chat_model_start") for one in spy.saw)
    assert MARK not in "".join(spy.saw)


def test_configuration_reaches_the_chain() -> None:
    """Tags, run-time settings and further arguments are the chain's."""
    model = scripted(SAFE).configurable_fields(says=ConfigurableField(id="says"))
    guarded = guard_runnable(model, guard_for())

    assert guarded.invoke("질문", {"configurable": {"says": cut(BAD)}}).text == FALLBACK
    assert [spec.id for spec in guarded.config_specs] == ["says"]
    assert guarded.get_name() == "GuardedRunnable"
    assert guarded.get_input_schema() is not None


def test_chains_take_guarded_chains() -> None:
    """A guarded chain is a step like any other, also of chunked inputs."""
    steps = RunnableGenerator(_pieces) | guard_runnable(
        RunnableLambda(lambda text: f"{text}!"), guard_for()
    )

    assert "".join(steps.stream("질문")) == "질문?!"
    assert steps.batch(["하나", MARK]) == ["하나?!", FALLBACK]


def _pieces(texts: Iterator[str]) -> Iterator[str]:
    for text in texts:
        yield from text
    yield "?"


def test_leaving_early_closes_the_chain(mode: Mode) -> None:
    """A consumer that goes leaves nothing running."""
    model = scripted(SAFE * 3, delay=0.001)
    guarded = guard_runnable(PROMPT | model | StrOutputParser(), guard_for(delay=0.001))

    async def leave() -> None:
        stream = guarded.astream({"question": "?"})
        await anext(stream)
        await stream.aclose()
        del stream
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert len(asyncio.all_tasks()) == 1

    if mode is Mode.ASYNC:
        asyncio.run(leave())
    else:
        stream = guarded.stream({"question": "?"})
        next(stream)
        stream.close()
        del stream
    gc.collect()

    assert model.closed == [True]
