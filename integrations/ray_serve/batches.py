"""A classifier that answers one call after the other, made to answer together what waits."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from itertools import islice
from typing import Any

from guardrail.asking import aask
from guardrail.classifiers.base import Classifier
from guardrail.deadline import seconds_left
from guardrail.errors import ClassifierProtocolError, ClassifierTimeout
from guardrail.flow import Categorise, Classify
from guardrail.types import Category, Conversation, Verdict

__all__ = ["Batched", "batched"]

_MOST = 64  # conversations in a batch


def batched(classifier: Classifier) -> Classifier:
    """Return the classifier, batching unless it sees to that itself.

    One that waits without a thread has an engine or a server behind it which batches.
    """
    waits_itself = type(classifier).aclassify_many is not Classifier.aclassify_many
    return classifier if waits_itself else Batched(classifier)


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that waits.

    Args:
        kind: what it asks.
        conversations: about which.
        until: when it must be answered, in monotonic seconds.
        answers: where it hears the answers.
    """

    kind: type[Classify] | type[Categorise]
    conversations: Sequence[Conversation]
    until: float
    answers: asyncio.Future[list[Any]]


class Batched(Classifier):
    """Has a classifier judge together whatever came while it was judging; nothing waits for more.

    Belongs to one event loop. A batch that fails is asked again call by call, so that no caller
    fails for what another one sent.

    Args:
        classifier: judges, one batch at a time; closed with this one.
    """

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self._waiting: deque[_Call] = deque()
        self._working: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """How records and verdicts call the classifier."""
        return self.classifier.name

    def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Return one verdict per conversation, at once."""
        return self.classifier.classify_many(conversations)

    async def aclassify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Return one verdict per conversation; cancelling takes back what still waits."""
        return await self._ask(Classify, conversations)

    def categorise(self, conversations: Sequence[Conversation]) -> list[Mapping[Category, float]]:
        """Return the probability of each category, at once."""
        return self.classifier.categorise(conversations)

    async def acategorise(
        self, conversations: Sequence[Conversation]
    ) -> list[Mapping[Category, float]]:
        """Return the probability of each category; cancelling takes back what still waits."""
        return await self._ask(Categorise, conversations)

    def close(self) -> None:
        """Close the classifier."""
        self.classifier.close()

    async def _ask(
        self, kind: type[Classify] | type[Categorise], conversations: Sequence[Conversation]
    ) -> list[Any]:
        call = _Call(kind, conversations, _until(), asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        if self._working is None:  # in no caller's context: its deadline is not the others'
            self._working = asyncio.create_task(self._work(), context=Context())
        return await call.answers

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._answer(self._next())
        finally:
            self._working = None

    def _next(self) -> list[_Call]:
        """Take the next batch: calls of one kind, in the order they came."""
        batch = [self._waiting.popleft()]
        size = len(batch[0].conversations)
        while self._waiting and self._waiting[0].kind is batch[0].kind:
            size += len(self._waiting[0].conversations)
            if size > _MOST:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _answer(self, batch: Sequence[_Call]) -> None:
        wanted = [call for call in batch if not call.answers.done()]
        if not wanted:
            return
        try:
            answers = iter(await self._asked(wanted))
        except Exception as error:
            await self._fail(wanted, error)
            return
        for call in wanted:
            own = list(islice(answers, len(call.conversations)))
            if not call.answers.done():
                call.answers.set_result(own)

    async def _asked(self, batch: Sequence[_Call]) -> list[Any]:
        """Return the answers to all calls, in their order."""
        conversations = [one for call in batch for one in call.conversations]
        left = max(call.until for call in batch) - time.monotonic()
        seconds = None if math.isinf(left) else max(0.0, left)
        answers = list(await aask(batch[0].kind(conversations, seconds), self.classifier))
        if len(answers) != len(conversations):  # whose are they?
            raise ClassifierProtocolError(
                f"expected {len(conversations)} answers from the classifier, got {len(answers)}"
            )
        return answers

    async def _fail(self, batch: Sequence[_Call], error: Exception) -> None:
        """Tell a call what went wrong; of several, find out which brought it about."""
        if len(batch) > 1 and not isinstance(error, ClassifierTimeout):  # there is time to
            for call in batch:
                await self._answer([call])
            return
        for call in batch:
            if not call.answers.done():
                call.answers.set_exception(error)


def _until() -> float:
    left = seconds_left()
    return math.inf if left is None else time.monotonic() + left
