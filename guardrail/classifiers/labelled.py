"""Classifiers whose model answers with one of two labels: from its readings to verdicts.

Whatever reads them, the way is the same:

    conversation -> prompts, one per window -> readings -> worst -> verdict
                 -> prompts, one per category and window -> worst of each -> categories
"""

from __future__ import annotations

import asyncio
import math
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, Protocol, TypeVar

from guardrail.classifiers.base import Classifier
from guardrail.errors import ClassifierProtocolError, ConfigError
from guardrail.settings import probability
from guardrail.taxonomy import Taxonomy
from guardrail.types import Category, Conversation, Verdict

__all__ = ["Labelled", "Reading", "Render"]

P = TypeVar("P")
_Write = Callable[[Sequence[Conversation]], list[list[P]]]

_AT_ONCE = 4000  # characters that are encoded within a few milliseconds


class Render(Protocol):
    """Writes the prompt that asks whether a conversation's last turn is unsafe."""

    def __call__(self, conversation: Conversation, *, taxonomy: Taxonomy) -> str: ...


@dataclass(frozen=True, slots=True)
class Reading:
    """What the model would answer next: log-probabilities of the two labels.

    Args:
        safe: of the one.
        unsafe: of the other.
        supposed: how much of both is a bound, since a label was not among the answers.
    """

    safe: float
    unsafe: float
    supposed: float = 0.0

    @property
    def score(self) -> float:
        """Probability of unsafe, between the two labels."""
        return 1 / (1 + math.exp(min(self.safe - self.unsafe, 700.0)))

    @property
    def mass(self) -> float:
        """Probability that the model answers with a label at all."""
        return math.exp(self.safe) + math.exp(self.unsafe) - self.supposed


class Labelled(Classifier, Generic[P]):
    """Judges by the two labels of a model; `P` is a prompt as the model takes it.

    Implement `prompts`, `_read` and `_aread`.

    Args:
        taxonomy: the policy that prompts state.
        threshold: the score from which on a reply is unsafe.
        min_label_mass: probability that both labels must have together.
        labels: how the model answers safe and unsafe.

    Raises:
        ConfigError: an argument is wrong.
    """

    def __init__(
        self,
        *,
        taxonomy: Taxonomy,
        threshold: float,
        min_label_mass: float,
        labels: tuple[str, str],
    ) -> None:
        self._taxonomy = taxonomy
        self._threshold = probability("threshold", threshold)
        self._min_label_mass = probability("min_label_mass", min_label_mass)
        self._labels = _two_texts(labels)

    @abstractmethod
    def prompts(self, conversation: Conversation, taxonomy: Taxonomy | None = None) -> list[P]:
        """Return what the model reads for a conversation: one prompt, or one per window."""

    @abstractmethod
    def _read(self, prompts: Sequence[P]) -> Sequence[Reading]:
        """Return one reading per prompt, in the same order."""

    @abstractmethod
    async def _aread(self, write: Callable[[], Awaitable[Sequence[P]]]) -> Sequence[Reading]:
        """Return one reading per prompt, in the same order, without blocking the event loop.

        Args:
            write: gives the prompts; to be awaited once, when it is their turn.
        """

    def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Return one verdict per conversation, in the same order.

        Raises:
            ClassifierProtocolError: the model answers something else than a label.
            ClassifierUnavailable: it cannot work here and now.
        """
        prompts = self._prompts_of(conversations)
        return self._verdicts(_regrouped(self._read(_flat(prompts)), prompts))

    async def aclassify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Return what `classify_many` returns; cancelling takes back what still waits."""
        return self._verdicts(await self._areadings(self._prompts_of, conversations))

    def categorise(self, conversations: Sequence[Conversation]) -> list[Mapping[Category, float]]:
        """Return each category's score under a policy of that category alone.

        A model that was not trained on such prompts gives what is good enough to choose a
        refusal, and not to judge.
        """
        prompts = self._category_prompts(conversations)
        return self._categories(_regrouped(self._read(_flat(prompts)), prompts))

    async def acategorise(
        self, conversations: Sequence[Conversation]
    ) -> list[Mapping[Category, float]]:
        """Return what `categorise` returns; cancelling takes back what still waits."""
        return self._categories(await self._areadings(self._category_prompts, conversations))

    async def _areadings(
        self, write: _Write[P], conversations: Sequence[Conversation]
    ) -> list[list[Reading]]:
        """Return the readings, grouped as the prompts that `write` gives."""
        prompts: list[list[P]] = []

        async def written() -> list[P]:
            prompts[:] = await self._written(write, conversations)
            return _flat(prompts)

        return _regrouped(await self._aread(written), prompts)

    async def _written(
        self, write: _Write[P], conversations: Sequence[Conversation]
    ) -> list[list[P]]:
        """Return the prompts; long texts are encoded beside the event loop, not on it."""
        if sum(len(turn.content) for each in conversations for turn in each) <= _AT_ONCE:
            return write(conversations)
        return await asyncio.wrap_future(self.workers.submit(write, conversations))

    def _prompts_of(self, conversations: Iterable[Conversation]) -> list[list[P]]:
        return [self.prompts(conversation) for conversation in conversations]

    def _category_prompts(self, conversations: Iterable[Conversation]) -> list[list[P]]:
        return [
            self.prompts(conversation, alone)
            for conversation in conversations
            for alone in self._taxonomy.split()
        ]

    def _verdicts(self, readings: Iterable[Sequence[Reading]]) -> list[Verdict]:
        scores = map(self._worst, readings)
        return [Verdict(score >= self._threshold, score, classifier=self.name) for score in scores]

    def _categories(self, readings: Iterable[Sequence[Reading]]) -> list[Mapping[Category, float]]:
        clauses = self._taxonomy.clauses
        scores = map(self._worst, readings)
        found: list[Mapping[Category, float]] = []
        while chunk := list(islice(scores, len(clauses))):
            categories: dict[Category, float] = {}
            for clause, score in zip(clauses, chunk, strict=True):
                categories[clause.category] = max(score, categories.get(clause.category, 0.0))
            found.append(categories)
        return found

    def _worst(self, readings: Sequence[Reading]) -> float:
        """Return the highest score of a conversation's windows."""
        for reading in readings:
            if not reading.mass >= self._min_label_mass:  # also when it is no number
                raise ClassifierProtocolError(
                    f"the model puts {reading.mass:.2g} of its probability on its labels, and "
                    f"{self._min_label_mass:.2g} are asked for; is it the model that the prompt "
                    "and the labels belong to?"
                )
        return max(reading.score for reading in readings)


def _two_texts(labels: tuple[str, str]) -> tuple[str, str]:
    texts = isinstance(labels, list | tuple) and all(isinstance(one, str) for one in labels)
    if not texts or len(labels) != 2:
        raise ConfigError(f"labels must be two texts, not {labels!r}")
    safe, unsafe = labels
    if safe == unsafe:
        raise ConfigError(f"both labels are {safe!r}; they must differ")
    return safe, unsafe


def _flat(prompts: Iterable[Sequence[P]]) -> list[P]:
    return [prompt for windows in prompts for prompt in windows]


def _regrouped(readings: Iterable[Reading], prompts: Iterable[Sequence[P]]) -> list[list[Reading]]:
    """Return the readings as the prompts were grouped."""
    left = iter(readings)
    return [list(islice(left, len(windows))) for windows in prompts]
