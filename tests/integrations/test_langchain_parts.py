"""Where text can hide in a message: blocks, reasoning, tool calls, metadata."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

pytest.importorskip("langchain_core")

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGenerationChunk

from guardrail import Guard, UnguardedCall
from guardrail.integrations.langchain import guard_model
from guardrail.integrations.langchain.conversation import asked, opening
from guardrail.testing import StubClassifier
from guardrail.types import exchange, last_exchange

from ..conftest import Mode
from .langchain_models import FALLBACK, MARK, SAFE, guard_for, scripted
from .langchain_ways import EVENTS, EVENTS_V3, WAYS, Way, seen

pytestmark = pytest.mark.filterwarnings("ignore:.* is in beta")
ALL = {name: (WAYS | EVENTS | EVENTS_V3)[name] for name in ("invoke", "astream", "events_v3")}
ESCAPED = json.dumps(MARK)[1:-1]  # as JSON writes it, in ASCII


def said(content: Any = "", **fields: Any) -> AIMessageChunk:
    return AIMessageChunk(content=content, **fields)


def call(args: str, name: str | None = "search", index: int = 0) -> dict[str, Any]:
    return {"name": name, "args": args, "id": name and f"call_{index}", "index": index}


def calls(*pieces: dict[str, Any]) -> AIMessageChunk:
    return said(tool_call_chunks=list(pieces))


UNSAFE: Mapping[str, list[AIMessageChunk]] = {
    "text_block": [said([{"type": "text", "text": MARK, "index": 0}])],
    "text_block_cut": [
        said([{"type": "text", "text": MARK[:2], "index": 0}]),
        said([{"type": "text", "text": MARK[2:], "index": 0}]),
    ],
    "text_blocks_by_turns": [
        *(said([{"type": "text", "text": MARK[n], "index": 0}]) for n in range(2)),
        said([{"type": "text", "text": "가나", "index": 1}]),
        said([{"type": "text", "text": MARK[2:], "index": 0}]),
    ],
    "thoughts_by_turns": [
        said([{"type": "reasoning", "reasoning": MARK[:2], "index": "lc_0"}]),
        said([{"type": "reasoning", "reasoning": "가나", "index": "lc_1"}]),
        said([{"type": "reasoning", "reasoning": MARK[2:], "index": "lc_0"}]),
    ],
    "untyped_block": [said([{"text": MARK}])],
    "plain_string_in_a_list": [said(["좋아요. ", MARK])],
    "refusal_block": [said([{"type": "refusal", "refusal": MARK}])],
    "reasoning_block": [said([{"type": "reasoning", "reasoning": MARK, "index": 0}])],
    "thinking_block": [said([{"type": "thinking", "thinking": MARK, "index": 0}])],
    "reasoning_summary": [
        said([{"type": "reasoning", "summary": [{"type": "summary_text", "text": MARK}]}])
    ],
    "non_standard_block": [
        said([{"type": "non_standard", "value": {"type": "thinking", "thinking": MARK}}])
    ],
    "reasoning_content": [
        said(additional_kwargs={"reasoning_content": MARK[:3]}),
        said(additional_kwargs={"reasoning_content": MARK[3:]}),
    ],
    "provider_refusal": [said(additional_kwargs={"refusal": MARK})],
    "annotation": [
        said([{"type": "text", "text": "가", "annotations": [{"type": "citation", "title": MARK}]}])
    ],
    "server_tool_result": [said([{"type": "server_tool_result", "output": {"stdout": MARK}}])],
    "server_tool_call": [
        said([{"type": "server_tool_use", "name": "web", "input": {"query": MARK}}])
    ],
    "metadata": [said("가", response_metadata={"grounding": [{"segment": MARK}]})],
    "plain_metadata": [said("가", response_metadata={"stop_sequence": MARK})],
    "opaque_key": [said([{"type": "server_tool_result", "output": {"status": MARK}}])],
    "opaque_key_in_json": [said("가", response_metadata={"x": json.dumps({"id": MARK})})],
    "sealed_block": [said([{"type": "redacted_thinking", "data": MARK}])],
    "providers_own": [said("가", additional_kwargs={"__own": [MARK]})],
    "name": [said("가", name=MARK)],
    "foreign_field": [said("가", whatever={"text": MARK})],
    "escaped_json": [said(f'{{"answer": "{ESCAPED}"}}')],
    "escaped_json_cut": [said(one) for one in f'{{"answer": "{ESCAPED}"}}'],
    "call_arguments": [calls(call(f'{{"q": "{MARK[:2]}')), calls(call(f'{MARK[2:]}"}}', None))],
    "call_arguments_escaped": [calls(call(f'{{"q": "{ESCAPED}"}}'))],
    "call_argument_names": [calls(call(f'{{"{MARK}": 1}}'))],
    "call_arguments_twice": [calls(call(f'{{"q": "{MARK}", "q": "가"}}'))],
    "call_with_a_tail": [calls(call(f'{{"q": "가"}} {MARK}'))],
    **{
        f"call_argument_{key}": [calls(call(json.dumps({key: MARK}, ensure_ascii=False)))]
        for key in ("id", "index", "signature", "status", "type")
    },
    "call_name": [calls(call("{}", MARK))],
    "second_call": [calls(call("{}")), calls(call(f'{{"q": "{MARK}"}}', "find", 1))],
    "invalid_call": [calls(call(MARK))],
    "raw_call": [
        said(
            additional_kwargs={"tool_calls": [{"function": {"name": "x", "arguments": MARK}}]},
            tool_call_chunks=[call("{}")],
        )
    ],
    "function_call": [
        said(additional_kwargs={"function_call": {"name": "x", "arguments": f'"{MARK[:1]}'}}),
        said(additional_kwargs={"function_call": {"arguments": f'{MARK[1:]}"'}}),
    ],
    "tool_use_block": [said([{"type": "tool_use", "id": "1", "name": "x", "input": {"q": MARK}}])],
    "text_after_a_call": [calls(call("{}")), said(MARK)],
}


@pytest.fixture(params=ALL)
def way(request: pytest.FixtureRequest) -> Way:
    return ALL[request.param]


# Of these LangChain itself loses the mark when it merges chunks.
LOST = {"name", "foreign_field", "call_arguments_twice", "call_with_a_tail"}


@pytest.mark.parametrize("name", UNSAFE)
def test_unsafe_text_is_found_wherever_it_stands(name: str, way: Way) -> None:
    """No part of a message reaches callers or handlers unjudged, and no tool is called."""
    result = seen(way, guard_model(scripted("좋아요. ", *UNSAFE[name]), guard_for()))

    assert not tells(result.shown)
    assert not tells(result.watched)
    if name not in LOST or way is not ALL["invoke"]:
        assert result.text.endswith(FALLBACK)
        assert not any(getattr(one, "tool_calls", ()) for one in result.outputs)


def tells(shown: str) -> bool:
    """Whether the mark is in what was shown, or an escape that a parser makes it of."""
    return MARK in shown or ESCAPED in shown.replace("\\\\", "\\")


def test_letters_that_json_writes_in_halves_are_judged_as_one(mode: Mode) -> None:
    """Wherever chunks cut them: a reader joins the halves."""
    model = guard_model(scripted(*map(said, json.dumps("𝐤𝐢"))), guard_for("𝐤𝐢"))

    assert seen(WAYS["invoke" if mode is Mode.SYNC else "astream"], model).text == FALLBACK


WITHHELD: Mapping[str, AIMessageChunk] = {
    "image": said(["가", {"type": "image", "base64": "QUJD", "mime_type": "image/png"}]),
    "image_url": said(["가", {"type": "image_url", "image_url": {"url": "data:QUJD"}}]),
    "audio": said("가", additional_kwargs={"audio": {"data": "QUJD", "transcript": MARK}}),
    "hologram": said(["가", {"type": "hologram", "text": MARK}]),
    "logprobs": said("가", response_metadata={"logprobs": {"content": [{"token": MARK}]}}),
    "image_generation_call": said(
        "가", additional_kwargs={"tool_outputs": [{"type": "image_generation_call", "result": "Q"}]}
    ),
}


@pytest.mark.parametrize("name", WITHHELD)
def test_what_cannot_be_judged_is_withheld(name: str, mode: Mode) -> None:
    """Media, log probabilities and what nobody knows are left out, and named."""
    way = WAYS["invoke" if mode is Mode.SYNC else "astream"]

    result = seen(way, guard_model(scripted("안녕 ", WITHHELD[name]), guard_for()))

    assert result.text == "안녕 가"
    assert MARK not in result.shown
    assert "QUJD" not in result.shown
    notes = [one.response_metadata.get("guardrail") for one in result.outputs]
    assert [note for note in notes if note] == [
        {"withheld": [name if name != "image_generation_call" else "image_generation_call"]}
    ]


def test_what_is_safe_passes_untouched(way: Way) -> None:
    """Blocks, signatures, tool calls and usage of a safe reply are as the model said them."""
    parts = [
        said([{"type": "thinking", "thinking": "음", "signature": "c2ln", "index": 0}], id="m1"),
        said([{"type": "text", "text": SAFE, "index": 1}]),
        calls(call('{"q": "환불"}')),
        said(usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
        said(
            response_metadata={"stop_reason": "tool_use"}, additional_kwargs={"__sig": {"1": "x"}}
        ),
    ]

    free = seen(way, scripted(*parts))
    result = seen(way, guard_model(scripted(*parts), guard_for()))

    assert result.text == free.text == SAFE
    assert _plain(result.outputs[-1]) == _plain(free.outputs[-1])


def _plain(one: Any) -> Any:
    """Return an output without the ids of its run."""
    return one.model_copy(update={"id": None}) if isinstance(one, AIMessage) else one


def test_blocks_by_turns_come_whole_if_safe() -> None:
    """They are held until they have all come, and then shown as they came."""
    parts = [said([{"type": "text", "text": f"{n}. ", "index": n % 2}]) for n in range(9)]

    shown = list(guard_model(scripted(*parts), guard_for()).stream("환불?"))

    assert [one.content for one in shown if one.content] == [one.content for one in parts]


def test_tool_calls_can_be_left_alone() -> None:
    """By option the arguments of tool calls are not judged; the text is all the same."""
    model = scripted("좋아요. ", calls(call(f'{{"q": "{MARK}"}}')))

    reply = guard_model(model, guard_for(), judge_tool_calls=False).invoke("질문")

    assert reply.tool_calls[0]["args"] == {"q": MARK}


def test_a_call_waits_for_its_verdict() -> None:
    """No chunk of a tool call is shown before the whole of it is judged."""
    model = scripted(
        "좋아요. ",
        *(calls(call(one, "s" if not n else None)) for n, one in enumerate(f'{{"q": "{MARK}"}}')),
    )

    shown = list(guard_model(model, guard_for()).stream("질문"))

    assert not any(one.tool_call_chunks for one in shown)


def test_an_unreadable_value_is_refused() -> None:
    """What is not JSON-like cannot be judged, and the call says so."""
    model = scripted(said("가", response_metadata={"odd": b"bytes"}))

    with pytest.raises(UnguardedCall, match="bytes"):
        guard_model(model, guard_for()).invoke("질문")


def test_generation_info_is_judged_too() -> None:
    """What stands beside the message in a generation is read like its metadata."""
    model = scripted(SAFE)
    info = ChatGenerationChunk(
        message=said("가"), generation_info={"odd": MARK, "logprobs": {"a": 1}}
    )
    object.__setattr__(model, "_stream", lambda *_, **__: iter([info]))

    (reply,) = [one for one in guard_model(model, guard_for()).stream("질문") if one.text]

    assert reply.text == FALLBACK


def test_the_reply_goes_on_from_a_prefilled_turn(mode: Mode) -> None:
    """A reply that the caller began is judged together with its beginning."""
    ask = [("user", "질문"), ("assistant", MARK[:3])]
    model = guard_model(scripted(MARK[3:] + " 그래요."), guard_for())

    reply = model.invoke(ask) if mode is Mode.SYNC else asyncio.run(model.ainvoke(ask))

    assert reply.text == FALLBACK


def test_the_user_is_asked_for_past_tools() -> None:
    """What an agent did since the user spoke hides the user's words from no classifier."""
    called = AIMessage("", tool_calls=[{"name": "x", "args": {}, "id": "1"}])
    turns = asked(
        [SystemMessage("지침"), HumanMessage("질문"), called, ToolMessage("결과", tool_call_id="1")]
    )

    assert last_exchange((*turns, *exchange("", "답")[1:])) == ("질문", "답")
    assert last_exchange(asked([SystemMessage("지침")])) == ("지침", None)
    assert last_exchange(asked([])) == ("", None)
    assert opening([called]) == ""


def test_text_is_judged_in_its_own_part() -> None:
    """Reasoning and reply are judged apart."""
    stub = StubClassifier(MARK)
    parts = [said([{"type": "thinking", "thinking": "생각", "index": 0}]), said("답")]

    guard_model(scripted(*parts), Guard(stub)).invoke("질문")

    assert set(stub.seen) == {"생각", "답"}
