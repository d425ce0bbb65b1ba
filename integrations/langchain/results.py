"""What chat models hand over, taken into a passage and made anew of what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from guardrail.errors import UnguardedCall
from guardrail.integrations.langchain.parts import PLAIN
from guardrail.integrations.langchain.passage import Passage, Piece

__all__ = ["as_chunk", "chunk", "chunk_taker", "result_of", "result_taker", "whole"]


def chunk(message: AIMessage, info: dict[str, Any] | None) -> ChatGenerationChunk:
    """Wrap a chunk of a message."""
    assert isinstance(message, AIMessageChunk)
    return ChatGenerationChunk(message=message, generation_info=info)


def whole(message: AIMessage, info: dict[str, Any] | None) -> ChatGeneration:
    """Wrap a whole message."""
    return ChatGeneration(message=message, generation_info=info)


def chunk_taker(passage: Passage) -> Callable[[ChatGenerationChunk], Iterator[Piece]]:
    """Return what takes in the chunks of a stream."""
    return lambda one: passage.take(one.message, one, chunk, info=one.generation_info)


def result_taker(
    passage: Passage, results: list[ChatResult]
) -> Callable[[ChatResult], Iterator[Piece]]:
    """Return what takes in a whole result, and keeps it."""

    def take(result: ChatResult) -> Iterator[Piece]:
        results.append(result)
        for choice, one in enumerate(result.generations):
            yield from passage.take(
                one.message, one, whole, info=one.generation_info, choice=choice
            )

    return take


def result_of(replies: dict[int, ChatGeneration], results: list[ChatResult]) -> ChatResult:
    """Return the guarded result; of what the provider says of it, only what says nothing more."""
    said = results[0].llm_output if results else None
    plain = None if said is None else {key: said[key] for key in said if key in PLAIN}
    return ChatResult(generations=[replies[choice] for choice in sorted(replies)], llm_output=plain)


def as_chunk(result: ChatResult) -> ChatGenerationChunk:
    """Return the first choice as the one chunk of a stream."""
    message = result.generations[0].message
    if not isinstance(message, AIMessage):
        raise UnguardedCall(f"a model's reply must be an AIMessage, not {type(message).__name__}")
    usage, info = message.usage_metadata, result.generations[0].generation_info
    hidden = {"type", "tool_call_chunks", "chunk_position", "usage_metadata"}
    made = AIMessageChunk(**message.model_dump(exclude=hidden), chunk_position="last")
    return chunk(made.model_copy(update={"usage_metadata": usage}), info)
