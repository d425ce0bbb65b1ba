"""The wire's rules, without a socket: what is judged, what is held, and what a refusal looks like."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail import Guard, Policy, UnguardedCall
from guardrail.integrations.openai_wire import (
    GuardedAsyncBytes,
    GuardedBytes,
    answer,
    failed,
    read_call,
)
from guardrail.integrations.openai_wire.logprobs import spelled
from guardrail.integrations.openai_wire.sse import Decoder, ServerEvent, encode
from guardrail.testing import StubClassifier
from guardrail.types import Role, Turn
from guardrail.window import Window

from ..conftest import Answering, Mode
from .openai_upstream import (
    CHUNK,
    USAGE,
    call_events,
    chat,
    chat_stream,
    chunk,
    message,
    message_events,
    pieces_of,
    response,
    response_stream,
    sse,
)

MARKER = "나쁜말"
REFUSAL = "죄송합니다"
WINDOW = Window()
CHAT = "chat/completions"
RESPONSES = "responses"
SAFE = (
    "환불은 사흘쯤 걸려요. 상품을 받으신 날부터 이레 안에 신청해 주세요! 더 궁금하신 점이 있나요? "
    * 3
)


class Body:
    """A reply's bytes, for either half."""

    def __init__(self, pieces: list[bytes], error: Exception | None = None) -> None:
        self.closed = 0
        self.taken = 0
        self._pieces = pieces
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.taken += 1
            yield piece
        if self._error is not None:
            raise self._error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            await asyncio.sleep(0)
            yield piece

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


def call_of(path: str = CHAT, **body: Any) -> Any:
    asked = {
        "model": "m",
        "messages": [{"role": "user", "content": "질문"}],
        "input": "질문",
        **body,
    }
    return read_call("POST", path, lambda: json.dumps(asked).encode())


def guard_of(window: Window | None = WINDOW, **options: Any) -> Guard:
    return Guard(StubClassifier(MARKER), Policy(window=window, **options))


def streamed(
    mode: Mode, body: Body, guard: Guard, path: str = CHAT, **asked: Any
) -> list[dict[str, Any]]:
    """Return the JSON events the caller of a stream sees."""
    call = call_of(path, stream=True, **asked)

    async def collect() -> bytes:
        source = GuardedAsyncBytes(call, body, guard)
        try:
            return b"".join([piece async for piece in source])
        finally:
            await source.aclose()

    if mode is Mode.ASYNC:
        raw = asyncio.run(collect())
    else:
        source = GuardedBytes(call, body, guard)
        try:
            raw = b"".join(source)
        finally:
            source.close()
    return [json.loads(event.data) for event in Decoder().feed(raw) if not event.is_done]


def said(events: list[dict[str, Any]], index: int = 0) -> str:
    """Return the text a choice, or a response, shows in its deltas."""
    if any("choices" not in event for event in events):
        return "".join(event["delta"] for event in events if event["type"].endswith("_text.delta"))
    choices = [choice for event in events for choice in event["choices"]]
    deltas = [choice["delta"] for choice in choices if choice["index"] == index]
    return "".join(delta.get("content") or "" for delta in deltas)


def finishes(events: list[dict[str, Any]], index: int = 0) -> list[str]:
    choices = [choice for event in events for choice in event["choices"]]
    ends = [one["finish_reason"] for one in choices if one["index"] == index]
    return [end for end in ends if end]


STREAMS = {
    CHAT: chat_stream,
    RESPONSES: lambda text: response_stream(*message_events(text)),
}


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize("position", range(0, len(SAFE), 4))
def test_nothing_unsafe_is_shown_wherever_it_stands(mode: Mode, path: str, position: int) -> None:
    """What a stream shows before a refusal ends before the unsafe passage."""
    text = SAFE[:position] + MARKER + SAFE[position:]

    events = streamed(mode, Body(STREAMS[path](text)), guard_of(), path)

    shown, refusal, _ = said(events).partition(REFUSAL)
    assert refusal
    assert SAFE[:position].startswith(shown)
    assert MARKER not in json.dumps(events, ensure_ascii=False)


