"""LiteLLM's SDK and Router with guarded calls, over real sockets."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from typing import Any

import litellm
import pytest

from guardrail import Guard, Policy, UnguardedCall
from guardrail.integrations.litellm import LiteLLMGuardrail, guard_call
from guardrail.testing import StubClassifier

from ..integrations.openai_calls import MESSAGES, USER
from ..integrations.openai_upstream import Said, Upstream, chunk, sse
from .conftest import MARKER, SAFE, UNSAFE

REFUSAL = "죄송합니다"
GUARD = Guard(StubClassifier(MARKER))
CALLS = ("completion", "acompletion", "responses", "aresponses")


@pytest.fixture(autouse=True)
def _no_callbacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy of other tests has registered its guardrail for the whole process."""
    monkeypatch.setattr(litellm, "callbacks", [])


@pytest.fixture(params=["sdk", "router"])
def calls(request: pytest.FixtureRequest, upstream: Upstream) -> Any:
    """LiteLLM itself, and a Router; both have the same calls."""
    if request.param == "sdk":
        return litellm, {"api_base": upstream.url, "api_key": "k", "max_retries": 0}, "openai/"
    models = [
        {
            "model_name": name,
            "litellm_params": {
                "model": f"openai/{name}",
                "api_base": upstream.url,
                "api_key": "k",
            },
        }
        for name in ("good", "bad")
    ]
    return litellm.Router(model_list=models, num_retries=0), {}, ""


def text_of(
    calls: Any, name: str, model: str, guard: Guard = GUARD, **options: Any
) -> tuple[str, str]:
    """Return the text of a guarded call's reply, and how it says it ended."""
    source, settings, prefix = calls
    call: Any = guard_call(getattr(source, name), guard)
    question = {"input": USER} if "responses" in name else {"messages": MESSAGES}

    async def use() -> tuple[str, str]:
        reply = call(model=prefix + model, **question, **settings, **options)
        reply = await reply if inspect.isawaitable(reply) else reply
        if not options.get("stream"):
            return whole(reply)
        parts = [part async for part in reply] if hasattr(reply, "__aiter__") else list(reply)
        return streamed(parts)

    return asyncio.run(use())


def whole(reply: Any) -> tuple[str, str]:
    if hasattr(reply, "choices"):
        return reply.choices[0].message.content, reply.choices[0].finish_reason
    details = reply.incomplete_details
    reason = details["reason"] if isinstance(details, dict) else getattr(details, "reason", None)
    return reply.output_text, reason or "stop"


def streamed(parts: list[Any]) -> tuple[str, str]:
    if hasattr(parts[-1], "response"):
        return whole(parts[-1].response)
    choices = [part.choices[0] for part in parts if part.choices]
    text = "".join(choice.delta.content or "" for choice in choices)
    return text, next(choice.finish_reason for choice in reversed(choices) if choice.finish_reason)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", CALLS)
def test_calls_are_guarded(calls: Any, name: str, stream: bool) -> None:
    """A safe reply comes whole, of an unsafe one nothing, and the refusal in its place."""
    assert text_of(calls, name, "good", stream=stream) == (SAFE, "stop")
    text, finish = text_of(calls, name, "bad", stream=stream)
    assert MARKER not in text
    assert (REFUSAL in text, finish) == (True, "content_filter")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", CALLS)
def test_an_unsafe_question_is_not_asked(
    upstream: Upstream, calls: Any, name: str, stream: bool
) -> None:
    """With an input stage, the refusal comes in place of the call."""
    guard = Guard(StubClassifier(USER), Policy(check_input=True))

    text, finish = text_of(calls, name, "good", guard, stream=stream)

    assert text.startswith(REFUSAL)
    assert (finish, upstream.asked) == ("content_filter", [])


@pytest.mark.parametrize("name", ["completion", "acompletion"])
def test_upstream_is_cut_off_when_a_reply_is(upstream: Upstream, calls: Any, name: str) -> None:
    """After a block the connection to the model is closed."""
    endless = (sse(chunk(content=f"{MARKER}. ")) for _ in range(3000))
    upstream.reply = lambda _: Said(endless, pause=0.002)

    text_of(calls, name, "bad", stream=True)

    assert upstream.cut.wait(5)


def test_a_stream_can_be_left(upstream: Upstream, calls: Any) -> None:
    """Closing a guarded stream closes its source."""
    source, settings, prefix = calls
    endless = (sse(chunk(content="네. ")) for _ in range(3000))
    upstream.reply = lambda _: Said(endless, pause=0.002)
    call = guard_call(source.completion, GUARD)

    stream: Any = call(model=prefix + "good", messages=MESSAGES, stream=True, **settings)
    next(stream)
    stream.close()

    assert upstream.cut.wait(5)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", CALLS)
def test_an_error_that_quotes_a_reply_is_judged(
    upstream: Upstream, calls: Any, name: str, stream: bool
) -> None:
    """Of a failure the caller learns all, or no more than its kind."""
    error = {"message": "no", "failed_generation": UNSAFE}
    upstream.reply = lambda asked: Said(
        {"error": error if asked.body["model"] == "bad" else {"message": "no"}}, status=400
    )

    with pytest.raises(litellm.BadRequestError, match="no"):
        text_of(calls, name, "good", stream=stream)
    with pytest.raises(UnguardedCall) as caught:
        text_of(calls, name, "bad", stream=stream)
    assert MARKER not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_an_error_in_mid_stream_is_judged(upstream: Upstream, calls: Any) -> None:
    """Likewise what LiteLLM makes of a stream that breaks off."""
    error = sse({"error": {"message": f"{UNSAFE}", "code": 500}})
    upstream.reply = lambda _: Said([sse(chunk(content="네. ")), error])

    with pytest.raises(UnguardedCall) as caught:
        text_of(calls, "completion", "bad", stream=True)
    assert MARKER not in "".join(traceback.format_exception(caught.value))


def test_many_replies_at_once_are_refused(upstream: Upstream) -> None:
    """A list is neither a reply nor a stream, and is not passed for an empty one."""
    settings = {"api_base": upstream.url, "api_key": "k"}
    with pytest.raises(UnguardedCall, match="list"):
        guard_call(litellm.batch_completion, GUARD)(
            model="openai/bad", messages=[MESSAGES], **settings
        )


def test_other_calls_are_refused(upstream: Upstream) -> None:
    """What has no messages and no input, or a reply of another kind, cannot be judged."""
    settings = {"api_base": upstream.url, "api_key": "k"}
    with pytest.raises(UnguardedCall):
        guard_call(litellm.text_completion, GUARD)(model="openai/bad", prompt="p", **settings)


def test_as_a_callback_it_guards_what_callbacks_can(upstream: Upstream) -> None:
    """A whole reply on an event loop is judged; a stream, which would get past, is refused."""
    litellm.callbacks.append(LiteLLMGuardrail(GUARD, default_on=True))
    options = {
        "model": "openai/bad",
        "messages": MESSAGES,
        "api_base": upstream.url,
        "api_key": "k",
    }

    async def use() -> Any:
        with pytest.raises(UnguardedCall, match="guard_call"):
            await litellm.acompletion(**options, stream=True)
        return await litellm.acompletion(**options)

    reply = asyncio.run(use())

    assert reply.choices[0].finish_reason == "content_filter"
    assert UNSAFE not in reply.model_dump_json()
    assert len(upstream.asked) == 1
