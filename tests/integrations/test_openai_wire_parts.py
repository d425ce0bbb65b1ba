"""Replies whose content is a list of parts, and replies of which nothing can be read."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest

from guardrail import UnguardedCall
from guardrail.integrations.openai_wire import answer

from ..conftest import Mode
from .gateways import serving
from .openai_calls import MESSAGES, done, items, run
from .openai_upstream import CHUNK, Asked, Said, Upstream, chat, chunk, message, response, sse
from .test_openai_wire import MARKER, REFUSAL, RESPONSES, Body, call_of, guard_of, streamed

GREETING = "안녕하세요, 고객님."
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "생각 중."}], "closed": True}
PICTURE = {"type": "image_url", "image_url": {"url": f"https://a.kr/{MARKER}"}}
READ = "could be read"


def part(text: str) -> dict[str, Any]:
    """Return a part of text."""
    return {"type": "text", "text": text}


def shown(reply: Any) -> str:
    """Return all of a reply as text, Hangul as it is."""
    return json.dumps(reply, ensure_ascii=False)


def whole(content: Any, **message: Any) -> Any:
    """Return what the caller sees of a whole reply."""
    raw = json.dumps(chat(content, **message)).encode()
    return json.loads(answer(call_of(), raw, guard_of()))


def spoken_by(*contents: Any) -> Body:
    """Return the body of a stream with a chunk for each content, and an end."""
    chunks = [chunk(content=content) for content in contents]
    return Body([*map(sse, chunks), sse(chunk(0, "stop")), sse("[DONE]")])


LISTS = {
    "text": [part("안녕"), part("하세요.")],
    "output text": [{"type": "output_text", "text": GREETING}],
    "a thought before": [THOUGHT, part(GREETING)],
    "a thought as text": [{"type": "reasoning", "text": "생각 중."}, part(GREETING)],
    "a refusal": [{"type": "refusal", "refusal": "도와드릴 수 없어요."}],
    "nothing": [part("")],
    "no parts": [],
}


@pytest.mark.parametrize("kind", LISTS)
def test_lists_of_parts_pass_as_they_came(mode: Mode, kind: str) -> None:
    """Whole and streamed, thoughts and all."""
    content = LISTS[kind]

    events = streamed(mode, spoken_by(content), guard_of())

    assert whole(content)["choices"][0]["message"]["content"] == content
    assert [event["choices"][0]["delta"] for event in events] == [{"content": content}, {}]


UNSAFE_LISTS = {
    "a part": [part(GREETING), part(MARKER)],
    "two halves": [part(MARKER[:1]), part(MARKER[1:])],
    "two halves around a thought": [part(MARKER[:1]), THOUGHT, part(MARKER[1:])],
    "a thought": [{"type": "thinking", "thinking": [part(MARKER)]}, part(GREETING)],
    "a thought in a thought": [{"type": "thinking", "thinking": [{"type": "thinking", "thinking": MARKER}]}],
    "a refusal": [{"type": "refusal", "refusal": MARKER}],
}  # fmt: skip


@pytest.mark.parametrize("kind", UNSAFE_LISTS)
def test_all_text_of_a_list_is_judged(mode: Mode, kind: str) -> None:
    """What makes a text together is judged together, in one list or over chunks."""
    parts = UNSAFE_LISTS[kind]
    at_once = streamed(mode, spoken_by(parts), guard_of())
    one_by_one = streamed(mode, spoken_by(*([one] for one in parts)), guard_of())

    assert whole(parts)["choices"][0]["finish_reason"] == "content_filter"
    for events in (at_once, one_by_one):
        assert REFUSAL in shown(events)
        assert MARKER not in shown(events)
        assert events[-1]["choices"][0]["finish_reason"] == "content_filter"


@pytest.mark.parametrize(
    "odd",
    [
        PICTURE,
        {"type": "reference", "reference_ids": [MARKER]},
        {"text": MARKER},
        {"type": "text", "text": [MARKER]},
        {"type": [], "text": MARKER},
        MARKER,
        [MARKER],
        7,
    ],
)
def test_what_is_no_text_in_a_list_is_withheld(mode: Mode, odd: Any) -> None:
    """The text beside it passes; so do no fields of a part but its text and labels."""
    text = {**part(GREETING), "news": MARKER, "index": 0}

    events = streamed(mode, spoken_by([odd, text]), guard_of())

    known = [{**part(GREETING), "index": 0}]
    assert whole([odd, text])["choices"][0]["message"]["content"] == known
    assert events[0]["choices"][0]["delta"] == {"content": known}


def test_parts_in_parts_take_no_time() -> None:
    """However deep they are, each is looked at once."""
    deep = part(MARKER)
    for _ in range(55):
        deep = {"type": "thinking", "thinking": [deep]}

    assert whole([deep])["choices"][0]["finish_reason"] == "content_filter"


LOST: dict[str, dict[str, Any]] = {
    "a picture": {"content": [PICTURE]},
    "a picture beside no text": {"content": [part(""), PICTURE]},
    "a picture after a thought": {"content": [PICTURE], "reasoning_content": "생각 중."},
    "an object": {"content": {"text": GREETING}},
    "a number": {"content": 42},
    "a call of no kind": {"tool_calls": {"name": "f"}},
    "words that are no text": {"content": [GREETING]},
}


@pytest.mark.parametrize("kind", LOST)
def test_a_message_of_which_nothing_can_be_read_is_an_error(mode: Mode, kind: str) -> None:
    """Never an empty success: whole, and streamed before its end."""
    content = {"content": None, **LOST[kind]}
    ended = [*map(sse, [chunk(role="assistant"), chunk(**content), chunk(0, "stop")])]
    unended = ended[:-1]

    with pytest.raises(UnguardedCall, match=READ):
        whole(content.pop("content"), **content)
    for body in (ended, unended):
        with pytest.raises(UnguardedCall, match=READ):
            streamed(mode, Body(body), guard_of())


LOST_EVENTS: dict[str, list[dict[str, Any]]] = {
    "of an unknown kind": [{**CHUNK, "object": "news", "choices": [{"index": 0, "delta": {"content": GREETING}}]}],
    "of no place": [{**CHUNK, "choices": [{"index": "0", "delta": {"content": GREETING}}]}, chunk(0, "stop")],
    "of no choice": [{**CHUNK, "choices": [GREETING]}],
    "of no known shape": [{"text": GREETING}],
    "no object": [{**CHUNK, "choices": [{"index": 0, "delta": GREETING}]}],
}  # fmt: skip


@pytest.mark.parametrize("kind", LOST_EVENTS)
def test_a_stream_of_which_nothing_can_be_read_is_an_error(mode: Mode, kind: str) -> None:
    """At its end, at the latest."""
    body = Body([*map(sse, LOST_EVENTS[kind]), sse("[DONE]")])

    with pytest.raises(UnguardedCall, match=READ):
        streamed(mode, body, guard_of())


@pytest.mark.parametrize("reply", [{"text": GREETING}, {"delta": {"content": GREETING}}])
def test_a_choice_without_its_message_is_an_error(reply: dict[str, Any]) -> None:
    """The text stands where no whole completion has it."""
    raw = json.dumps({**chat(), "choices": [reply]}).encode()

    with pytest.raises(UnguardedCall, match=READ):
        answer(call_of(), raw, guard_of())


EMPTY: dict[str, list[dict[str, Any]]] = {
    "no content": [chunk(role="assistant", content=None), chunk(0, "length")],
    "an end alone": [chunk(0, "content_filter")],
    "usage alone": [{**CHUNK, "choices": [], "usage": {"total_tokens": 1}}],
    "a ping": [{"type": "ping"}, chunk(content=""), chunk(0, "stop")],
    "nothing": [],
}


@pytest.mark.parametrize("kind", EMPTY)
def test_an_empty_reply_is_one(mode: Mode, kind: str) -> None:
    """A model may say nothing, and nothing is lost then."""
    body = Body([*map(sse, EMPTY[kind]), sse("[DONE]")])

    events = streamed(mode, body, guard_of())

    assert events == [event for event in EMPTY[kind] if "choices" in event]


LOST_ITEMS: dict[str, list[Any]] = {
    "a picture": [{"id": "i", "type": "image_generation_call", "result": MARKER}],
    "a picture after a thought": [
        {"id": "r", "type": "reasoning", "summary": [{"type": "summary_text", "text": "생각."}]},
        {"id": "i", "type": "image_generation_call", "result": MARKER},
    ],
    "a message of text": [{**message(""), "content": GREETING}],
    "a message of no known parts": [{**message(""), "content": [part(GREETING)]}],
    "no item": [GREETING],
}


@pytest.mark.parametrize("kind", LOST_ITEMS)
def test_a_response_of_which_nothing_can_be_read_is_an_error(mode: Mode, kind: str) -> None:
    """Whole, and streamed at its end."""
    said = response(*LOST_ITEMS[kind])
    end = {"type": "response.completed", "response": said}

    with pytest.raises(UnguardedCall, match=READ):
        answer(call_of(RESPONSES), json.dumps(said).encode(), guard_of())
    with pytest.raises(UnguardedCall, match=READ):
        streamed(mode, Body([sse(end)]), guard_of(), RESPONSES)


def test_an_empty_response_is_one(mode: Mode) -> None:
    """A model may say nothing, or think until its tokens are spent."""
    thought = {"id": "r", "type": "reasoning", "summary": []}
    for output in ([], [thought], [message("")], [{**message(""), "content": []}]):
        said = response(*output)
        end = {"type": "response.completed", "response": said}

        whole = json.loads(answer(call_of(RESPONSES), json.dumps(said).encode(), guard_of()))
        (event,) = streamed(mode, Body([sse(end)]), guard_of(), RESPONSES)

        assert whole["status"] == event["response"]["status"] == "completed"


def test_a_stream_of_messages_is_read(mode: Mode) -> None:
    """Some servers send a whole message where a delta belongs, and no index where there is one."""
    for text in (GREETING, f"{GREETING} {MARKER}"):
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        event = {**CHUNK, "object": "chat.completion", "choices": [choice]}

        (first, *_) = streamed(mode, Body([sse(event), sse("[DONE]")]), guard_of())

        assert (first["object"], first["choices"][0]["index"]) == ("chat.completion.chunk", 0)
        assert (first["choices"][0]["delta"]["content"] == text) == (text == GREETING)
        assert MARKER not in shown(first)


def test_two_choices_need_their_index(mode: Mode) -> None:
    """Nobody knows which is which."""
    nameless = [{"delta": {"content": GREETING}}, {"delta": {"content": GREETING}}]

    with pytest.raises(UnguardedCall, match=READ):
        streamed(mode, Body([sse({**CHUNK, "choices": nameless})]), guard_of())


def upstream_of(content: Any) -> Any:
    """Return an upstream that says a content, in whichever form it is asked."""

    def reply(asked: Asked) -> Said:
        if not asked.body.get("stream"):
            return Said(chat(content))
        chunks = [chunk(role="assistant"), chunk(content=content), chunk(0, "stop")]
        return Said([*map(sse, chunks), sse("[DONE]")])

    return reply


@pytest.mark.parametrize("stream", [False, True])
def test_the_client_is_told_what_was_lost(mode: Mode, stream: bool) -> None:
    """Lists come through; what cannot be read is raised, whole or streamed."""

    async def ask(client: Any) -> Any:
        reply = await done(
            client.chat.completions.create(model="m", messages=MESSAGES, stream=stream)
        )
        if stream:
            return [chunk.choices[0].delta.content async for chunk in items(reply)]
        return reply.choices[0].message.content

    with Upstream(upstream_of([part(GREETING)])) as upstream:
        said = run(mode, upstream, guard_of(), ask)
    assert said == ([None, [part(GREETING)], None] if stream else [part(GREETING)])
    with (
        Upstream(upstream_of([PICTURE])) as upstream,
        pytest.raises(UnguardedCall, match=READ) as caught,
    ):
        run(mode, upstream, guard_of(), ask)
    assert isinstance(caught.value, openai.OpenAIError)


def test_the_gateway_tells_what_was_lost() -> None:
    """With 502, or as the last event of a stream that has begun; a list comes through."""
    with serving(upstream_of([part(GREETING)])) as served, served.client() as client:
        create = client.chat.completions.create
        reply = create(model="m", messages=MESSAGES)  # type: ignore[arg-type]  # dicts, as users write
        assert reply.choices[0].message.content == [part(GREETING)]
    with serving(upstream_of([PICTURE])) as served:
        url, body = f"{served.url}/chat/completions", {"model": "m", "messages": MESSAGES}
        at_once = httpx.post(url, json=body, timeout=10)
        in_pieces = httpx.post(url, json={**body, "stream": True}, timeout=10)

    assert (at_once.status_code, at_once.json()["error"]["code"]) == (502, "upstream_invalid_reply")
    assert '"upstream_invalid_reply"' in in_pieces.text
    assert '"finish_reason":"stop"' not in in_pieces.text
