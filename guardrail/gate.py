"""The gate of a streamed reply: nothing passes before a passing verdict covers it.

The reply comes as events, whatever the host's stream consists of. Each belongs to one lane, a text
that is judged by itself (one of several choices, say), or to none. Events leave in the order they
came, unchanged, once all their text is covered; a lane found unsafe ends with a refusal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeAlias, TypeVar

from guardrail.errors import ClassifierError, InvalidTurnError
from guardrail.flow import (
    Categorise,
    Classify,
    Flow,
    Now,
    Record,
    checked,
    decide_many,
    review,
    time_for,
)
from guardrail.policy import Policy
from guardrail.types import Conversation, Outcome, Role, Turn, Verdict
from guardrail.window import Window

__all__ = ["Begin", "Chunk", "Emit", "End", "Judged", "Next", "Shape", "Stop", "gate"]

E = TypeVar("E")
Lane: TypeAlias = Hashable


@dataclass(frozen=True, slots=True)
class Begin:
    """Have conversations judged while the stream goes on; a check under way is given up."""

    question: Classify


@dataclass(frozen=True, slots=True)
class Next:
    """Wait for what comes first; answered with a `Chunk`, `End` or `Judged`."""


@dataclass(frozen=True, slots=True)
class Emit:
    """Show an event."""

    event: Any


@dataclass(frozen=True, slots=True)
class Stop:
    """Close the upstream."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """An event has come from upstream."""

    event: Any


@dataclass(frozen=True, slots=True)
class End:
    """Upstream has ended."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The check under way has ended, with the classifier's answers or an error."""

    answers: Any = None
    error: ClassifierError | None = None


@dataclass(frozen=True, slots=True)
class Shape(Generic[E]):
    """How a host's stream is read and written.

    Args:
        read: returns an event's lane, and its text there; (None, "") for an event without text.
        refuse: returns the events that end a lane with the outcome's text.
        lanes: lanes the reply has; when all are found unsafe, upstream is closed.
    """

    read: Callable[[E], tuple[Lane | None, str]]
    refuse: Callable[[Lane, Outcome], Iterable[E]]
    lanes: int = 1
