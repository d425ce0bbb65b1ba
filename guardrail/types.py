"""The values that travel through the guard: turns, verdicts, outcomes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self, TypeAlias

from guardrail.errors import ClassifierProtocolError, InvalidTurnError

__all__ = [
    "Action",
    "Category",
    "Conversation",
    "Language",
    "Outcome",
    "Role",
    "Stage",
    "StreamFacts",
    "Turn",
    "Verdict",
    "exchange",
    "last_exchange",
    "question",
]


class Role(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class Language(StrEnum):
    """A language the guard can answer in."""

    KO = "ko"
    EN = "en"


class Category(StrEnum):
    """The six kinds of unsafe content that KoSafeGuard's policy names."""

    O1 = "O1"
    O2 = "O2"
    O3 = "O3"
    O4 = "O4"
    O5 = "O5"
    O6 = "O6"


class Stage(StrEnum):
    """Which side of an exchange is judged."""

    INPUT = "input"
    OUTPUT = "output"


class Action(StrEnum):
    """What the caller gets.

    ALLOW: the text, since a verdict passed it.
    FLAG: the text, though no verdict passed it: the policy only monitors, or lets errors through.
    REPLACE: a refusal in place of the text.
    """

    ALLOW = "allow"
    FLAG = "flag"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation.

    Raises:
        InvalidTurnError: the role is unknown or the content is not a `str`.
    """

    role: Role
    content: str

    def __post_init__(self) -> None:
        if not isinstance(self.content, str):
            raise InvalidTurnError(
                f"the {self.role} turn holds {type(self.content).__name__}, not str; "
                "pass the message's text (an empty reply is '')"
            )
        if type(self.role) is not Role:
            object.__setattr__(self, "role", _role(self.role))


def _role(name: str) -> Role:
    try:
        return Role(name)
    except ValueError:
        known = ", ".join(repr(str(role)) for role in Role)
        raise InvalidTurnError(f"unknown role {name!r}; known are {known}") from None


Conversation: TypeAlias = tuple[Turn, ...]
"""Turns in the order they were spoken; **the last one is judged**."""


def question(user: str, history: Iterable[Turn] = ()) -> Conversation:
    """Return the conversation that ends in what the user said.

    Raises:
        InvalidTurnError: the history holds something else than turns.
    """
    earlier = tuple(history) if isinstance(history, Iterable) else (history,)
    for turn in earlier:
        if not isinstance(turn, Turn):
            raise InvalidTurnError(
                f"history holds {type(turn).__name__}; it should hold Turn(role, content)"
            )
    return (*earlier, Turn(Role.USER, user))


def exchange(user: str, assistant: str, history: Iterable[Turn] = ()) -> Conversation:
    """Return the conversation that ends in the reply to what the user said."""
    return (*question(user, history), Turn(Role.ASSISTANT, assistant))


def last_exchange(conversation: Conversation) -> tuple[str, str | None]:
    """Return what the user said last, and the reply to it when that is what is judged.

    Several user turns in a row, as messengers send them, count as one, joined by newlines.

    Raises:
        InvalidTurnError: the conversation is empty or ends in a system or tool turn.
    """
    if not conversation:
        raise InvalidTurnError("an empty conversation has no turn to judge")
    last = conversation[-1]
    if last.role not in (Role.USER, Role.ASSISTANT):
        raise InvalidTurnError(
            f"only user and assistant turns are judged, and the last one is of role {last.role!r}"
        )
    reply = last.content if last.role is Role.ASSISTANT else None
    said: list[str] = []
    for turn in reversed(conversation if reply is None else conversation[:-1]):
        if turn.role is Role.ASSISTANT:
            break
        if turn.role is Role.USER:
            said.append(turn.content)
    return "\n".join(reversed(said)), reply


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a classifier says about the last turn of a conversation.

    Args:
        unsafe: the classifier's own decision.
        score: probability of unsafe, 0 to 1.
        categories: probability per category, 0 to 1 each; empty when the classifier has not said.
        classifier: name of the classifier, for the record.
        degraded: whether a weaker classifier judged, since the one that should was down.

    Raises:
        ClassifierProtocolError: `unsafe` is no boolean, a probability not a number from 0 to 1, or
            a category not one of the six.
    """

    unsafe: bool
    score: float
    categories: Mapping[Category, float] = field(default_factory=dict)
    classifier: str = ""
    degraded: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "unsafe", _boolean(self.unsafe, "unsafe"))
        object.__setattr__(self, "score", _probability(self.score, "score"))
        if self.categories:
            checked = {
                _category(category): _probability(value, category)
                for category, value in self.categories.items()
            }
            object.__setattr__(self, "categories", checked)

    @property
    def top(self) -> Category | None:
        """The most probable category, if any is known."""
        return max(self.categories, key=self.categories.__getitem__, default=None)

    def with_categories(self, categories: Mapping[Category, float]) -> Self:
        """Return the same verdict with its categories known."""
        return replace(self, categories=categories)


def _category(name: str) -> Category:
    if type(name) is Category:
        return name
    try:
        return Category(name)
    except ValueError:
        known = ", ".join(Category)
        raise ClassifierProtocolError(f"{_shown(name)} is no category; they are {known}") from None


def _boolean(value: bool, name: str) -> bool:
    if not isinstance(value, bool) and type(value).__name__ not in ("bool", "bool_"):  # numpy's
        raise ClassifierProtocolError(f"{name} must be True or False, not {_shown(value)}")
    return bool(value)


def _probability(value: float, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0.0 <= number <= 1.0:
        raise ClassifierProtocolError(
            f"{name} must be a probability from 0 to 1, not {_shown(value)}"
        )
    return number


def _shown(value: object) -> str:
    """Return a number as it is, and the kind of anything else: it may quote what was judged."""
    is_number = value is None or isinstance(value, int | float)
    return repr(value) if is_number else f"a value of type {type(value).__name__}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened to a turn.

    Args:
        action: what the caller gets.
        text: the text to show: the turn's own, or a refusal.
        verdict: the classifier's answer; None when there was none.
        error: why there was no verdict, or no category.
        stage: which side of the exchange was judged.
        category: the category a refusal was chosen for.
        shown: characters of the reply that a stream had shown before it was replaced.
    """

    action: Action
    text: str
    verdict: Verdict | None = None
    error: Exception | None = None
    stage: Stage = Stage.OUTPUT
    category: Category | None = None
    shown: int = 0

    @property
    def blocked(self) -> bool:
        """Whether the text was replaced."""
        return self.action is Action.REPLACE

    @property
    def degraded(self) -> bool:
        """Whether a weaker classifier judged, since the one that should was down."""
        return self.verdict is not None and self.verdict.degraded


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What was done with a reply while it was streamed.

    Args:
        checks: how often the growing reply was judged.
        held: characters held back, at the moment there were most.
        shown: characters of the reply that were shown; of a replaced one, before the refusal.
        waited: seconds from the stream's beginning until the first text was shown; None if none
            was.
    """

    checks: int
    held: int
    shown: int
    waited: float | None = None