@given(data=st.data(), text=st.text(alphabet="가나다 .\n요죠a😀\u1112", max_size=80))
@settings(max_examples=60)
@pytest.mark.parametrize("path", STREAMS)
def test_bytes_may_be_cut_anywhere(mode: Mode, path: str, data: st.DataObject, text: str) -> None:
    """A safe reply comes whole however its bytes are cut, inside of a syllable too."""
    raw = b"".join(STREAMS[path](text))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)), max_size=30)))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]

    assert said(streamed(mode, Body(pieces), guard_of(), path)) == text


LINES = st.lists(
    st.sampled_from(
        ["data: 가", "data:b", "data", "event: e", ":c", "id: 1", "retry: 5", "", "", "x: y"]
    )
)


@given(lines=LINES, ends=st.data())
def test_events_are_the_same_however_their_bytes_come(
    lines: list[str], ends: st.DataObject
) -> None:
    """Line ends of all three kinds, cut anywhere, give the same events as whole lines."""
    raw = b"\xef\xbb\xbf" + b"".join(
        line.encode() + ends.draw(st.sampled_from([b"\n", b"\r", b"\r\n"])) for line in lines
    )
    decoder = Decoder()

    one_by_one = [event for byte in raw for event in decoder.feed(bytes([byte]))]

    assert one_by_one == Decoder().feed(raw)


def test_an_event_survives_the_wire() -> None:
    """What is encoded is decoded to the same, half a surrogate pair as its escape."""
    event = ServerEvent("e", '{"a":"한\\n\ud800"}')

    (decoded,) = Decoder().feed(encode(event))

    assert decoded.json() == {"a": "한\n\ud800"}


def test_an_unended_event_is_dropped() -> None:
    """As the standard says: what no empty line ends, never was."""
    assert Decoder().feed(b"data: a\n") == []


def test_every_choice_is_a_lane(mode: Mode) -> None:
    """An unsafe choice is replaced, and the others go on to their end."""
    texts = (SAFE, f"{MARKER}입니다. {SAFE}", SAFE[:50])

    events = streamed(mode, Body(chat_stream(*texts)), guard_of(), n=3)

    assert [said(events, 0), said(events, 2)] == [SAFE, SAFE[:50]]
    assert said(events, 1).startswith(REFUSAL)
    assert [finishes(events, index) for index in range(3)] == [
        ["stop"],
        ["content_filter"],
        ["stop"],
    ]
    assert events[-1] == {**CHUNK, "choices": [], "usage": USAGE}


def test_chunks_with_several_choices_are_taken_apart(mode: Mode) -> None:
    """One chunk may carry pieces of several choices."""
    both = {
        **CHUNK,
        "choices": [*chunk(0, content="a")["choices"], *chunk(1, content=MARKER)["choices"]],
    }

    events = streamed(mode, Body([sse(both), sse("[DONE]")]), guard_of(), n=2)

    assert said(events, 0) == "a"
    assert said(events, 1).startswith(REFUSAL)


def test_upstream_is_closed_on_a_block(mode: Mode) -> None:
    """Nothing more is read of a stream that was cut off."""
    body = Body([*chat_stream(MARKER + ". " + SAFE * 20)])

    streamed(mode, body, guard_of())

    assert body.closed
    assert body.taken < 400


def test_usage_survives_a_block_at_the_end(mode: Mode) -> None:
    """Usage that came is passed on, in a chunk of its own or with the last choice."""
    apart = streamed(mode, Body(chat_stream(MARKER)), guard_of(None))
    last = {**chunk(0, "stop"), "usage": USAGE}
    along = streamed(mode, Body([sse(chunk(content=MARKER)), sse(last)]), guard_of(None))

    assert [event.get("usage") for event in apart][-1] == USAGE
    assert [event.get("usage") for event in along] == [None, USAGE]


