"""Rows and answers as columns of numbers: a hundred thousand rows take a few megabytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from guardrail.errors import ClassifierError
from guardrail.evaluation.rows import Row
from guardrail.evaluation.store import Answer
from guardrail.policy import Policy
from guardrail.types import Action, Category, Conversation, Verdict, exchange

__all__ = [
    "CATEGORIES",
    "Bools",
    "Codes",
    "Decided",
    "Floats",
    "Group",
    "Table",
    "decide",
    "read_table",
]

Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Codes: TypeAlias = npt.NDArray[np.int32]

CATEGORIES = tuple(Category)
_PLACE = {category: place for place, category in enumerate(CATEGORIES)}
_NO_WORDS: Conversation = exchange("", "")  # a decision does not depend on them, only its refusal


@dataclass(frozen=True, slots=True)
class Group:
    """One way to divide the rows.

    Args:
        codes: (N,) which of the names each row has; -1 for none.
        names: what the codes stand for.
    """

    codes: Codes
    names: Sequence[str]


@dataclass(frozen=True)
class Table:
    """What the rows are, whoever judges them.

    Args:
        unsafe: (N,) what they really are.
        category: (N,) place in CATEGORIES, -1 where none of these is known.
        groups: the ways to divide them, by name.
    """

    unsafe: Bools
    category: Codes
    groups: Mapping[str, Group]

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.unsafe)


@dataclass(frozen=True)
class Decided:
    """What one candidate says about the same rows.

    Args:
        score: (N,) NaN where there was no verdict.
        found: (N,) whether the policy finds them unsafe.
        own: (N,) whether the classifier itself does.
        category: (N,) place of the category in CATEGORIES that a refusal would be chosen for, or
            that is likeliest; -1 for none.
        categories: (N, 6) probability of each, NaN where not known.
        seconds: (N,) time each took in its batch.
        errors: how many rows have no verdict, by reason.
    """

    score: Floats
    found: Bools
    own: Bools
    category: Codes
    categories: npt.NDArray[np.float32]
    seconds: Floats
    errors: Mapping[str, int] = field(default_factory=dict)

    @property
    def judged(self) -> Bools:
        """(N,) whether there was a verdict."""
        return ~np.isnan(self.score)


_LENGTHS = (50, 150, 400, 1000)


def _length_name(text: str) -> str:
    for least, limit in zip((0, *_LENGTHS), _LENGTHS, strict=False):
        if len(text) <= limit:
            return f"{least + 1 if least else 0}-{limit}"
    return f"over {_LENGTHS[-1]}"


_DIVIDED: Mapping[str, Callable[[Row], str | None]] = {
    "category": lambda row: row.category,
    "source": lambda row: row.source,
    "length": lambda row: _length_name(row.text),
    "language": lambda row: row.spoken_language,
    "judged": lambda row: row.judged.value,
}


def read_table(named: Iterable[tuple[str, Iterable[Row]]]) -> Table:
    """Return what the rows of some data sets are; `named` gives each set's name and rows."""
    unsafe: list[bool] = []
    category: list[int] = []
    groups: dict[str, _Coder] = {}
    for name, rows in named:
        for row in rows:
            place = len(unsafe)
            unsafe.append(row.unsafe)
            category.append(_category_place(row.category))
            groups.setdefault("data", _Coder()).put(place, name)
            for group, value in _values(row):
                groups.setdefault(group, _Coder()).put(place, value)
    size = len(unsafe)
    return Table(
        np.array(unsafe, bool),
        np.array(category, np.int32),
        {name: coder.group(size) for name, coder in groups.items()},
    )


def _values(row: Row) -> Iterator[tuple[str, str]]:
    for name, value_of in _DIVIDED.items():
        value = value_of(row)
        if value is not None:
            yield name, value
    yield from row.groups.items()


def _category_place(name: str | None) -> int:
    return _PLACE[Category(name)] if name and name in Category.__members__ else -1


class _Coder:
    """Gives equal values equal numbers."""

    def __init__(self) -> None:
        self._places: list[int] = []
        self._codes: list[int] = []
        self._names: dict[str, int] = {}

    def put(self, place: int, name: str) -> None:
        self._places.append(place)
        self._codes.append(self._names.setdefault(name, len(self._names)))

    def group(self, size: int) -> Group:
        codes = np.full(size, -1, np.int32)
        codes[self._places] = self._codes
        return Group(codes, tuple(self._names))


def decide(answers: Iterable[Answer], policy: Policy) -> Decided:
    """Return what a policy makes of a classifier's answers.

    A row without a verdict counts neither as caught nor as passed: it is reported as an error.
    """
    score: list[float] = []
    found: list[bool] = []
    own: list[bool] = []
    category: list[int] = []
    categories: list[list[float]] = []
    seconds: list[float] = []
    errors: dict[str, int] = {}
    for answer in answers:
        verdict = answer.verdict
        is_found, named = (False, None) if verdict is None else _decided(verdict, answer, policy)
        if verdict is None:
            errors[answer.error or "?"] = errors.get(answer.error or "?", 0) + 1
        score.append(np.nan if verdict is None else verdict.score)
        found.append(is_found)
        own.append(verdict is not None and verdict.unsafe)
        category.append(-1 if named is None else _PLACE[named])
        categories.append(_spread(verdict))
        seconds.append(answer.seconds)
    return Decided(
        np.array(score, float),
        np.array(found, bool),
        np.array(own, bool),
        np.array(category, np.int32),
        np.array(categories, np.float32).reshape(len(score), len(CATEGORIES)),
        np.array(seconds, float),
        errors,
    )


def _spread(verdict: Verdict | None) -> list[float]:
    known = verdict.categories if verdict else {}
    return [known.get(category, np.nan) for category in CATEGORIES]


def _decided(verdict: Verdict, answer: Answer, policy: Policy) -> tuple[bool, Category | None]:
    """Return whether the policy finds a turn unsafe, and in which category."""
    if answer.error is not None and policy.wants_categories(verdict):
        unnamed = policy.decide_without(_NO_WORDS, ClassifierError(answer.error), verdict)
        return unnamed.blocked or policy.finds_unsafe(verdict), None
    if not policy.finds_unsafe(verdict):
        return False, verdict.top
    outcome = policy.decide(_NO_WORDS, verdict)
    return outcome.action is not Action.ALLOW, outcome.category or verdict.top
