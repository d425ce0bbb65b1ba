"""A classifier whose scores are brought to scale: what `guardrail calibrate` measures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from guardrail.classifiers.base import Classifier
from guardrail.types import Category, Conversation, Verdict

__all__ = ["Tempered", "tempered"]

_EDGE = 1e-12  # a score of exactly 0 or 1 has no logit; this far from it is as good


class Tempered(Classifier):
    """Judges as another classifier does, with its logits divided by a temperature.

    Above 1 its scores become less extreme, below 1 more. Their order stays, and so does what the
    classifier itself finds unsafe; thresholds of a policy mean the new scores.

    Args:
        classifier: judges; closed with this one.
        temperature: greater than 0 (Guo and others 2017).
    """

    def __init__(self, classifier: Classifier, temperature: float) -> None:
        self.classifier = classifier
        self.temperature = temperature

    @property
    def name(self) -> str:
        """How records and verdicts call the classifier."""
        return self.classifier.name

    def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Return one verdict per conversation, in the same order."""
        return self._scaled(self.classifier.classify_many(conversations))

    async def aclassify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Return what `classify_many` returns, in the classifier's own way of waiting."""
        return self._scaled(await self.classifier.aclassify_many(conversations))

    def categorise(self, conversations: Sequence[Conversation]) -> list[Mapping[Category, float]]:
        """Return the probability of each category."""
        return list(map(self._categories, self.classifier.categorise(conversations)))

    async def acategorise(
        self, conversations: Sequence[Conversation]
    ) -> list[Mapping[Category, float]]:
        """Return what `categorise` returns, in the classifier's own way of waiting."""
        return list(map(self._categories, await self.classifier.acategorise(conversations)))

    def answers_at_once(self, conversations: Sequence[Conversation]) -> bool:
        """Whether the classifier does."""
        return self.classifier.answers_at_once(conversations)

    @property
    def scales_by_process(self) -> bool:
        """Whether the classifier does."""
        return self.classifier.scales_by_process

    def close(self) -> None:
        """Close the classifier."""
        self.classifier.close()

    def _scaled(self, verdicts: Sequence[Verdict]) -> list[Verdict]:
        return [self._verdict(verdict) for verdict in verdicts]

    def _verdict(self, verdict: Verdict) -> Verdict:
        score = tempered(verdict.score, self.temperature)
        categories = self._categories(verdict.categories)
        return replace(verdict, score=score, categories=categories)

    def _categories(self, categories: Mapping[Category, float]) -> dict[Category, float]:
        return {name: tempered(value, self.temperature) for name, value in categories.items()}


def tempered(score: float, temperature: float) -> float:
    """Return a probability whose logit is divided by a temperature."""
    inside = min(max(score, _EDGE), 1 - _EDGE)
    logit = math.log(inside / (1 - inside)) / temperature
    return 1 / (1 + math.exp(-max(logit, -700.0)))