@pytest.mark.parametrize("field", ["content", "refusal", "reasoning_content", "reasoning"])
def test_every_text_of_a_delta_is_judged(mode: Mode, field: str) -> None:
    """Content, refusals and reasoning are one reply."""
    body = Body([sse(chunk(**{field: part})) for part in pieces_of(f"생각. {MARKER}", 1)])

    events = streamed(mode, body, guard_of())

    assert said(events).endswith("요.") or REFUSAL in said(events)
    assert "나" not in "".join(
        str(choice["delta"].get(field)) for e in events for choice in e["choices"]
    ).replace(said(events), "")


ESCAPED = json.dumps({"q": f"그 {MARKER}!"})


def test_arguments_of_tools_are_held_until_they_are_judged_whole(mode: Mode) -> None:
    """A call of a tool passes whole or not at all, escapes and calls by turns notwithstanding."""
    deltas = [
        chunk(
            tool_calls=[
                {
                    "index": index,
                    "id": f"c{index}",
                    "type": "function",
                    "function": {"name": "f", "arguments": ""},
                }
            ]
        )
        for index in range(2)
    ]
    for part in pieces_of(ESCAPED, 2):
        deltas += [
            chunk(tool_calls=[{"index": index, "function": {"arguments": part}}])
            for index in range(2)
        ]
    body = Body([*map(sse, [chunk(content="네. "), *deltas, chunk(0, "tool_calls")])])

    events = streamed(mode, body, guard_of())

    assert "tool_calls" not in json.dumps(events)
    assert said(events).startswith("네. " + REFUSAL)


def test_safe_calls_of_tools_pass_unchanged(mode: Mode) -> None:
    """Their events leave as they came, in their order."""
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}
    chunks = [
        chunk(content="잠시만요. "),
        chunk(tool_calls=[call]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": "}"}}]),
        chunk(0, "tool_calls"),
    ]

    assert streamed(mode, Body([*map(sse, chunks)]), guard_of()) == chunks


def test_calls_without_a_finish_are_judged_at_the_end(mode: Mode) -> None:
    """Upstream may break off; what was held is judged all the same."""
    call = {"index": 0, "function": {"name": "f", "arguments": MARKER}}

    events = streamed(mode, Body([sse(chunk(tool_calls=[call]))]), guard_of())

    assert said(events).startswith(REFUSAL)


def test_parts_that_come_by_turns_are_held(mode: Mode) -> None:
    """Text that is spread over two parts by turns is judged as the parts it makes up."""
    chunks = [
        chunk(reasoning="생각 "), chunk(content=MARKER[0]), chunk(reasoning="또 "), chunk(content=MARKER[1:]), chunk(0, "stop"),
    ]  # fmt: skip

    events = streamed(mode, Body([*map(sse, chunks)]), guard_of(Window(first=1)))

    assert said(events).partition(REFUSAL)[0] in ("", MARKER[0])
    assert MARKER[1:] not in json.dumps(events, ensure_ascii=False)


@pytest.mark.parametrize(
    "event",
    [
        {
            **CHUNK,
            "object": "chat.completion.news",
            "choices": [{"index": 0, "delta": {"content": MARKER}}],
        },
        {"anything": MARKER},
        {**CHUNK, "choices": [{"index": "0", "delta": {"content": MARKER}}]},
        {**CHUNK, "choices": [MARKER]},
        {**CHUNK, "choices": MARKER},
        {**CHUNK, "choices": [], "news": MARKER},
        chunk(thoughts=MARKER),
        chunk(content=[{"type": "image_url", "image_url": MARKER}]),
        chunk(audio={"transcript": MARKER, "data": "AAAA"}),
        {**CHUNK, "choices": [{"index": 0, "delta": {}, "message": {"content": MARKER}}]},
        {
            **CHUNK,
            "choices": [
                {
                    "index": 0,
                    "delta": {"content": "a"},
                    "logprobs": {"content": [{"token": MARKER}]},
                }
            ],
        },
        MARKER,
        f'{{"content": "{MARKER}',
    ],
)
def test_what_a_chunk_should_not_hold_is_withheld(mode: Mode, event: Any) -> None:
    """Unknown kinds of chunks, and unknown or odd fields in known ones, are not passed on."""
    body = Body([sse(event), sse(chunk(content="뒤")), sse("[DONE]")])

    events = streamed(mode, body, guard_of())

    assert MARKER not in json.dumps(events, ensure_ascii=False)
    assert said(events).endswith("뒤")


