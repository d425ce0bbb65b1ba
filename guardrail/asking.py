"""Asks a classifier: on which thread, for how long, and what its failures are called."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from guardrail.classifiers.base import Classifier
from guardrail.deadline import within
from guardrail.errors import ClassifierError, ClassifierTimeout
from guardrail.flow import Categorise, Classify

__all__ = ["aask", "ask", "collect", "start"]


def ask(question: Classify | Categorise, classifier: Classifier) -> Any:
    """Return the classifier's answers.

    Raises:
        ClassifierError: it failed, or did not answer in time.
    """
    with _translating(classifier), within(question.timeout):
        if _needs_no_watch(question, classifier):
            return _method(question, classifier)(question.conversations)
    return collect(start(question, classifier), question.timeout, classifier)


def start(question: Classify | Categorise, classifier: Classifier) -> Future[Any]:
    """Return a future of the classifier's answers, which a thread of its own waits for."""
    future: Future[Any] = Future()
    try:
        method = _method(question, classifier)
        if not classifier.answers_at_once(question.conversations):
            with within(question.timeout):
                return classifier.workers.submit(method, question.conversations)
        future.set_result(method(question.conversations))
    except Exception as error:
        future.set_exception(error)
    return future


def collect(future: Future[Any], seconds: float | None, classifier: Classifier) -> Any:
    """Return the answers a future comes to within so many seconds.

    Raises:
        ClassifierError: the classifier failed, or did not answer in time.
    """
    with _translating(classifier):
        try:
            return future.result(seconds)
        except TimeoutError:
            if future.done():  # the classifier's own
                raise
            future.cancel()
            raise ClassifierTimeout("the classifier did not answer in time") from None


async def aask(question: Classify | Categorise, classifier: Classifier) -> Any:
    """Do what `ask` does, without blocking the event loop."""
    with _translating(classifier):
        if classifier.answers_at_once(question.conversations):
            return ask(question, classifier)
        classify = isinstance(question, Classify)
        method = classifier.aclassify_many if classify else classifier.acategorise
        try:
            async with asyncio.timeout(question.timeout) as deadline:
                with within(question.timeout):
                    answers = await method(question.conversations)
            if deadline.expired():  # and the classifier would not be cancelled
                raise ClassifierTimeout("the classifier did not answer in time")
            return answers
        except TimeoutError:
            if not deadline.expired():  # the classifier's own
                raise
            raise ClassifierTimeout("the classifier did not answer in time") from None


def _needs_no_watch(question: Classify | Categorise, classifier: Classifier) -> bool:
    """Whether the caller's own thread may wait: nobody bounds it, it needs none, or keeps it."""
    return (
        question.timeout is None
        or classifier.keeps_time
        or classifier.answers_at_once(question.conversations)
    )


def _method(question: Classify | Categorise, classifier: Classifier) -> Any:
    return classifier.classify_many if isinstance(question, Classify) else classifier.categorise


@contextmanager
def _translating(classifier: Classifier) -> Iterator[None]:
    """Raise whatever a classifier raises as a `ClassifierError`.

    Its words stay in the cause: they may quote what is judged, and errors are recorded.
    """
    try:
        yield
    except ClassifierError:
        raise
    except Exception as error:
        kinds = type(classifier).__name__, type(error).__name__
        raise ClassifierError("{} failed: {}".format(*kinds)) from error
