"""The guardrail in LiteLLM's real proxy, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest

from guardrail import ConfigError, Guard
from guardrail.integrations.litellm import LiteLLMGuardrail
from guardrail.testing import StubClassifier

from ..integrations.openai_calls import ASKS, MESSAGES, USER, Seen
from ..integrations.openai_upstream import Asked, Said, Upstream, chat_stream, chunk, sse
from .conftest import KEY, MARKER, SAFE, UNSAFE, reply

REFUSAL = "죄송합니다"

Proxy = tuple[str, Upstream]


@pytest.fixture
def upstream(proxy: Proxy) -> Upstream:
    proxy[1].reply = reply
    proxy[1].cut.clear()
    proxy[1].asked.clear()
    return proxy[1]


@pytest.fixture
def client(proxy: Proxy, upstream: Upstream) -> Any:
    assert upstream is proxy[1], "made anew for each test"
    with openai.OpenAI(api_key=KEY, base_url=proxy[0], max_retries=0) as client:
        yield client


def chosen(model: str) -> Callable[[Asked], Said]:
    """Return an upstream that replies to any model as to this one."""
    return lambda asked: reply(Asked(asked.method, asked.path, {**asked.body, "model": model}, 0))


def seen_of(client: Any, ask: str) -> Seen:
    seen = Seen()
    named = client.with_options(default_headers={"x-model": "m"})
    asyncio.run(ASKS[ask](_Named(named), seen))
    return seen


class _Named:
    """A client whose calls ask for a model that the proxy knows."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if name in ("create", "stream"):
            return lambda **options: value(**{**options, "model": "good"})
        return value if name.startswith("_") or not hasattr(value, "__dict__") else _Named(value)


ROADS = (
    *("chat.create", "chat.raw", "chat.streamed", "chat.stream"),
    *("responses.create", "responses.streamed"),
)


@pytest.mark.parametrize("ask", ROADS)
def test_a_safe_reply_comes_whole(client: Any, ask: str) -> None:
    """What passes, passes to the character."""
    assert seen_of(client, ask).text == SAFE


@pytest.mark.parametrize("ask", ROADS)
def test_an_unsafe_reply_is_replaced(client: Any, upstream: Upstream, ask: str) -> None:
    """Nothing of an unsafe passage leaves the proxy; the refusal ends the reply."""
    upstream.reply = chosen("bad")

    seen = seen_of(client, ask)

    assert MARKER not in seen.all
    assert REFUSAL in seen.text
    assert seen.finish == "content_filter"


@pytest.mark.parametrize("position", range(0, len(SAFE), 5))
def test_nothing_unsafe_is_streamed_wherever_it_stands(
    client: Any, upstream: Upstream, position: int
) -> None:
    """What a stream shows before the refusal ends before the unsafe passage."""
    text = SAFE[:position] + MARKER + SAFE[position:]
    upstream.reply = lambda _: Said(chat_stream(text))

    shown, refusal, _ = seen_of(client, "chat.streamed").text.partition(REFUSAL)

    assert refusal
    assert SAFE[:position].startswith(shown)


def test_every_choice_is_judged(client: Any, upstream: Upstream) -> None:
    """Of two streamed choices the safe one comes whole."""
    upstream.reply = lambda _: Said(chat_stream(SAFE, UNSAFE))
    texts = ["", ""]

    for part in client.chat.completions.create(model="good", messages=MESSAGES, n=2, stream=True):
        for choice in part.choices:
            texts[choice.index] += choice.delta.content or ""

    assert texts[0] == SAFE
    assert MARKER not in texts[1]
    assert REFUSAL in texts[1]


def test_upstream_is_cut_off_when_a_reply_is(client: Any, upstream: Upstream) -> None:
    """After a block the proxy closes its connection to the model."""
    endless = (sse(chunk(content=f"{MARKER}. ")) for _ in range(3000))
    upstream.reply = lambda _: Said(endless, pause=0.002)

    seen = seen_of(client, "chat.streamed")

    assert seen.finish == "content_filter"
    assert upstream.cut.wait(5)


