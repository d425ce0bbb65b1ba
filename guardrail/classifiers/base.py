"""What a classifier is: one primitive, and the forms that derive from it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property

from guardrail.types import Category, Conversation, Verdict
from guardrail.workers import Workers

__all__ = ["Classifier"]


class Classifier(ABC):
    """Judges the last turn of conversations.

    Implement `classify_many`; it may be called from several threads at once. Override
    `aclassify_many` where waiting can be done without a thread, `categorise` where the category
    takes a second step. Raise `ClassifierError` when there is no verdict: never guess one.
    """

    @property
    def name(self) -> str:
        """How records and verdicts call this classifier."""
        return type(self).__name__

    @abstractmethod
    def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Return one verdict per conversation, in the same order.

        Raises:
            ClassifierError: no verdicts could be had.
        """

    async def aclassify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Return what `classify_many` returns, computed in a worker thread."""
        return await asyncio.wrap_future(self.workers.submit(self.classify_many, conversations))

    def classify(self, conversation: Conversation) -> Verdict:
        """Return the verdict on one conversation."""
        return self.classify_many([conversation])[0]

    async def aclassify(self, conversation: Conversation) -> Verdict:
        """Return the verdict on one conversation, without blocking the event loop."""
        return (await self.aclassify_many([conversation]))[0]

    def categorise(self, conversations: Sequence[Conversation]) -> list[Mapping[Category, float]]:
        """Return the probability of each category, for conversations already found unsafe.

        The default knows no categories, so the policy's plain fallback is shown.
        """
        return [{} for _ in conversations]

    async def acategorise(
        self, conversations: Sequence[Conversation]
    ) -> list[Mapping[Category, float]]:
        """Return what `categorise` returns, computed in a worker thread where it computes."""
        if type(self).categorise is Classifier.categorise:
            return self.categorise(conversations)
        return await asyncio.wrap_future(self.workers.submit(self.categorise, conversations))

    def answers_at_once(self, conversations: Sequence[Conversation]) -> bool:
        """Whether these can be judged within a few milliseconds and without waiting.

        If so the caller's own thread does it, even on an event loop, and no timeout applies:
        a hand-over between threads would take longer than the answer.
        """
        return False

    @property
    def keeps_time(self) -> bool:
        """Whether it ends by itself within `deadline.seconds_left`; then no thread waits for it."""
        return False

    @property
    def scales_by_process(self) -> bool:
        """Whether more processes, each with a copy of its own, judge more turns.

        True for what is small and held back by the CPU; False for what has a device or a server
        to itself, or does not know.
        """
        return False

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Give back what the classifier holds; calls after this fail."""

    @cached_property
    def workers(self) -> Workers:
        """The threads in which this classifier is waited for."""
        return Workers(name=self.name)
