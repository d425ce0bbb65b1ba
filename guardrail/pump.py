"""Carries out the commands of flows: one pump for threads, one for event loops.

This is the only code of the core that exists twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from guardrail.audit import Recorder
from guardrail.classifiers.base import Classifier
from guardrail.errors import ClassifierError, ClassifierTimeout
from guardrail.flow import Categorise, Classify, Command, Flow, Now, Record, Reply

__all__ = ["Hands", "arun", "run"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hands:
    """What the pumps work with.

    Args:
        classifier: judges.
        recorder: keeps the decisions.
    """

    classifier: Classifier
    recorder: Recorder


def _no_bot() -> Any:
    raise AssertionError("this flow asks for a reply, and there is no bot")


def run(flow: Flow[T], hands: Hands, reply: Callable[[], Any] = _no_bot) -> T:
    """Carry a flow through on this thread and return its result.

    Args:
        flow: what to do.
        hands: what to do it with.
        reply: has the bot reply, in a flow that asks for it.
    """
    try:
        command = next(flow)
        while True:
            try:
                answer = _perform(command, hands, reply)
            except Exception as error:
                command = flow.throw(error)
            else:
                command = flow.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        flow.close()


async def arun(flow: Flow[T], hands: Hands, reply: Callable[[], Awaitable[Any]] = _no_bot) -> T:
    """Carry a flow through on this event loop and return its result; see `run`."""
    try:
        command = next(flow)
        while True:
            try:
                answer = await _aperform(command, hands, reply)
            except Exception as error:
                command = flow.throw(error)
            else:
                command = flow.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        flow.close()


def _perform(command: Command, hands: Hands, reply: Callable[[], Any]) -> Any:
    match command:
        case Classify() | Categorise():
            return _ask(command, hands.classifier)
        case Reply():
            return reply()
        case _:
            return _note(command, hands)


async def _aperform(command: Command, hands: Hands, reply: Callable[[], Awaitable[Any]]) -> Any:
    match command:
        case Classify() | Categorise():
            return await _aask(command, hands.classifier)
        case Reply():
            return await reply()
        case _:
            return _note(command, hands)


def _note(command: Record | Now, hands: Hands) -> float | None:
    if isinstance(command, Now):
        return time.perf_counter()
    hands.recorder.record(command.conversation, command.outcome, command.seconds)
    return None


def _ask(question: Classify | Categorise, classifier: Classifier) -> Any:
    with _translating(classifier):
        ask = classifier.classify_many if isinstance(question, Classify) else classifier.categorise
        if question.timeout is None or classifier.answers_at_once(question.conversations):
            return ask(question.conversations)
        return _within(question.timeout, classifier.workers.submit(ask, question.conversations))


def _within(seconds: float, future: Future[T]) -> T:
    try:
        return future.result(seconds)
    except TimeoutError:
        if future.done():  # the classifier's own
            raise
        future.cancel()
        raise ClassifierTimeout(f"no answer within {seconds:g} s") from None


async def _aask(question: Classify | Categorise, classifier: Classifier) -> Any:
    if classifier.answers_at_once(question.conversations):
        return _ask(question, classifier)
    with _translating(classifier):
        classify = isinstance(question, Classify)
        ask = classifier.aclassify_many if classify else classifier.acategorise
        return await _awithin(question.timeout, ask(question.conversations))


async def _awithin(seconds: float | None, answer: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(seconds) as scope:
            return await answer
    except TimeoutError:
        if not scope.expired():  # the classifier's own
            raise
        raise ClassifierTimeout(f"no answer within {seconds:g} s") from None


@contextmanager
def _translating(classifier: Classifier) -> Iterator[None]:
    """Raise whatever a classifier raises as a `ClassifierError`."""
    try:
        yield
    except ClassifierError:
        raise
    except Exception as error:
        raise ClassifierError(f"{classifier!r} failed: {type(error).__name__}: {error}") from error
