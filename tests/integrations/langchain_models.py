"""A chat model that says what a test tells it to, and a handler that remembers all it saw."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.utils import message_chunk_to_message
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from guardrail import Guard, Policy
from guardrail.testing import StubClassifier

MARK = "나쁜말임"
SAFE = "안녕하세요. 환불은 영업일 기준 3일 정도 걸려요. 더 궁금한 점이 있으면 말씀해 주세요."
BAD = f"안녕하세요. 환불은 영업일 기준 3일 정도 걸려요. 그리고 {MARK} 더 말씀드릴게요. 끝이에요."
FALLBACK = "(거절)"
POLICY = Policy.model_validate({"fallback": {"ko": FALLBACK, "en": FALLBACK}})

Part = str | AIMessageChunk | Exception


def guard_for(unsafe: str = MARK, *, delay: float = 0.0, **policy: Any) -> Guard:
    """Return a guard that finds one word unsafe."""
    return Guard(StubClassifier(unsafe, delay=delay), POLICY.model_copy(update=policy))


class Scripted(BaseChatModel):
    """Says its parts, whole or streamed.

    Args:
        says: the parts of a reply, or a function of the messages and arguments that returns them.
        others: the parts of further choices.
        delay: seconds before each part.
        asked: the messages of each call.
        closed: one entry for every stream that was closed, at its end or before.
    """

    says: Any = Field(exclude=True)
    others: list[list[Any]] = Field(default_factory=list, exclude=True)
    delay: float = 0.0
    asked: list[list[BaseMessage]] = Field(default_factory=list, exclude=True)
    closed: list[bool] = Field(default_factory=list, exclude=True)
    model: str = "scripted-1"

    def _generate(self, messages: list[BaseMessage], *_: Any, **kwargs: Any) -> ChatResult:
        replies = [self._parts(messages, kwargs), *self.others]
        return ChatResult(generations=[ChatGeneration(message=_merged(one)) for one in replies])

    def _stream(
        self, messages: list[BaseMessage], *_: Any, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        try:
            for part in self._parts(messages, kwargs):
                time.sleep(self.delay)
                yield ChatGenerationChunk(message=_said(part))
        finally:
            self.closed.append(True)

    async def _astream(
        self, messages: list[BaseMessage], *_: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        try:
            for part in self._parts(messages, kwargs):
                await asyncio.sleep(self.delay)
                yield ChatGenerationChunk(message=_said(part))
        finally:
            self.closed.append(True)

    def _parts(self, messages: list[BaseMessage], kwargs: dict[str, Any]) -> list[Part]:
        self.asked.append(list(messages))
        return list(self.says(messages, kwargs) if callable(self.says) else self.says)

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        """Bind tools as providers do."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether it can be written down."""
        return True


def scripted(*parts: Any, **fields: Any) -> Scripted:
    """Return a model that says these parts, or a text in pieces of two characters."""
    if len(parts) == 1 and isinstance(parts[0], str):
        parts = tuple(cut(parts[0]))
    return Scripted(says=list(parts), **fields)


def cut(text: str, size: int = 2) -> list[str]:
    """Return a text in pieces."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def by_turn(*replies: Iterable[Part]) -> Callable[..., Iterable[Part]]:
    """Return a script with one reply for each turn of the assistant."""
    return lambda messages, _: replies[
        sum(one.type in ("ai", "AIMessageChunk") for one in messages)
    ]


def _said(part: Part) -> AIMessageChunk:
    if isinstance(part, Exception):
        raise part
    return AIMessageChunk(content=part) if isinstance(part, str) else part.model_copy(deep=True)


def _merged(parts: Sequence[Part]) -> BaseMessage:
    chunks = [_said(part) for part in parts]
    return message_chunk_to_message(chunks[0] + chunks[1:])


class Spy(BaseCallbackHandler):
    """Remembers the text of all that a user's handler is shown."""

    run_inline = True

    def __init__(self) -> None:
        self.saw: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("on_"):
            return super().__getattribute__(name)
        saw = super().__getattribute__("saw")
        return lambda *args, **kwargs: saw.append(f"{name} {args!r} {kwargs!r}")
