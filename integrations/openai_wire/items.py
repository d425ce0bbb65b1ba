"""The items a response consists of: what can be judged of them, and what they say."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from guardrail.errors import UnguardedCall
from guardrail.integrations.openai_wire.calls import LOST, Call, safe_error
from guardrail.integrations.openai_wire.logprobs import spelled
from guardrail.integrations.openai_wire.reading import is_label, labelled, strings

__all__ = [
    "STREAMED_ITEMS",
    "blocked_response",
    "empty_message",
    "known_item",
    "known_part",
    "known_response",
    "lines_of",
    "refusal_part",
    "refuse_lost",
    "spoken",
    "spoken_item",
    "spoken_part",
]

# What is passed on of a response and its items, of the response without what could be read in it;
# all else, which might hold text that nobody judged or what is no text, is left out.
_REPLY_FIELDS = (
    *("id", "object", "created_at", "completed_at", "model", "status", "usage"),
    *("incomplete_details", "instructions", "background", "conversation", "max_output_tokens"),
    *("max_tool_calls", "moderation", "parallel_tool_calls", "previous_response_id", "prompt"),
    *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning", "store"),
    *("safety_identifier", "service_tier", "temperature", "text", "tool_choice", "tools", "user"),
    *("tool_usage", "top_logprobs", "top_p", "truncation", "frequency_penalty", "metadata"),
    *("presence_penalty", "prompt_cache_diagnostics", "input_transformations"),
)
_ITEMS = (
    *("message", "reasoning", "function_call", "custom_tool_call", "web_search_call"),
    *("file_search_call", "code_interpreter_call", "computer_call", "tool_search_call"),
    *("mcp_call", "mcp_list_tools", "mcp_approval_request", "local_shell_call", "shell_call"),
    *("shell_call_output", "apply_patch_call", "apply_patch_call_output", "compaction"),
)
# Of these the fields are known, too; of the others, calls of tools, every string is judged.
_FIELDS_OF = {
    "message": ("id", "type", "role", "status", "content", "phase"),
    "reasoning": ("id", "type", "status", "summary", "content", "encrypted_content"),
}
_ASIDES = (
    *("reasoning", "web_search_call", "file_search_call", "code_interpreter_call"),
    *("mcp_list_tools", "compaction"),
)
STREAMED_ITEMS = frozenset(_FIELDS_OF)  # the others are of use only when whole
_TEXT_PARTS = {
    "output_text": "text",
    "refusal": "refusal",
    "reasoning_text": "text",
    "summary_text": "text",
}
_WHOLE_FIELDS = ("arguments", "input", "code")  # these are streamed, too


def refusal_part(text: str, *, structured: bool) -> dict[str, Any]:
    """Return a refusal as a part of a message; where JSON was asked for, as no output text."""
    if structured:
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def empty_message(response: str) -> dict[str, Any]:
    """Return the message that a refusal is put in."""
    name = f"msg_guardrail_{response.removeprefix('resp_')}"
    return {
        "id": name,
        "type": "message",
        "role": "assistant",
        "status": "in_progress",
        "content": [],
    }


def blocked_response(response: Mapping[str, Any], output: list[Any]) -> dict[str, Any]:
    """Return a response that the guard ended."""
    return {
        **response,
        "status": "incomplete",
        "incomplete_details": {"reason": "content_filter"},
        "error": None,
        "output": output,
    }


def known_response(response: Mapping[str, Any], call: Call) -> dict[str, Any]:
    """Return what can be judged of the response to a call, and what is no text."""
    known = {
        name: labelled(one, call.said) for name, one in response.items() if name in _REPLY_FIELDS
    }
    if "model" in known and known["model"] is None:
        known["model"] = call.model
    if "error" in response:
        known["error"] = safe_error(response)["error"] if response["error"] else None
    output = response.get("output")
    items = [known_item(item) for item in output] if isinstance(output, list) else []
    return {**known, "output": [item for item in items if item is not None]}


def known_item(item: object) -> dict[str, Any] | None:
    """Return what can be judged of an item; None if nothing."""
    if not isinstance(item, Mapping) or item.get("type") not in _ITEMS:
        return None
    fields = _FIELDS_OF.get(item["type"])
    if fields is None:
        known = dict(item)
        if isinstance(known.get("outputs"), list):
            known["outputs"] = [one for one in known["outputs"] if _is_log(one)]
        return known
    known = {name: item[name] for name in fields if is_label(item.get(name), name)}
    for field in ("content", "summary"):
        if field in fields and isinstance(item.get(field), list):
            known[field] = _known_parts(item[field])
    return known


def _known_parts(content: list[object]) -> list[dict[str, Any]]:
    """Return the parts of an item that can be judged."""
    parts = [known_part(part) for part in content]
    return [part for part in parts if part is not None]


def known_part(part: object) -> dict[str, Any] | None:
    """Return a part that holds text, None for others."""
    field = _field_of(part)
    if not isinstance(part, Mapping) or not isinstance(part.get(field), str):
        return None
    known = {name: part[name] for name in ("type", field, "annotations") if name in part}
    if part["type"] == "output_text":
        known["logprobs"] = spelled(part.get("logprobs"), part["text"]) or []
        known.setdefault("annotations", [])
    return known


def _field_of(part: object) -> str:
    """Return the field of a part that holds its text; nothing if there is none."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    return _TEXT_PARTS.get(kind, "") if isinstance(kind, str) else ""