def test_token_probabilities_pass_where_they_spell_the_text(mode: Mode) -> None:
    """They are as safe as the text they spell, in bytes or in tokens."""
    tokens = [
        {"token": "\\xec", "bytes": [0xEC], "logprob": -0.1},
        {"token": "\\x95\\x88", "bytes": [0x95, 0x88], "logprob": -0.2},
    ]
    choice = {
        "index": 0,
        "delta": {"content": "안"},
        "logprobs": {"content": tokens, "refusal": None},
    }

    (event,) = streamed(mode, Body([sse({**CHUNK, "choices": [choice]})]), guard_of())

    assert event["choices"][0]["logprobs"] == {"content": tokens, "refusal": None}
    assert spelled([{"token": "a"}, {"token": "b"}], "ab")


@pytest.mark.parametrize(
    "tokens",
    [
        [{"tok": "a"}],
        [{"token": "a", "bytes": [999]}],
        [{"token": "a", "bytes": 10**12}],
        [{"token": "a", "bytes": "a"}],
        [{"token": ["a"]}],
        ["a"],
        {"token": "a"},
        "a",
    ],
)
def test_what_spells_nothing_is_no_token(tokens: Any) -> None:
    """Whatever its type, and however much memory its bytes would take."""
    assert spelled(tokens, "a") is None


def test_probabilities_say_nothing_that_was_not_judged() -> None:
    """Neither a token beside its bytes, nor what might have been said instead."""
    odd = {"token": MARKER, "bytes": [97], "logprob": MARKER, "news": MARKER}
    odd["top_logprobs"] = [{"token": MARKER, "logprob": -1.0, "bytes": None}]

    assert spelled([odd], "a") == [
        {"token": "a", "bytes": [97], "logprob": None, "top_logprobs": []}
    ]


def test_an_error_in_a_stream_passes_after_the_text(mode: Mode) -> None:
    """An error that upstream reports is passed on, without what stands beside it."""
    error = {"error": {"message": "overloaded", "code": 503, "failed_generation": MARKER}}

    events = streamed(mode, Body([sse(chunk(content="앞. ")), sse(error)]), guard_of())

    assert events[-1] == {"error": {"message": "overloaded", "code": 503}}


def test_an_exception_in_a_stream_shows_nothing_unjudged(mode: Mode) -> None:
    """What breaks off is raised, and what was not judged is dropped."""
    body = Body([sse(chunk(content="말"))], ConnectionResetError("gone"))

    with pytest.raises(ConnectionResetError):
        streamed(mode, body, guard_of())
    assert body.closed


def test_a_classifier_that_fails_in_mid_stream_fails_closed(mode: Mode) -> None:
    """From the first check without a verdict on, nothing passes but the refusal."""
    guard = Guard(Answering(RuntimeError("down")))

    events = streamed(mode, Body(chat_stream(SAFE)), guard)

    assert said(events).startswith(REFUSAL)


def test_monitoring_changes_nothing(mode: Mode) -> None:
    """A policy that only monitors lets the reply through as it is."""
    text = f"{SAFE}{MARKER}"

    events = streamed(mode, Body(chat_stream(text)), guard_of(mode="monitor"))

    assert said(events) == text


