"""Replies of any shape, made from real ones: whatever comes out of the wire was judged."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardrail import Guard, Policy, UnguardedCall
from guardrail.integrations.escapes import readable
from guardrail.integrations.openai_wire import GuardedBytes, answer, failed, read_call
from guardrail.integrations.openai_wire.reading import is_label
from guardrail.integrations.openai_wire.sse import Decoder
from guardrail.testing import StubClassifier
from guardrail.window import Window

from .openai_upstream import (
    call_events,
    chat,
    chat_chunks,
    chunk,
    message,
    message_events,
    response,
    response_events,
    sse,
)

MARKER = "나쁜말"
TEXT = "환불은 사흘쯤 걸려요. 더 궁금하신 점이 있나요?"
CALL = {"id": "c1", "type": "function", "function": {"name": "찾기", "arguments": '{"q": "질문"}'}}
TOKEN = {"token": "가", "bytes": [234, 176, 128], "logprob": -0.1, "top_logprobs": []}
PARTS = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "생각 중이에요."}], "closed": True},
    {"type": "text", "text": "말이에요."},
]
NOTE = {"type": "url_citation", "title": "제목", "url": "주소", "start_index": 0, "end_index": 1}
SEARCH = {"id": "w", "type": "web_search_call", "status": "completed", "action": {"query": "물음"}}
THOUGHT = {
    "id": "r",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "생각이에요."}],
    "encrypted_content": "AbC+/=",
}
FAILURE = {"message": "잘못됐어요", "type": "server_error", "param": None, "code": "x"}


def rich_chat() -> dict[str, Any]:
    """Return a completion with something in every field."""
    whole = chat(TEXT, "가", tool_calls=[CALL], annotations=[NOTE], reasoning_content="생각")
    whole["choices"][1]["message"] = {"role": "assistant", "content": "가", "refusal": None}
    whole["choices"].append({"index": 2, "message": {"role": "assistant", "content": PARTS}})
    whole["choices"][1]["logprobs"] = {"content": [TOKEN], "refusal": None}
    whole |= {"system_fingerprint": "fp_1", "service_tier": "default", "metadata": {"a": "b"}}
    return whole


def rich_response() -> dict[str, Any]:
    """Return a response with items of every kind."""
    said = message(TEXT)
    said["content"][0] |= {"annotations": [NOTE], "logprobs": []}
    call = {"id": "f", "type": "function_call", "call_id": "c", "name": "찾기", "arguments": "{}"}
    code = {"id": "k", "type": "code_interpreter_call", "code": "1", "outputs": [{"type": "logs", "logs": "기록"}]}  # fmt: skip
    return response(THOUGHT, said, call, SEARCH, code)


def chunks() -> list[dict[str, Any]]:
    """Return the chunks of a completion with something in every field."""
    delta = {"index": 0, **CALL}
    return [
        chunk(reasoning_content="생각이에요. "),
        *chat_chunks(TEXT, "가나다", size=5),
        {**chunk(0), "choices": [{"index": 0, "delta": {"content": "가"}, "logprobs": {"content": [TOKEN]}}]},
        chunk(1, content=PARTS),
        chunk(tool_calls=[delta]),
        chunk(0, "tool_calls"),
        {"error": FAILURE},
    ]  # fmt: skip


def events() -> list[dict[str, Any]]:
    """Return the events of a response with items of several kinds."""
    aside = {"type": "response.output_text.annotation.added", "output_index": 0, "content_index": 0, "annotation": NOTE}  # fmt: skip
    done = {"type": "response.output_item.done", "output_index": 2, "item": SEARCH}
    thought = {"type": "response.output_item.done", "output_index": 3, "item": THOUGHT}
    spoken = [*message_events(TEXT, size=5), aside]
    failure = {"type": "error", **FAILURE}
    return [*response_events(*spoken, *call_events('{"a": "값"}', 1), done, thought), failure]


WHOLE = {"chat/completions": rich_chat, "responses": rich_response}
STREAMED = {"chat/completions": chunks, "responses": events}

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
JUNK = st.one_of(
    SCALARS,
    st.sampled_from(["", MARKER, "[DONE]", "\ud800", "message", "error", "response.completed"]),
    st.sampled_from(["[]", "{}", '[["가"]]', '{"나": [1, "다"]}', "1" * 400, "[" * 300 + "]" * 300]).map(
        json.loads
    ),
)  # fmt: skip
Place = tuple[Any, Any]  # a container, and a key in it


def places(value: Any) -> Iterator[Place]:
    """Yield every place in a JSON value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in list(pairs):
        yield value, key
        if isinstance(one, dict | list):
            yield from places(one)


def place(data: st.DataObject, value: Any) -> Place:
    """Return one of the places of a JSON value."""
    known = list(places(value))
    return known[data.draw(st.integers(0, len(known) - 1))]


def odd(data: st.DataObject, value: Any, marker: str | None = MARKER) -> Any:
    """Return a value with some places of it changed, and perhaps a text put somewhere."""
    changed = copy.deepcopy(value)
    for _ in range(data.draw(st.integers(0, 3))):
        if not changed:
            break
        container, key = place(data, changed)
        match data.draw(st.sampled_from(["put", "add", "drop", "move"])):
            case "put":
                container[key] = data.draw(JUNK)
            case "add" if isinstance(container, dict):
                container[data.draw(st.text(max_size=3))] = data.draw(JUNK)
            case "drop":
                container.pop(key)
            case "move":
                target, other = place(data, value)
                container[key] = copy.deepcopy(target[other])
    if marker is not None and changed:
        mark(data, changed, marker)
    return changed


