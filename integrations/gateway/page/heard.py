"""Reads the text out of the bodies of chat completions, guarded or not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from guardrail.integrations.openai_wire.messages import TEXT_FIELDS, known_message, said_by
from guardrail.integrations.openai_wire.sse import Decoder
from guardrail.integrations.openai_wire.streaming import AsyncBytes

__all__ = ["Heard", "said_in"]


class Heard:
    """A streamed body that can be asked what it said so far."""

    def __init__(self, body: AsyncBytes) -> None:
        self._body = body
        self._decoder = Decoder()
        self._parts: list[str] = []

    @property
    def text(self) -> str:
        """What came so far."""
        return "".join(self._parts)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            self._parts += (said_in(event.json()) for event in self._decoder.feed(chunk))
            yield chunk

    async def aclose(self) -> None:
        """Close the body."""
        await self._body.aclose()


def said_in(data: Mapping[str, Any]) -> str:
    """Return the text of a chunk, or of a whole completion."""
    choices = data.get("choices")
    known = [one for one in choices if isinstance(one, dict)] if isinstance(choices, list) else []
    messages = (one.get("delta") or one.get("message") for one in known)
    return "".join(said_by(known_message(one), *TEXT_FIELDS) for one in messages)