ITEMS: dict[str, list[dict[str, Any]]] = {
    "message": list(message_events(f"{SAFE}{MARKER}")),
    "arguments": list(call_events(ESCAPED)),
    "reasoning": [
        {"type": "response.output_item.added", "output_index": 0, "item": {"id": "r", "type": "reasoning", "summary": []}},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "item_id": "r", "delta": MARKER},
    ],
    "reasoning, whole at once": [
        {"type": "response.output_item.done", "output_index": 0, "item": {"id": "r", "type": "reasoning", "summary": [{"type": "summary_text", "text": MARKER}]}},
    ],
    "a refusal": [
        {"type": "response.refusal.delta", "output_index": 0, "content_index": 0, "item_id": "r", "delta": MARKER},
    ],
    "a part": [
        {"type": "response.content_part.done", "output_index": 0, "content_index": 0, "part": {"type": "output_text", "text": MARKER}},
    ],
    "an annotation": [
        {"type": "response.output_text.annotation.added", "output_index": 0, "content_index": 0, "annotation_index": 0, "annotation": {"type": "url_citation", "title": MARKER, "url": "u"}},
    ],
    "a search": [
        {"type": "response.output_item.done", "output_index": 0, "item": {"id": "w", "type": "web_search_call", "action": {"type": "search", "query": MARKER}}},
    ],
    "a tool's text without its item": [
        {"type": "response.custom_tool_call_input.delta", "output_index": 0, "item_id": "c", "delta": MARKER},
    ],
    "text at the end only": [
        {"type": "response.completed", "response": response(message(MARKER))},
    ],
    "text at the beginning": [
        {"type": "response.in_progress", "response": response(message(MARKER), status="in_progress")},
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", ITEMS)
def test_every_text_of_a_response_is_judged(mode: Mode, kind: str) -> None:
    """Whatever item it stands in, unsafe text ends the response in a refusal."""
    events = streamed(mode, Body(response_stream(*ITEMS[kind])), guard_of(), RESPONSES)

    assert MARKER not in json.dumps(events, ensure_ascii=False)
    assert MARKER not in json.dumps(events).encode().decode("unicode_escape", "replace")
    last = events[-1]["response"]
    assert (events[-1]["type"], last["status"]) == ("response.incomplete", "incomplete")
    assert last["incomplete_details"] == {"reason": "content_filter"}
    assert REFUSAL in last["output"][-1]["content"][-1]["text"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


WITHHELD: dict[str, dict[str, Any]] = {
    "an unknown event": {"type": "response.news.delta", "delta": MARKER},
    "sound": {"type": "response.audio.delta", "delta": "AAAA" + MARKER},
    "a picture": {"type": "response.output_item.done", "output_index": 7, "item": {"id": "i", "type": "image_generation_call", "result": MARKER}},
    "a partial picture": {"type": "response.image_generation_call.partial_image", "partial_image_b64": MARKER, "output_index": 7},
    "an unknown item": {"type": "response.output_item.added", "output_index": 7, "item": {"type": "news", "text": MARKER}},
    "an unknown part": {"type": "response.content_part.added", "output_index": 0, "content_index": 0, "part": {"type": "news", "text": MARKER}},
    "an unknown field": {"type": "response.web_search_call.searching", "output_index": 0, "item_id": "w", "news": MARKER},
    "no text": {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": [MARKER]},
    "no response": {"type": "response.in_progress", "response": MARKER},
    "an unknown field of a response": {"type": "response.in_progress", "response": {**response(), "news": MARKER}},
    "an unknown field of a message": {"type": "response.output_item.added", "output_index": 7, "item": {**message(""), "news": MARKER}},
}  # fmt: skip


@pytest.mark.parametrize("kind", WITHHELD)
def test_what_a_response_should_not_hold_is_withheld(mode: Mode, kind: str) -> None:
    """Unknown kinds of events, items and parts, and what is no text, are not passed on."""
    safe = list(message_events("안녕하세요. 반갑습니다."))
    body = Body(response_stream(WITHHELD[kind], *safe))

    events = streamed(mode, body, guard_of(), RESPONSES)

    assert MARKER not in json.dumps(events, ensure_ascii=False)
    assert events[-1]["type"] == "response.completed"
    assert said(events) == "안녕하세요. 반갑습니다."


def test_a_safe_response_leaves_as_it_came(mode: Mode) -> None:
    """Calls, text, annotations and all: the same events, annotations behind the text they mark."""
    note = {"type": "url_citation", "title": "제목", "url": "u", "start_index": 0, "end_index": 1}
    message_parts = list(message_events(SAFE, place=1))
    aside = {
        "type": "response.output_text.annotation.added",
        "output_index": 1,
        "content_index": 0,
        "item_id": "msg_1",
        "annotation_index": 0,
        "annotation": note,
    }
    message_parts.insert(5, aside)
    events = [*call_events('{"a":1}'), *message_parts]
    came = [json.loads(piece.split(b"data: ")[1]) for piece in response_stream(*events)]

    left = streamed(mode, Body(response_stream(*events)), guard_of(), RESPONSES)

    def order(event: dict[str, Any]) -> str:
        return json.dumps({**event, "sequence_number": 0}, sort_keys=True)

    for event in came:
        for part in (*event.get("item", {}).get("content", []), event.get("part")):
            if part and part["type"] == "output_text":
                part.setdefault("logprobs", [])
    assert sorted(map(order, left)) == sorted(map(order, came))
    assert said(left) == SAFE


def test_a_refusal_goes_on_in_the_message_under_way(mode: Mode) -> None:
    """What was shown and the refusal make up one text, in one message, under its own id."""
    text = f"{SAFE}{MARKER}"

    events = streamed(mode, Body(response_stream(*message_events(text))), guard_of(), RESPONSES)

    added = [event for event in events if event["type"] == "response.output_item.added"]
    (item,) = events[-1]["response"]["output"]
    assert [event["item"]["id"] for event in added] == ["msg_1"] == [item["id"]]
    assert item["content"][0]["text"] == said(events)


def test_where_json_was_asked_for_a_refusal_stands_apart(mode: Mode) -> None:
    """A refusal is never put where a program expects JSON."""
    kind = {"format": {"type": "json_schema", "name": "a", "schema": {}}}
    text = json.dumps({"answer": SAFE + MARKER}, ensure_ascii=False)

    events = streamed(
        mode, Body(response_stream(*message_events(text))), guard_of(), RESPONSES, text=kind
    )

    parts = events[-1]["response"]["output"][0]["content"]
    assert parts[-1]["type"] == "refusal"
    assert text.startswith(parts[0]["text"])
    assert not any(event["type"] == "response.output_text.done" for event in events)


def test_usage_of_a_response_survives_a_block_at_the_end(mode: Mode) -> None:
    """Usage that came with the last event is passed on."""
    body = Body(response_stream(*message_events(MARKER)))

    events = streamed(mode, body, guard_of(None), RESPONSES)

    assert events[-1]["response"]["usage"]["total_tokens"] == 8


WHOLE: dict[str, dict[str, Any]] = {
    "content": chat(MARKER),
    "refusal": chat("", refusal=MARKER),
    "reasoning": chat("", reasoning_content=MARKER),
    "arguments": chat("", tool_calls=[{"id": "c", "type": "function", "function": {"name": "f", "arguments": ESCAPED}}]),
    "custom": chat("", tool_calls=[{"id": "c", "type": "custom", "custom": {"name": "f", "input": MARKER}}]),
    "function": chat("", function_call={"name": "f", "arguments": MARKER}),
    "annotation": chat("", annotations=[{"type": "url_citation", "url_citation": {"title": MARKER}}]),
}  # fmt: skip


@pytest.mark.parametrize("kind", WHOLE)
def test_every_text_of_a_whole_reply_is_judged(kind: str) -> None:
    """An unsafe choice keeps nothing but the refusal; the rest of the reply stays."""
    reply = json.loads(answer(call_of(), json.dumps(WHOLE[kind]).encode(), guard_of()))

    (choice,) = reply["choices"]
    assert choice["finish_reason"] == "content_filter"
    assert set(choice["message"]) == {"role", "content", "refusal"}
    assert reply["usage"] == USAGE


def test_unknown_fields_of_a_whole_reply_are_withheld() -> None:
    """What is not known to be harmless is left out, at every level."""
    odd = chat("가", thoughts=MARKER, audio={"transcript": MARKER})
    odd["news"] = odd["choices"][0]["news"] = MARKER
    odd["choices"][0]["logprobs"] = {"content": [{"token": MARKER}]}

    reply = answer(call_of(), json.dumps(odd).encode(), guard_of())

    assert json.loads(reply) == chat("가")


@pytest.mark.parametrize(
    "reply", [b"text", b"[]", b"{}", b'{"choices":["a"]}', b'{"object":"list"}']
)
@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_what_is_no_reply_is_refused(path: str, reply: bytes) -> None:
    """A whole reply of a shape nobody knows cannot be judged."""
    with pytest.raises(UnguardedCall):
        answer(call_of(path), reply, guard_of())


def test_errors_pass_without_what_stands_beside_them() -> None:
    """Some servers put the reply that failed into the error."""
    error = {"message": "m", "failed_generation": MARKER}

    raw = json.dumps({"error": error}).encode()

    known = {"error": {"message": "m"}}
    assert json.loads(failed(400, raw, guard_of())) == known
    assert json.loads(answer(call_of(), raw, guard_of())) == known
    assert failed(400, f"<html>{MARKER}".encode(), guard_of()) == b""


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *[("POST", path) for path in ("completions", "batches", "threads", "images/generations", "realtime/sessions", "conversations", "news", "", "../responses", "models/../responses", "responses/compact", "responses/r/cancel", "videos")],
        *[("GET", path) for path in ("responses/r", "chat/completions", "chat/completions/c", "files/f/content", "responses/r/input_items", "conversations/c/items", "batches", "threads/t/messages", "models/../responses/r", "files//")],
        ("DELETE", "threads/t"),
    ],
)  # fmt: skip
def test_what_may_carry_an_unjudged_reply_is_refused(method: str, path: str) -> None:
    """Paths that are not known, and known ones that hand out stored replies."""
    with pytest.raises(UnguardedCall):
        read_call(method, path, lambda: b"{}")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *[("POST", path) for path in ("embeddings", "moderations", "files", "uploads/u/parts", "audio/speech", "responses/input_tokens", "deployments/d/embeddings")],
        *[("GET", path) for path in ("models", "models/org/name", "files", "files/f", "vector_stores/v/files")],
        *[("DELETE", path) for path in ("files/f", "responses/r", "models/m")],
    ],
)  # fmt: skip
def test_what_carries_no_reply_passes(method: str, path: str) -> None:
    """Its body is not even read."""
    assert read_call(method, path, lambda: pytest.fail("was read")) is None


def test_speech_cannot_be_judged() -> None:
    """A spoken reply is refused before it is asked for."""
    with pytest.raises(UnguardedCall, match="spoken"):
        call_of(modalities=["text", "audio"])


def test_a_reply_is_judged_with_what_was_asked() -> None:
    """The conversation up to the user's last turn goes along; tools' results belong to the reply."""
    messages = [
        {"role": "developer", "content": "규칙"},
        {"role": "user", "content": [{"type": "text", "text": "질문"}, {"type": "image_url", "image_url": {}}]},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "content": "결과"},
    ]  # fmt: skip

    asked = (Turn(Role.SYSTEM, "규칙"), Turn(Role.USER, "질문"))
    assert call_of(messages=messages).asked == asked
    assert call_of(RESPONSES, input=messages[1:], instructions="규칙").asked == asked
    assert call_of(messages="odd").asked == (Turn(Role.USER, ""),)