def mark(data: st.DataObject, value: Any, marker: str) -> None:
    """Put a text at some place: in a string, instead of something, or as a name."""
    container, key = place(data, value)
    old, how = container[key], data.draw(st.sampled_from(["in", "name", "instead"]))
    if how == "in" and isinstance(old, str):
        container[key] = f"{old}{marker}"
    elif how == "name" and isinstance(container, dict):
        container[marker] = old
    else:
        container[key] = marker


def guard_of(unsafe: str) -> tuple[Guard, StubClassifier]:
    classifier = StubClassifier(unsafe)
    return Guard(classifier, Policy(window=Window(first=8))), classifier


def call_of(path: str, **fields: Any) -> Any:
    asked = {"model": "m", "messages": [{"role": "user", "content": "질문"}], "input": "질문"}
    return read_call("POST", path, lambda: json.dumps({**asked, **fields}).encode())


def out_of(reply: Any, path: str, guard: Guard) -> list[Any]:
    """Return what comes out of a whole reply."""
    try:
        return [json.loads(answer(call_of(path), json.dumps(reply).encode(), guard))]
    except UnguardedCall:
        return []


class Body:
    """A reply's bytes."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def close(self) -> None:
        """Do nothing."""


def stream_out_of(replies: list[Any], path: str, guard: Guard) -> list[Any]:
    """Return the events that come out of a stream, up to its end or to what cannot be read."""
    raw = b"".join(sse(json.dumps(one)) for one in [*replies, "[DONE]"])
    out = b""
    with suppress(UnguardedCall):
        for piece in GuardedBytes(call_of(path, stream=True, n=2), Body([raw]), guard):
            out += piece
    return [json.loads(event.data) for event in Decoder().feed(out) if not event.is_done]


def strings_in(value: Any) -> Iterator[str]:
    """Yield all strings of a JSON value, names too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from value
        for one in value.values():
            yield from strings_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from strings_in(one)


def unjudged(out: list[Any], classifier: StubClassifier) -> list[str]:
    """Return the strings that came out and were never shown to the judge."""
    seen = "\n\n".join(classifier.seen)
    texts = (readable(text) for one in out for text in strings_in(one) if not is_label(text))
    return [text for text in texts if text not in seen and text != "질문"]


fuzzed = settings(
    max_examples=50,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)  # fmt: skip


@pytest.mark.parametrize("path", WHOLE)
@fuzzed
@given(data=st.data())
def test_no_unsafe_text_of_a_whole_reply_comes_out(path: str, data: st.DataObject) -> None:
    """Wherever it stands, and however odd the rest is."""
    guard, _ = guard_of(MARKER)

    out = out_of(odd(data, WHOLE[path]()), path, guard)

    assert not any(MARKER in text for text in strings_in(out))


@pytest.mark.parametrize("path", WHOLE)
@fuzzed
@given(data=st.data())
def test_nothing_to_read_in_a_whole_reply_was_not_judged(path: str, data: st.DataObject) -> None:
    """Every string that comes out was shown to the judge, but for names and numbers."""
    guard, classifier = guard_of("never")

    out = out_of(odd(data, WHOLE[path](), None), path, guard)

    assert unjudged(out, classifier) == []


@pytest.mark.parametrize("path", STREAMED)
@fuzzed
@given(data=st.data())
def test_no_unsafe_text_of_a_stream_comes_out(path: str, data: st.DataObject) -> None:
    """Wherever it stands, and however odd the rest is."""
    guard, _ = guard_of(MARKER)

    out = stream_out_of(odd(data, STREAMED[path]()), path, guard)

    assert not any(MARKER in text for text in strings_in(out))


@pytest.mark.parametrize("path", STREAMED)
@fuzzed
@given(data=st.data())
def test_nothing_to_read_in_a_stream_was_not_judged(path: str, data: st.DataObject) -> None:
    """Every string that comes out was shown to the judge, but for names and numbers."""
    guard, classifier = guard_of("never")

    out = stream_out_of(odd(data, STREAMED[path](), None), path, guard)

    assert unjudged(out, classifier) == []


@fuzzed
@given(data=st.data(), status=st.sampled_from([500, 502, 503, 529]))
def test_no_unsafe_text_of_a_failure_comes_out(data: st.DataObject, status: int) -> None:
    """A server that fails while it answers may quote the answer."""
    guard, _ = guard_of(MARKER)
    body = odd(data, {"error": FAILURE, "detail": [{"msg": "m"}]})

    out = failed(status, json.dumps(body).encode(), guard)

    assert MARKER not in out.decode()


@pytest.mark.parametrize("path", WHOLE)
@fuzzed
@given(data=st.data())
def test_any_request_is_read_or_refused(path: str, data: st.DataObject) -> None:
    """Whatever stands in it, it makes no other error."""
    parts = [{"type": "text", "text": "질문"}, {"type": "image_url", "image_url": {"url": "u"}}]
    asked = {
        "model": "m",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": parts}],
        "input": [{"role": "user", "content": parts}],
        "instructions": "i",
        "n": 2,
        "stream": True,
        "modalities": ["text"],
        "response_format": {"type": "text"},
        "text": {"format": {"type": "text"}},
    }
    body = json.dumps(odd(data, asked)).encode()

    try:
        call = read_call("POST", path, lambda: body)
    except UnguardedCall:
        return
    assert call is not None
    assert call.asked
