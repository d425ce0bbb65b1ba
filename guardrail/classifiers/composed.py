"""Classifiers made of others: whom to ask, and what to do with the answers, written once.

The decisions are generators that yield a question with the classifier it is for, and are sent the
answers, or the error; see `guardrail.flow`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from guardrail.asking import aask, ask
from guardrail.classifiers.base import Classifier
from guardrail.drive import adrive, drive
from guardrail.flow import Categorise, Classify, checked
from guardrail.types import Category, Conversation, Verdict

__all__ = ["Asked", "Asking", "Composed"]

T = TypeVar("T")

Asked: TypeAlias = tuple[Classify | Categorise, Classifier]
Asking: TypeAlias = Generator[Asked, Any, T]


class Composed(Classifier):
    """Asks other classifiers; implement `_classifying` and `_categorising`.

    Args:
        classifiers: whom it asks; closed with it.
    """

    def __init__(self, classifiers: Sequence[Classifier]) -> None:
        self.classifiers = tuple(classifiers)

    @property
    def name(self) -> str:
        """How records call this classifier; a verdict says who gave it."""
        return f"{type(self).__name__.lower()}({', '.join(one.name for one in self.classifiers)})"

    @abstractmethod
    def _classifying(self, conversations: Sequence[Conversation]) -> Asking[list[Verdict]]:
        """Return one verdict per conversation."""

    @abstractmethod
    def _categorising(
        self, conversations: Sequence[Conversation]
    ) -> Asking[list[Mapping[Category, float]]]:
        """Return the probability of each category, for each conversation."""

    def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Return one verdict per conversation, in the same order."""
        return drive(self._classifying(conversations), _ask)

    async def aclassify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Return what `classify_many` returns, without blocking the event loop."""
        return await adrive(self._classifying(conversations), _aask)

    def categorise(self, conversations: Sequence[Conversation]) -> list[Mapping[Category, float]]:
        """Return the probability of each category, for conversations already found unsafe."""
        return drive(self._categorising(conversations), _ask)

    async def acategorise(
        self, conversations: Sequence[Conversation]
    ) -> list[Mapping[Category, float]]:
        """Return what `categorise` returns, without blocking the event loop."""
        return await adrive(self._categorising(conversations), _aask)

    def answers_at_once(self, conversations: Sequence[Conversation]) -> bool:
        """Whether all of them do, whoever is asked."""
        return all(one.answers_at_once(conversations) for one in self.classifiers)

    @property
    def scales_by_process(self) -> bool:
        """Whether all of them do."""
        return all(one.scales_by_process for one in self.classifiers)

    def close(self) -> None:
        """Close every classifier."""
        for classifier in self.classifiers:
            classifier.close()


def _ask(asked: Asked) -> list[Any]:
    question, classifier = asked
    return checked(ask(question, classifier), question)


async def _aask(asked: Asked) -> list[Any]:
    question, classifier = asked
    return checked(await aask(question, classifier), question)
