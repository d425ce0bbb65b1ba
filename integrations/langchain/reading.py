"""What a message says: its texts, by part, and the message without what cannot be judged."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from pydantic import BaseModel

from guardrail.errors import UnguardedCall
from guardrail.integrations.langchain.parts import (
    CALL_KWARGS,
    CALLS,
    FRAME,
    KWARGS,
    NOTES,
    OPAQUE,
    PLAIN,
    SEALED,
    TEXTS,
    WRITTEN,
    Part,
)

__all__ = ["Block", "Reading", "calls_of", "read"]

_NAME = re.compile("[!-~]*")  # or a number, a signature, a blob: nothing that reads as a sentence


@dataclass(frozen=True, slots=True)
class Block:
    """What a content block says, and the index under which others are added to it."""

    part: Part
    index: object
    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A message, read.

    Args:
        message: the same message, or a copy without what is withheld.
        info: the generation's own metadata, likewise.
        texts: what it says, by part.
        blocks: the blocks of its content, in the order they stand.
        calls: whether it has tool calls, or pieces of them.
    """

    message: AIMessage
    info: dict[str, Any] | None
    texts: Mapping[Part, str]
    blocks: Sequence[Block]
    calls: bool


def read(message: BaseMessage, info: Mapping[str, Any] | None = None) -> Reading:
    """Return what a message, or a chunk of one, says.

    Raises:
        UnguardedCall: it is no `AIMessage`.
    """
    if not isinstance(message, AIMessage):
        raise UnguardedCall(f"a model's reply must be an AIMessage, not {type(message).__name__}")
    reader = _Reader()
    metadata = reader.metadata(message.response_metadata)
    changed = {
        "content": reader.content(message.content),
        "additional_kwargs": reader.kwargs(message.additional_kwargs),
        "response_metadata": metadata,
    }
    kept = None if info is None else reader.metadata(info)
    reader.notes(message.name)
    reader.notes(message.model_extra)
    if reader.withheld:
        metadata["guardrail"] = {"withheld": reader.withheld}
        message = message.model_copy(update=changed)
    calls = reader.calls or bool(message.tool_calls or message.invalid_tool_calls)
    texts = {key: "".join(one) for key, one in reader.said.items()}
    return Reading(message, kept, texts, reader.blocks, calls)


def calls_of(message: AIMessage) -> str:
    """Return all that a whole message's tool calls say, one name, key or value per line."""
    blocks = message.content if isinstance(message.content, list) else []
    calls = [
        *message.tool_calls,
        *message.invalid_tool_calls,
        *getattr(message, "tool_call_chunks", ()),  # what a lenient parser may have left out
        *(message.additional_kwargs.get(key) for key in CALL_KWARGS),
        *(one for one in blocks if isinstance(one, dict) and _type(one) in CALLS | NOTES),
    ]
    return "\n".join(dict.fromkeys(_strings(calls, keys=True)))


