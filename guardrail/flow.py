"""Every decision, written once.

A flow is a generator that yields commands and is sent their answers. It does no I/O and knows
neither threads nor event loops; the pumps carry its commands out, in either world.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from guardrail.errors import (
    ClassifierError,
    ClassifierProtocolError,
    InvalidTurnError,
)
from guardrail.policy import Policy
from guardrail.types import (
    Category,
    Conversation,
    Outcome,
    StreamFacts,
    Verdict,
    exchange,
    question,
)

__all__ = [
    "Categorise",
    "Classify",
    "Command",
    "Decided",
    "Flow",
    "Now",
    "Record",
    "Reply",
    "answer",
    "checked",
    "decide_many",
    "review",
    "review_many",
    "time_for",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Classify:
    """Have conversations judged, within so many seconds; answered with one verdict each."""

    conversations: Sequence[Conversation]
    timeout: float | None


@dataclass(frozen=True, slots=True)
class Categorise:
    """Have the categories of unsafe conversations found; answered with one mapping each."""

    conversations: Sequence[Conversation]
    timeout: float | None


@dataclass(frozen=True, slots=True)
class Reply:
    """Have the bot reply; answered with what it returned."""


@dataclass(frozen=True, slots=True)
class Decided:
    """Tell whoever listens what was decided: also of a reply that still grows."""

    conversations: Sequence[Conversation]
    outcomes: Sequence[Outcome]


@dataclass(frozen=True, slots=True)
class Record:
    """Have a decision recorded, the last one about a text."""

    conversation: Conversation
    outcome: Outcome
    seconds: float
    facts: StreamFacts | None = None


@dataclass(frozen=True, slots=True)
class Now:
    """Read the clock; answered with the seconds since some fixed moment."""


Command: TypeAlias = Classify | Categorise | Reply | Decided | Record | Now
Flow: TypeAlias = Generator[Command, Any, T]


def answer(user: str, policy: Policy) -> Flow[Outcome]:
    """Let the bot reply, and decide what the user sees.

    With an input stage the user's turn is judged first; where it fails, the bot is not asked.

    Raises:
        InvalidTurnError: the bot returned something other than text.
    """
    if policy.check_input:
        outcome = yield from review(question(user), policy)
        if outcome.blocked:
            return outcome
    reply = yield Reply()
    if not isinstance(reply, str):
        raise InvalidTurnError(
            f"the handler returned {type(reply).__name__}, not str; only text can be judged, "
            "so return the reply's text (an empty reply is '')"
        )
    return (yield from review(exchange(user, reply), policy))


def review(conversation: Conversation, policy: Policy) -> Flow[Outcome]:
    """Judge the last turn and decide what the caller sees."""
    return (yield from review_many([conversation], policy))[0]


def review_many(conversations: Sequence[Conversation], policy: Policy) -> Flow[list[Outcome]]:
    """Judge the last turn of each conversation and decide what the caller sees."""
    if not conversations:
        return []
    started = yield Now()
    outcomes = yield from _decide_many(conversations, policy)
    seconds = (yield Now()) - started
    for conversation, outcome in zip(conversations, outcomes, strict=True):
        yield Record(conversation, outcome, seconds)
    return outcomes


def _decide_many(conversations: Sequence[Conversation], policy: Policy) -> Flow[list[Outcome]]:
    try:
        answers = yield Classify(conversations, time_for(len(conversations), policy))
    except ClassifierError as error:
        answers = error
    return (yield from decide_many(conversations, answers, policy))


def decide_many(
    conversations: Sequence[Conversation], answers: Any, policy: Policy
) -> Flow[list[Outcome]]:
    """Decide what the caller sees, by what the classifier answered or the error it ended in."""
    try:
        verdicts: list[Verdict] = checked(answers, Classify(conversations, None))
    except ClassifierError as error:
        outcomes = [policy.decide_without(conversation, error) for conversation in conversations]
    else:
        errors = yield from _name_categories(conversations, verdicts, policy)
        outcomes = [
            policy.decide_without(conversation, errors[place], verdict)
            if place in errors
            else policy.decide(conversation, verdict)
            for place, (conversation, verdict) in enumerate(
                zip(conversations, verdicts, strict=True)
            )
        ]
    yield Decided(conversations, outcomes)
    return outcomes


def _name_categories(
    conversations: Sequence[Conversation], verdicts: list[Verdict], policy: Policy
) -> Flow[dict[int, ClassifierError]]:
    """Fill in the categories that the policy needs; return what went wrong, by place."""
    places = [place for place, verdict in enumerate(verdicts) if policy.wants_categories(verdict)]
    if not places:
        return {}
    try:
        unnamed = [conversations[place] for place in places]
        asked = Categorise(unnamed, time_for(len(unnamed), policy))
        found: list[Mapping[Category, float]] = checked((yield asked), asked)
        for place, categories in zip(places, found, strict=True):
            verdicts[place] = verdicts[place].with_categories(categories)
    except ClassifierError as error:
        return dict.fromkeys(places, error)
    return {}


def time_for(conversations: int, policy: Policy) -> float | None:
    """Return the seconds that judging so many conversations may take."""
    return None if policy.timeout is None else policy.timeout * conversations


def checked(answers: Any, question: Classify | Categorise) -> list[Any]:
    """Return a classifier's answers to a question, if they are what its contract says.

    Raises:
        ClassifierProtocolError: they are not.
        ClassifierError: they are an error.
    """
    kind = Verdict if isinstance(question, Classify) else Mapping
    expected = len(question.conversations)
    if isinstance(answers, ClassifierError):
        raise answers
    if not isinstance(answers, Sequence) or len(answers) != expected:
        raise ClassifierProtocolError(
            f"expected {expected} answers from the classifier, got {_kind(answers)}"
        )
    for one in answers:
        if not isinstance(one, kind):
            raise ClassifierProtocolError(f"expected a {kind.__name__}, got {_kind(one)}")
    return list(answers)


def _kind(answer: Any) -> str:
    """Return what an answer is, but not what is in it: it may quote the conversation."""
    many = f" of {len(answer)}" if isinstance(answer, Sequence) else ""
    return f"{type(answer).__name__}{many}"
