"""Classifiers that fail."""

from __future__ import annotations

from collections.abc import Sequence

from guardrail import Classifier, Verdict
from guardrail.errors import ClassifierUnavailable
from guardrail.testing import StubClassifier
from guardrail.types import Conversation


class Down(Classifier):
    """Is never there."""

    def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Say so."""
        raise ClassifierUnavailable("nobody there")


class Quick(StubClassifier):
    """The stub, in as many processes as there are cores."""

    @property
    def scales_by_process(self) -> bool:
        """Always."""
        return True


class Falling(Classifier):
    """Is there for a while.

    Args:
        lasts: turns that it judges.
    """

    def __init__(self, lasts: int) -> None:
        self._left = lasts

    def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Judge, as long as it lasts."""
        self._left -= len(conversations)
        if self._left < 0:
            raise ClassifierUnavailable("gone")
        return [Verdict(False, 0.25, classifier="falling") for _ in conversations]
