"""The gateway's guarded calls, over real sockets, with the real client."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from guardrail import Guard, Policy
from guardrail.classifiers.base import Classifier
from guardrail.errors import ClassifierError
from guardrail.testing import ListHook, StubClassifier
from guardrail.types import Conversation, Verdict

from ..conftest import Mode
from .gateways import MARKER, Served, serving
from .openai_calls import ASKS, MESSAGES, USER, Ask, says, seen_of
from .openai_upstream import (
    USAGE,
    Asked,
    Said,
    call_events,
    chat,
    chat_stream,
    chunk,
    response_stream,
    sse,
)

SAFE = "안녕하세요, 고객님. 환불은 영업일로 사흘쯤 걸려요. 더 궁금한 점이 있으신가요?"
UNSAFE = f"안녕하세요, 고객님. 그럼 {MARKER}부터 알려 드릴게요. 이어서 말씀드릴게요."
REFUSAL = "죄송합니다"
BODY = {"model": "m", "messages": MESSAGES}


@pytest.fixture(scope="module")
def safe() -> Iterator[Served]:
    with serving(says(SAFE)) as served:
        yield served


@pytest.fixture(scope="module")
def unsafe() -> Iterator[Served]:
    with serving(says(UNSAFE)) as served:
        yield served


@pytest.fixture(params=ASKS)
def ask(request: pytest.FixtureRequest) -> Ask:
    return ASKS[request.param]


def streamed(served: Served, **fields: Any) -> str:
    """Return all bytes of a streamed chat completion, as text."""
    body = {**BODY, "stream": True, **fields}
    return httpx.post(f"{served.url}/chat/completions", json=body, timeout=10).text


def content_of(text: str) -> str:
    """Return what the chunks of a stream add up to."""
    chunks = [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: {")]
    choices = [choice for one in chunks for choice in one["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def test_a_safe_reply_comes_whole(mode: Mode, ask: Ask, safe: Served) -> None:
    """What passes, passes to the character, whichever way the client asks."""
    assert seen_of(mode, ask, says(""), None, base_url=safe.url).text == SAFE


def test_an_unsafe_reply_is_replaced(mode: Mode, ask: Ask, unsafe: Served) -> None:
    """No way of asking shows anything of an unsafe passage; the refusal ends the reply."""
    seen = seen_of(mode, ask, says(""), None, base_url=unsafe.url)

    assert MARKER not in seen.all
    assert REFUSAL in seen.text
    assert seen.finish == "content_filter"


def test_usage_stays_with_a_refusal(unsafe: Served) -> None:
    """What a blocked reply has cost is told all the same."""
    with unsafe.client() as client:
        whole = client.chat.completions.create(model="m", messages=MESSAGES)
        other = client.responses.create(model="m", input=USER)

    assert (whole.usage.total_tokens, other.usage.total_tokens) == (8, 8)


def test_include_usage_comes_through(safe: Served) -> None:
    """The chunk without choices, which holds the usage, stays the last one."""
    with safe.client() as client:
        options = {"include_usage": True}
        create = client.chat.completions.create
        chunks = list(create(model="m", messages=MESSAGES, stream=True, stream_options=options))

    assert chunks[-1].usage.to_dict() == USAGE


def test_the_request_goes_upstream_as_it_came(safe: Served) -> None:
    """Fields that nobody here knows go along, to the byte; so does the query."""
    raw = json.dumps({**BODY, "no_such_field": {"가": [1.0, None]}}).encode()
    url = f"{safe.url}/chat/completions?api-version=7"
    httpx.post(
        url, content=raw, headers={"content-type": "application/json", "x-mine": "가".encode()}
    )
    asked = safe.upstream.asked[-1]

    assert asked.body == json.loads(raw)
    assert asked.path == "/v1/chat/completions?api-version=7"
    assert asked.headers["x-mine"].encode("latin-1").decode() == "가"


def test_every_choice_is_judged() -> None:
    """An unsafe choice is replaced, the safe one beside it stays whole."""

    def reply(asked: Asked) -> Said:
        texts = (SAFE, UNSAFE)
        return Said(chat_stream(*texts) if asked.body.get("stream") else chat(*texts))

    with serving(reply) as served, served.client() as client:
        create = client.chat.completions.create
        whole = create(model="m", messages=MESSAGES, n=2)
        parts = ["", ""]
        for one in create(model="m", messages=MESSAGES, n=2, stream=True):
            for choice in one.choices:
                parts[choice.index] += choice.delta.content or ""

    assert [choice.finish_reason for choice in whole.choices] == ["stop", "content_filter"]
    assert (whole.choices[0].message.content, parts[0]) == (SAFE, SAFE)
    assert MARKER not in whole.choices[1].message.content + parts[1]


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_events_may_be_split_anywhere(size: int) -> None:
    """In the middle of a line, or of the bytes of a Hangul syllable."""
    raw = b"".join(chat_stream(SAFE))
    pieces = [raw[start : start + size] for start in range(0, len(raw), size)]
    with serving(lambda _: Said(pieces)) as served:
        text = streamed(served)

    assert content_of(text) == SAFE


def test_unknown_events_are_withheld() -> None:
    """What cannot be read may hold anything."""
    strange = sse({"object": "chat.completion.new", "text": UNSAFE}, "novelty")
    events = [strange, sse(UNSAFE), *chat_stream(SAFE)]
    with serving(lambda _: Said(events)) as served:
        text = streamed(served)

    assert MARKER not in text
    assert '"finish_reason":"stop"' in text


def test_calls_of_tools_are_judged() -> None:
    """The arguments of a call show their text like any other."""

    def reply(asked: Asked) -> Said:
        arguments = json.dumps({"query": UNSAFE if asked.body["model"] == "bad" else SAFE})
        return Said(response_stream(*call_events(arguments)))

    with serving(reply) as served, served.client() as client:
        bad = list(client.responses.create(model="bad", input=USER, stream=True))
        good = list(client.responses.create(model="good", input=USER, stream=True))

    assert bad[-1].type == "response.incomplete"
    assert json.loads(good[-1].response.output[0].arguments) == {"query": SAFE}


def test_nothing_is_committed_before_the_first_verdict() -> None:
    """A classifier that fails at once gives an error, and no stream that has begun."""
    guard = Guard(StubClassifier(error=ClassifierError("down")))
    with serving(says(SAFE), guard) as served, served.client() as client:
        for stream in (False, True):
            with pytest.raises(openai.InternalServerError) as caught:
                client.chat.completions.create(model="m", messages=MESSAGES, stream=stream)

            assert caught.value.status_code == 503
            assert caught.value.code == "classifier_unavailable"
            assert caught.value.response.headers["x-should-retry"] == "false"


def test_a_slow_classifier_gives_a_timeout() -> None:
    """What the policy allows it is the limit, whole or streamed."""
    guard = Guard(StubClassifier(delay=5), Policy(timeout=0.05))
    with serving(says(SAFE), guard) as served, served.client() as client:
        for stream in (False, True):
            with pytest.raises(openai.InternalServerError) as caught:
                client.chat.completions.create(model="m", messages=MESSAGES, stream=stream)

            assert (caught.value.status_code, caught.value.code) == (504, "classifier_timeout")


class FailingLater(Classifier):
    """Judges once, and fails from then on."""

    def __init__(self) -> None:
        self._asked = 0

    def classify_many(self, conversations: Any) -> list[Verdict]:
        """Judge, or fail."""
        self._asked += 1
        if self._asked > 1:
            raise RuntimeError("out of memory")
        return [Verdict(False, 0.0) for _ in conversations]


def test_a_classifier_that_fails_in_a_stream_ends_it() -> None:
    """What was judged has been shown; nothing follows but the refusal."""
    shown = threading.Event()

    def reply(_: Asked) -> Said:
        def events() -> Iterator[bytes]:
            first, *rest = (chunk(content=f"{SAFE} ") for _ in range(20))
            yield sse(first)
            shown.wait(10)
            yield from map(sse, rest)

        return Said(events())

    text = ""
    with serving(reply, Guard(FailingLater())) as served:
        url, body = f"{served.url}/chat/completions", {**BODY, "stream": True}
        with httpx.stream("POST", url, json=body, timeout=10) as stream:
            for piece in stream.iter_text():
                text += piece
                shown.set()

    said, _, rest = content_of(text).partition(REFUSAL)
    assert said == f"{SAFE} "
    assert rest
    assert '"finish_reason":"content_filter"' in text


def test_a_stream_that_upstream_breaks_off_ends_in_an_error() -> None:
    """What was held is not shown; the client learns that the reply is not whole."""

    def reply(_: Asked) -> Said:
        def events() -> Iterator[bytes]:
            yield sse(chunk(content="안녕하세요, 고객님. 잠시만 기다려 주세요. 확인해 볼게요. "))
            time.sleep(0.2)
            yield sse(chunk(content="나머지"))
            raise OSError

        return Said(events())

    with serving(reply) as served, served.client() as client:
        stream = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        shown = told = ""
        try:
            for one in stream:
                shown += one.choices[0].delta.content or ""
        except openai.APIError as error:
            told = str(error)

    assert "upstream" in told
    assert "안녕하세요" in shown
    assert "나머지" not in shown


def test_silence_is_filled_with_comments() -> None:
    """While text is held, proxies see that the stream lives; clients see nothing of it."""

    def reply(_: Asked) -> Said:
        def events() -> Iterator[bytes]:
            yield sse(chunk(content="안녕하세요, 고객님. 잠시만 기다려 주세요. 확인해 볼게요. "))
            time.sleep(0.3)
            yield from chat_stream("네.")

        return Said(events())

    with serving(reply, keep_alive=0.05) as served:
        text = streamed(served)

    assert text.count(": keep-alive\n\n") >= 3
    assert text.startswith("data: {")
    assert text.endswith("data: [DONE]\n\n")


def test_the_users_turn_is_judged_if_the_policy_wants_it() -> None:
    """A blocked question never goes upstream."""
    guard = Guard(StubClassifier(USER), Policy(check_input=True))
    with serving(says(SAFE), guard) as served, served.client() as client:
        whole = client.chat.completions.create(model="m", messages=MESSAGES)
        events = list(client.responses.create(model="m", input=USER, stream=True))

        assert served.upstream.asked == []
    assert whole.choices[0].finish_reason == "content_filter"
    assert events[-1].type == "response.incomplete"


def test_streams_are_measured_and_recorded() -> None:
    """One record for each reply; nothing was released before a verdict."""
    hook = ListHook()
    with serving(says(SAFE), Guard(StubClassifier(MARKER), hooks=[hook])) as served:
        streamed(served)
        figures = httpx.get(f"{served.root}/metrics").text

    assert [record.status for record in hook.records] == ["allowed"]
    assert "guardrail_held_characters_count 1.0" in figures
    assert "guardrail_released_before_verdict_characters_total 0.0" in figures


def test_a_leak_would_be_counted() -> None:
    """The meter compares what was shown with what passed: a text that no verdict covered counts."""
    from guardrail.integrations.gateway.watching import Watch

    watch = Watch(Guard(StubClassifier(MARKER)))
    watch.took(0, "안녕하세요")
    watch.meter.knows_verdicts = True
    watch.showed(0, "안녕하세요")

    assert watch.meter.figures().released_before_verdict == 5


def test_one_request_knows_nothing_of_another() -> None:
    """A watch sees its own decisions only, and the guard it was made from stays as it was."""
    from guardrail.integrations.gateway.watching import Watch

    guard = Guard(StubClassifier(MARKER))
    policy, watches = guard.policy, (Watch(guard), Watch(guard))
    conversation: Conversation = says_to(UNSAFE)
    watches[0].guard.review([conversation])

    assert [len(watch.decisions) for watch in watches] == [1, 0]
    assert guard.policy is policy


def says_to(text: str) -> Conversation:
    """Return a conversation that ends in a reply."""
    from guardrail.types import exchange

    return exchange(USER, text)