def test_what_cannot_be_guarded_is_refused(client: Any, upstream: Upstream) -> None:
    """Other kinds of replies never leave for upstream."""
    messages = {"model": "bad", "max_tokens": 9, "messages": MESSAGES}
    for use in (
        lambda: client.completions.create(model="bad", prompt="p"),
        lambda: client.images.generate(model="bad", prompt="p"),
        lambda: client.post("/messages", body=messages, cast_to=object),
        lambda: client.post("/messages", body={**messages, "stream": True}, cast_to=object),
    ):
        with pytest.raises(openai.BadRequestError, match="guarded"):
            use()
    assert upstream.asked == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_error_that_quotes_a_reply_is_judged(
    client: Any, upstream: Upstream, stream: bool
) -> None:
    """Of a failure the caller learns all, or no more than its kind."""
    for text, shown in ((SAFE, "later"), (UNSAFE, "did not pass the guard")):
        error = {"message": "later", "failed_generation": text}
        upstream.reply = lambda _, error=error: Said({"error": error}, status=400)
        with pytest.raises(openai.BadRequestError, match=shown) as caught:
            list(client.chat.completions.create(model="good", messages=MESSAGES, stream=stream))
        assert MARKER not in caught.value.response.text


def test_an_unsafe_question_is_not_asked(client: Any, upstream: Upstream) -> None:
    """With an input stage, the refusal comes in place of the call."""
    messages = [{"role": "user", "content": f"{USER} {MARKER}"}]

    whole = client.chat.completions.create(model="good", messages=messages)
    parts = client.chat.completions.create(model="good", messages=messages, stream=True)
    text = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)

    assert (whole.choices[0].finish_reason, upstream.asked) == ("content_filter", [])
    assert text.startswith(REFUSAL)
    assert whole.choices[0].message.content.startswith(REFUSAL)


def test_the_test_page_judges_too(proxy: Proxy) -> None:
    """LiteLLM's own endpoint for trying guardrails gets the same verdicts."""
    url = proxy[0].removesuffix("/v1") + "/guardrails/apply_guardrail"

    def said(text: str) -> str:
        body = {"guardrail_name": "guardrail", "text": text, "input_type": "response"}
        answer = httpx.post(url, json=body, headers={"authorization": f"Bearer {KEY}"})
        return str(answer.json()["response_text"])

    assert said(SAFE) == SAFE
    assert MARKER not in said(UNSAFE)


def test_hooks_stand_in_every_class_of_its_own() -> None:
    """LiteLLM silently passes over hooks that a class inherits."""

    class Own(LiteLLMGuardrail):
        pass

    for kind in (LiteLLMGuardrail, Own):
        hooks = {"apply_guardrail", "async_post_call_success_hook"}
        assert {*hooks, "async_post_call_streaming_iterator_hook"} <= set(vars(kind))


@pytest.mark.parametrize(
    "options",
    [{"run_in_parallel": True}, {"stream_scope": "non_streaming"}, {"event_hook": "logging_only"}],
)
def test_options_that_would_pass_unjudged_replies_are_refused(options: dict[str, Any]) -> None:
    """A guardrail that would not guard does not start."""
    with pytest.raises(ConfigError, match="unjudged"):
        LiteLLMGuardrail(Guard(StubClassifier()), **options)


@pytest.mark.usefixtures("proxy")
def test_a_proxy_with_assistants_is_refused() -> None:
    """LiteLLM calls no guardrail for threads, so beside their settings none of ours starts."""
    from litellm.proxy.proxy_server import proxy_config

    known = dict(proxy_config.get_config_state())
    settings = {"custom_llm_provider": "openai", "litellm_params": {"api_key": "k"}}
    proxy_config.update_config_state({**known, "assistant_settings": settings})
    try:
        with pytest.raises(ConfigError, match="assistants"):
            LiteLLMGuardrail(Guard(StubClassifier()))
    finally:
        proxy_config.update_config_state(known)