@dataclass(slots=True)
class _Reader:
    """Takes texts down, and notes what had to be withheld."""

    said: dict[Part, list[str]] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    withheld: list[str] = field(default_factory=list)
    calls: bool = False

    def content(self, content: str | list[Any]) -> str | list[Any]:
        if isinstance(content, str):
            self.block(content)
            return content
        return [block for block in content if self.block(block)]

    def block(self, block: Any) -> bool:
        """Take a content block down; return whether it may stay."""
        if isinstance(block, str):
            self.write(Part.TEXT, None, block)
            return True
        index, kind, block = block.get("index"), _type(block), _inside(block)
        if kind in CALLS:
            self.calls = True
        elif kind in SEALED:
            self.sealed(block)
        else:
            part, key = TEXTS.get(kind, (Part.NOTES, None))
            if part is Part.NOTES and kind not in NOTES:
                return self.withhold(str(kind))
            self.write(part, index, *_raw(block.get(key)))
            self.notes({name: value for name, value in block.items() if name != key})
        return True

    def write(self, part: Part, index: object, *texts: str) -> None:
        self.say(part, *texts)
        self.blocks.append(Block(part, index, "".join(texts)))

    def kwargs(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in kwargs.items() if self.kwarg(key, value)}

    def kwarg(self, key: str, value: Any) -> bool:
        """Take an additional argument down; return whether it may stay."""
        if key in CALL_KWARGS:
            self.calls = True
            return True
        if key.startswith("__") or value is None:  # providers' own: signatures, ids
            self.sealed(value)
            return True
        if key == "tool_outputs" and isinstance(value, list):
            return all([self.block(one) for one in value])  # noqa: C419 - each is to be taken down
        if key not in KWARGS:
            return self.withhold(key)
        self.say(KWARGS[key], *_raw(value))
        return True

    def metadata(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in metadata.items() if key != "logprobs"}
        if metadata.get("logprobs"):  # word by word, with alternatives that nobody can judge
            self.withhold("logprobs")
        self.notes({key: value for key, value in kept.items() if key not in PLAIN})
        self.sealed([value for key, value in kept.items() if key in PLAIN])
        return kept

    def notes(self, value: Any) -> None:
        if value:
            self.say(Part.NOTES, "\n".join(_strings(value)))

    def sealed(self, value: Any) -> None:
        """Take down what stands, against expectation, in a place where nothing is to be read."""
        if value:
            self.say(Part.NOTES, "\n".join(_sentences(value)))

    def say(self, part: Part, *texts: str) -> None:
        for text in filter(None, texts):
            self.said.setdefault(part, []).append(text)

    def withhold(self, name: str) -> bool:
        self.withheld.append(name)
        return False


def _inside(block: Any) -> Mapping[str, Any]:
    """Return what a `non_standard` block wraps, or the block."""
    if not isinstance(block, Mapping):
        raise UnguardedCall(f"a content block must be a mapping, not {type(block).__name__}")
    value = block.get("value") if block.get("type") == "non_standard" else None
    return value if isinstance(value, Mapping) else block


def _type(block: Any) -> str:
    inside = _inside(block)
    return str(inside.get("type", "text" if "text" in inside else "untyped"))


def _raw(value: Any) -> list[str]:
    """Return a text as it is, and otherwise the texts in it."""
    return [value] if isinstance(value, str) else list(_strings(value))


def _strings(value: Any, *, keys: bool = False, written: bool = False) -> Iterator[str]:
    """Yield every string in a JSON-like value, in order, decoded where it is JSON itself.

    Args:
        value: to read.
        keys: whether keys are read, too, but for those that every call has.
        written: whether all of it is the model's own, down to keys like `id` and `status`.

    Raises:
        UnguardedCall: there is something else in it.
    """
    match value:
        case str():
            inner = _decoded(value)
            yield from [value] if inner is None else _strings(inner, keys=keys, written=written)
        case Mapping() | _Pairs():
            for key, one in value.items() if isinstance(value, Mapping) else value:
                yield from [str(key)] if keys and (written or key not in FRAME | OPAQUE) else []
                if key in OPAQUE and not written:
                    yield from _sentences(one)
                else:
                    yield from _strings(one, keys=keys, written=written or key in WRITTEN)
        case list() | tuple():
            for one in value:
                yield from _strings(one, keys=keys, written=written)
        case None | bool() | int() | float():
            return
        case BaseModel():
            yield from _strings(value.model_dump(mode="json"), keys=keys, written=written)
        case _:
            raise UnguardedCall(f"a {type(value).__name__} in a reply cannot be judged")


def _sentences(value: Any) -> Iterator[str]:
    """Yield the strings in a JSON-like value that are more than names; skip what is none."""
    if isinstance(value, str):
        yield from [] if _NAME.fullmatch(value) else [value]
    elif isinstance(value, Mapping | list | tuple):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _sentences(one)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with all that it holds, even under keys that stand in it twice."""


def _decoded(text: str) -> Any:
    if not text.startswith(("{", "[")):
        return None
    try:
        return json.loads(text, object_pairs_hook=_Pairs)
    except ValueError:
        return None
