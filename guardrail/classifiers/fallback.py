"""Several classifiers, of which the first that can answers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from guardrail.classifiers.base import Classifier
from guardrail.classifiers.composed import Asking, Composed
from guardrail.deadline import seconds_left
from guardrail.errors import ClassifierError, ClassifierProtocolError, ConfigError
from guardrail.flow import Categorise, Classify
from guardrail.types import Category, Conversation, Verdict

__all__ = ["Fallback"]

_logger = logging.getLogger("guardrail")


class Fallback(Composed):
    """Judges with the first classifier; while that is down, with the next.

    Verdicts of any but the first are marked `degraded`. A classifier that answers, but with no
    verdict (`ClassifierProtocolError`), is not down: who writes the text could bring that about to
    choose a weaker judge, so the error stands.

    Args:
        classifiers: the best first; closed with this one.
        share: of the time that is left, what each but the last may take.

    Raises:
        ConfigError: there is no classifier, or the share is not between 0 and 1.
    """

    def __init__(self, classifiers: Sequence[Classifier], *, share: float = 0.7) -> None:
        if not classifiers:
            raise ConfigError("a fallback needs classifiers, the best first")
        if not 0.0 < share < 1.0:
            raise ConfigError(f"share is {share!r}; it must be between 0 and 1")
        super().__init__(classifiers)
        self._share = share

    def _classifying(self, conversations: Sequence[Conversation]) -> Asking[list[Verdict]]:
        place, verdicts = yield from self._first_answers(Classify, conversations)
        return [replace(one, degraded=one.degraded or place > 0) for one in verdicts]

    def _categorising(
        self, conversations: Sequence[Conversation]
    ) -> Asking[list[Mapping[Category, float]]]:
        _, categories = yield from self._first_answers(Categorise, conversations)
        return list(categories)

    def _first_answers(
        self, kind: type[Classify] | type[Categorise], conversations: Sequence[Conversation]
    ) -> Asking[tuple[int, Any]]:
        """Return the first answers that come, and from which classifier."""
        last = len(self.classifiers) - 1
        for place, classifier in enumerate(self.classifiers[:last]):
            try:
                answers = yield kind(conversations, self._seconds()), classifier
            except ClassifierProtocolError:
                raise
            except ClassifierError as error:
                _logger.info("%s is down, the next is asked: %s", classifier.name, error)
            else:
                return place, answers
        return last, (yield kind(conversations, seconds_left()), self.classifiers[last])

    def _seconds(self) -> float | None:
        left = seconds_left()
        return None if left is None else left * self._share
