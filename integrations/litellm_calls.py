"""LiteLLM's replies as the OpenAI ones they are shaped after: read, judged, and made again."""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, Self

from guardrail.errors import UnguardedCall, needing
from guardrail.guard import Guard
from guardrail.integrations.failures import aattempt, attempt
from guardrail.integrations.openai_wire.calls import Call, Stream
from guardrail.integrations.openai_wire.chat import read_chat
from guardrail.integrations.openai_wire.responses import read_responses
from guardrail.integrations.openai_wire.text import Piece
from guardrail.types import Conversation, Outcome, Role, Turn

with needing("litellm"):
    from litellm import ModelResponse, ModelResponseStream
    from litellm.llms.openai.responses.transformation import OpenAIResponsesAPIConfig
    from litellm.types.llms.base import BaseLiteLLMOpenAIResponseObject
    from litellm.types.llms.openai import ResponsesAPIResponse

__all__ = [
    "GuardedAsyncChunks",
    "GuardedChunks",
    "UnguardedLiteLLMCall",
    "call_of",
    "conversations",
    "is_whole",
    "refused",
    "replaced",
    "stream_in",
]

_KINDS = {"messages": read_chat, "input": read_responses}


class UnguardedLiteLLMCall(UnguardedCall):
    """A call that cannot be guarded; the proxy answers it with this status."""

    status_code = 400


def call_of(request: Mapping[str, Any], reply: object = None) -> Call:
    """Return the call that a request's arguments describe.

    Args:
        request: the arguments.
        reply: the whole reply, if it is there: what kind of call it was, it tells more surely.

    Raises:
        UnguardedLiteLLMCall: it asks for neither a chat completion nor a response.
    """
    fields = ["input"] if isinstance(reply, ResponsesAPIResponse) else list(_KINDS)
    reader = next((_KINDS[field] for field in fields if request.get(field) is not None), None)
    if reader is None:
        raise UnguardedLiteLLMCall(
            "only chat completions and responses can be guarded; this call has neither messages "
            "nor input"
        )
    try:
        return reader(request, int(time.time()))
    except UnguardedCall as refusal:
        raise UnguardedLiteLLMCall(str(refusal)) from None


def is_whole(reply: object) -> bool:
    """Whether this is a whole reply that can be judged."""
    return type(reply) is ModelResponse or isinstance(reply, ResponsesAPIResponse)


def stream_in(reply: Any) -> Any:
    """Return a reply that comes in chunks.

    Raises:
        UnguardedLiteLLMCall: it does not.
    """
    if not hasattr(reply, "__next__") and not hasattr(reply, "__anext__"):
        raise UnguardedLiteLLMCall(f"a {type(reply).__name__} cannot be judged")
    return reply


def conversations(call: Call, reply: Any) -> list[Conversation]:
    """Return what is to be judged of a whole reply.

    Raises:
        UnguardedLiteLLMCall: it is not of a kind that is known.
    """
    try:
        texts = call.texts(_json(reply))
    except UnguardedCall as refusal:
        raise UnguardedLiteLLMCall(str(refusal)) from None
    return [(*call.asked, Turn(Role.ASSISTANT, text)) for text in texts]


def replaced(call: Call, reply: Any, outcomes: list[Outcome]) -> Any:
    """Return a whole reply as the caller may see it."""
    return _like(reply, call.answer(_json(reply), outcomes))


def refused(call: Call, outcome: Outcome, *, on_a_loop: bool = False) -> Any:
    """Return the reply to a call that never went upstream, streamed if that was asked for."""
    if not call.streamed:
        body = call.refusal(outcome)
        return ModelResponse(**body) if "choices" in body else ResponsesAPIResponse(**body)
    events = map(_event, call.stream().refuse(outcome))
    return _aiter(events) if on_a_loop else (event for event in events)


async def _aiter(events: Iterable[Any]) -> AsyncIterator[Any]:
    for event in events:
        yield event


def _like(reply: Any, body: dict[str, Any]) -> Any:
    made = type(reply)(**body)
    hidden = getattr(reply, "_hidden_params", None)
    if hidden is not None:
        made._hidden_params = hidden  # the proxy's headers come from there
    return made


def _json(value: Any) -> dict[str, Any]:
    """Return an event or reply as JSON.

    Raises:
        UnguardedLiteLLMCall: it is of another protocol.
    """
    known = ModelResponse | ModelResponseStream | BaseLiteLLMOpenAIResponseObject
    if not isinstance(value, known):
        raise UnguardedLiteLLMCall(f"a {type(value).__name__} cannot be judged: {value!r:.80}")
    data: dict[str, Any] = value.model_dump(mode="json")
    return data


def _event(data: dict[str, Any]) -> Any:
    """Return JSON as the event it is in LiteLLM."""
    if "choices" in data:
        return ModelResponseStream(**data)
    kind = str(data.get("type", "error"))
    return OpenAIResponsesAPIConfig.get_event_model_class(kind)(**data)


class GuardedChunks:
    """The chunks of a streamed reply, as far as they are judged.

    Args:
        call: the one they answer.
        chunks: the reply as it comes; closed when it is cut off or this is closed.
        guard: judges.
    """

    def __init__(self, call: Call, chunks: Iterable[Any], guard: Guard) -> None:
        self._stream, self._guard, self._asked = call.stream(), guard, call.asked
        self._guarded = guard.stream_events(
            _pieces(self._stream, chunks), self._stream.shape, asked=call.asked, check_input=False
        )
        self._events = self._written()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return attempt(self._events.__next__, self._guard, self._asked)

    def close(self) -> None:
        """Leave the stream; its source is closed, too."""
        self._guarded.close()

    def _written(self) -> Iterator[Any]:
        for piece in self._guarded:
            yield from map(_event, self._stream.write(piece))


class GuardedAsyncChunks:
    """The chunks of a streamed reply, for `async for`; see `GuardedChunks`."""

    def __init__(self, call: Call, chunks: AsyncIterable[Any], guard: Guard) -> None:
        self._stream, self._guard, self._asked = call.stream(), guard, call.asked
        self._guarded = guard.astream_events(
            _apieces(self._stream, chunks), self._stream.shape, asked=call.asked, check_input=False
        )
        self._events = self._written()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return await aattempt(self._events.__anext__, self._guard, self._asked)

    async def aclose(self) -> None:
        """Leave the stream; its source is closed, too."""
        await self._guarded.aclose()

    async def _written(self) -> AsyncIterator[Any]:
        async for piece in self._guarded:
            for data in self._stream.write(piece):
                yield _event(data)


def _pieces(stream: Stream, chunks: Iterable[Any]) -> Iterator[Piece]:
    try:
        for chunk in chunks:
            yield from stream.read(_json(chunk))
        yield from stream.end()
    finally:
        for owner in _sources(chunks):
            if hasattr(owner, "close"):
                owner.close()


def _sources(chunks: object) -> list[object]:
    """Return a stream and what it reads from, outermost first.

    LiteLLM's sync streams do not close their sources, and that of a Router is a generator that
    keeps its own to itself.
    """
    if chunks is None:
        return []
    if inspect.isgenerator(chunks):
        inner = inspect.getgeneratorlocals(chunks).get("model_response")
    else:
        inner = getattr(chunks, "completion_stream", None)
    return [chunks, *_sources(inner)]


async def _apieces(stream: Stream, chunks: AsyncIterable[Any]) -> AsyncIterator[Piece]:
    try:
        async for chunk in chunks:
            for piece in stream.read(_json(chunk)):
                yield piece
        for piece in stream.end():
            yield piece
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
