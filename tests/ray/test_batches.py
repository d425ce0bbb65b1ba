"""Batches: what waits while a classifier is busy is the next one, and nothing waits for more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from guardrail import Category, Classifier, Verdict
from guardrail.asking import aask
from guardrail.deadline import within
from guardrail.errors import (
    ClassifierError,
    ClassifierProtocolError,
    ClassifierTimeout,
    ClassifierUnavailable,
)
from guardrail.flow import Classify
from guardrail.integrations.ray_serve.batches import Batched, batched
from guardrail.testing import StubClassifier
from guardrail.types import Conversation, exchange


class Held(Classifier):
    """A model that works only when it is let; it fails on "bad", and answers "few" with nothing."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go = threading.Event()
        self.began = threading.Event()

    def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Judge, once it is let."""
        texts = self._begin(conversations)
        if "bad" in texts:
            raise ClassifierUnavailable("cannot read this")
        return [Verdict("unsafe" in text, 0.5) for text in texts if text != "few"]

    def categorise(self, conversations: Sequence[Conversation]) -> list[Mapping[Category, float]]:
        """Name one category."""
        self._begin(conversations)
        return [{Category.O1: 1.0} for _ in conversations]

    def _begin(self, conversations: Sequence[Conversation]) -> list[str]:
        texts = [conversation[-1].content for conversation in conversations]
        self.batches.append(texts)
        self.began.set()
        assert self.go.wait(10)
        return texts


async def answers(model: Held, *texts: str, first: str = "first") -> list[Any]:
    """Ask about one text and, while that is judged, about others; return what all come to."""
    batching = Batched(model)
    calls = [asyncio.create_task(batching.aclassify(exchange("q", first)))]
    await asyncio.to_thread(model.began.wait, 10)
    calls += [asyncio.create_task(batching.aclassify(exchange("q", text))) for text in texts]
    await asyncio.sleep(0)
    model.go.set()
    return await asyncio.gather(*calls, return_exceptions=True)


def test_what_waits_is_the_next_batch() -> None:
    """The first call does not wait for others; those that come meanwhile go together."""
    model = Held()
    verdicts = asyncio.run(answers(model, "a", "unsafe", "b"))

    assert model.batches == [["first"], ["a", "unsafe", "b"]]
    assert [verdict.unsafe for verdict in verdicts] == [False, False, True, False]


def test_a_batch_has_an_end() -> None:
    """However many wait; the others are the next."""
    model = Held()
    asyncio.run(answers(model, *map(str, range(70))))

    assert [len(batch) for batch in model.batches] == [1, 64, 6]


def test_a_call_fails_for_itself_alone() -> None:
    """Nobody can have the others' replies withheld by what he sends."""
    a, bad, b = asyncio.run(answers(Held(), "a", "bad", "unsafe"))[1:]

    assert (a.unsafe, type(bad), b.unsafe) == (False, ClassifierUnavailable, True)


def test_answers_that_are_too_few_are_nobodys() -> None:
    """Rather than given to whoever is next."""
    first, few, unsafe = asyncio.run(answers(Held(), "few", "unsafe"))

    assert (first.unsafe, type(few), unsafe.unsafe) == (False, ClassifierProtocolError, True)


def test_who_left_is_not_judged() -> None:
    """A call that is cancelled while it waits is taken back."""
    model = Held()

    async def ask() -> None:
        batching = Batched(model)
        first = asyncio.create_task(batching.aclassify(exchange("q", "first")))
        await asyncio.to_thread(model.began.wait, 10)
        left, stays = (
            asyncio.create_task(batching.aclassify(exchange("q", text)))
            for text in ("left", "stays")
        )
        await asyncio.sleep(0)
        left.cancel()
        model.go.set()
        await asyncio.gather(first, stays)

    asyncio.run(ask())

    assert model.batches == [["first"], ["stays"]]


def test_a_model_that_hangs_holds_up_nobody_for_longer_than_they_allow() -> None:
    """Its batch is given up with its last caller, and the next one is asked about."""
    model = Held()
    batching = Batched(model)

    async def ask() -> Any:
        with within(0.2), pytest.raises(ClassifierTimeout):
            await aask(Classify([exchange("q", "hangs")], 0.2), batching)
        model.go.set()
        return await batching.aclassify(exchange("q", "unsafe"))

    assert asyncio.run(ask()).unsafe
    model.go.set()


def test_one_caller_s_time_is_not_another_s() -> None:
    """The first call has little time; those that come after it have their own."""
    model = Held()
    batching = Batched(model)

    async def ask() -> list[Any]:
        calls = [aask(Classify([exchange("q", "short")], 0.1), batching)]
        calls += [aask(Classify([exchange("q", "long")], 10.0), batching)]
        tasks = [asyncio.create_task(call) for call in calls]
        await asyncio.wait(tasks[:1])
        model.go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    short, (long,) = asyncio.run(ask())

    assert (type(short), long.unsafe) == (ClassifierTimeout, False)


def test_categories_are_asked_for_in_batches_of_their_own() -> None:
    """Both kinds of questions may wait at once."""
    model = Held()

    async def ask() -> list[Any]:
        batching = Batched(model)
        talk = [exchange("q", "unsafe")]
        kinds = [batching.aclassify_many, batching.acategorise, batching.acategorise] * 2
        calls = [asyncio.create_task(kind(talk)) for kind in kinds]
        await asyncio.to_thread(model.began.wait, 10)
        model.go.set()
        return [answer for (answer,) in await asyncio.gather(*calls)]

    found = asyncio.run(ask())

    assert [isinstance(answer, Verdict) for answer in found] == [True, False, False] * 2
    assert [len(batch) for batch in model.batches] == [1, 2, 1, 2]


def test_a_classifier_that_waits_by_itself_is_left_as_it_is() -> None:
    """An engine, or a server, is behind it, and batches better."""
    engine, model = StubClassifier(), Held()

    assert batched(engine) is engine
    assert isinstance(batched(model), Batched)


def test_an_error_is_the_caller_s_own_kind() -> None:
    """Whatever the classifier raises reaches the caller as an error of this package."""

    class Broken(Held):
        def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
            raise ZeroDivisionError

    with pytest.raises(ClassifierError, match="ZeroDivisionError"):
        asyncio.run(Batched(Broken()).aclassify(exchange("q", "a")))