def refuse_lost(response: Mapping[str, Any]) -> None:
    """Look at a whole response.

    Raises:
        UnguardedCall: it held something, and nothing that could be judged.
    """
    output = response.get("output")
    given = output if isinstance(output, list) else []
    known = [known_item(item) for item in given]
    if any(map(_is_less, known, given)) and not any(map(_answers, known)):
        raise UnguardedCall(LOST)


def _is_less(known: dict[str, Any] | None, given: Any) -> bool:
    """Whether something of an item was left out that could be the answer."""
    if known is None or known["type"] != "message":
        return known is None
    content = given.get("content")
    parts = content if isinstance(content, list) else [content] if content else []
    return len(known.get("content", ())) < len(parts)


def _answers(known: dict[str, Any] | None) -> bool:
    """Whether an item says something, besides what led up to the answer."""
    if known is None or known["type"] in _ASIDES:
        return False
    return any(text for _, text in spoken_item(0, known))


def spoken(response: Mapping[str, Any]) -> Iterator[tuple[Hashable, str]]:
    """Yield the parts of a response that hold text, and the text."""
    output = response.get("output")
    for place, item in enumerate(output if isinstance(output, list) else ()):
        known = known_item(item)
        if known is not None:
            yield from spoken_item(place, known)
    if response.get("error"):
        yield "error", safe_error(response)["error"]["message"]


def spoken_item(place: int, item: Mapping[str, Any]) -> Iterator[tuple[Hashable, str]]:
    """Yield the parts of an item that hold text, and the text."""
    match item.get("type"):
        case "message":
            yield from _spoken_parts(place, "content", item.get("content"))
        case "reasoning":
            yield from _spoken_parts(place, "summary", item.get("summary"))
            yield from _spoken_parts(place, "content", item.get("content"))
        case _:
            rest = {name: one for name, one in item.items() if name not in _WHOLE_FIELDS}
            yield (place, "rest"), "\n".join(strings(rest))
            for field in _WHOLE_FIELDS:
                yield (place, field), "\n".join(strings(item.get(field)))


def _spoken_parts(place: int, field: str, parts: object) -> Iterator[tuple[Hashable, str]]:
    for at, part in enumerate(parts if isinstance(parts, list) else ()):
        yield from spoken_part((place, field, at), part)


def spoken_part(name: Hashable, part: object) -> Iterator[tuple[Hashable, str]]:
    """Yield the text of a part, and what its annotations say."""
    if isinstance(part, Mapping):
        yield name, part.get(_field_of(part)) or ""
        yield (name, "annotations"), lines_of(part.get("annotations"))


def lines_of(annotations: object) -> str:
    """Return what annotations say, a line each."""
    return "".join(f"{text}\n" for text in strings(annotations))


def _is_log(output: object) -> bool:
    return isinstance(output, Mapping) and output.get("type") == "logs"
