"""Guarded streams, as users hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Self, TypeVar

from guardrail.errors import InvalidTurnError
from guardrail.gate import Lane, Shape, StreamFlow
from guardrail.intake import AsyncIntake, Intake
from guardrail.pump import Hands, astream, stream
from guardrail.types import Outcome

__all__ = ["TEXT", "GuardedAsyncStream", "GuardedStream"]

E = TypeVar("E")


class _Stream:
    """What became of the lanes of a stream.

    The pump's generator fills a dictionary rather than calling back: holding no reference to the
    stream, it is closed at once when a consumer drops the stream half-read.
    """

    def __init__(self) -> None:
        self.outcomes: dict[Lane, Outcome] = {}

    @property
    def outcome(self) -> Outcome | None:
        """What happened: None until the stream has ended, or when it never came to its end.

        Of several lanes, the first that was replaced, or else the first.
        """
        outcomes = self.outcomes.values()
        return next((one for one in outcomes if one.blocked), next(iter(outcomes), None))


class GuardedStream(_Stream, Generic[E]):
    """The events of a stream, each once a passing verdict covers it."""

    def __init__(
        self, flow: StreamFlow[Mapping[Lane, Outcome]], intake: Intake, hands: Hands
    ) -> None:
        super().__init__()
        self._intake = intake
        self._events = stream(flow, intake, hands, self.outcomes.update)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> E:
        event: E = next(self._events)
        return event

    def close(self) -> None:
        """Leave the stream; its source is closed too."""
        self._events.close()
        self._intake.close()  # also when nothing was ever taken

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class GuardedAsyncStream(_Stream, Generic[E]):
    """The events of a stream, each once a passing verdict covers it, for `async for`."""

    def __init__(
        self, flow: StreamFlow[Mapping[Lane, Outcome]], intake: AsyncIntake, hands: Hands
    ) -> None:
        super().__init__()
        self._intake = intake
        self._events = astream(flow, intake, hands, self.outcomes.update)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E:
        event: E = await anext(self._events)
        return event

    async def aclose(self) -> None:
        """Leave the stream; its source is closed too."""
        await self._events.aclose()
        await self._intake.close()  # also when nothing was ever taken

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _read(chunk: str) -> tuple[Lane, str]:
    if not isinstance(chunk, str):
        raise InvalidTurnError(f"a chunk must be a str, not {type(chunk).__name__}")
    return 0, chunk


def _refuse(_: Lane, outcome: Outcome) -> list[str]:
    return [outcome.text]


TEXT: Shape[str] = Shape(read=_read, refuse=_refuse, lanes=(0,))
"""The shape of a plain stream of text."""
