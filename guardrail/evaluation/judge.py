"""Ask a classifier about many rows, and keep what it says."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from guardrail.asking import ask
from guardrail.classifiers.base import Classifier
from guardrail.errors import (
    ClassifierError,
    ClassifierProtocolError,
    ClassifierUnavailable,
    ConfigError,
    GuardrailError,
)
from guardrail.evaluation.store import Answer, Categories, Verdicts
from guardrail.flow import Categorise, Classify
from guardrail.policy import Policy
from guardrail.types import Category, Conversation, Verdict

__all__ = ["Question", "Tick", "answered", "answers", "batches", "judge"]

T = TypeVar("T")
Tick = Callable[[int], None]
"""Told how many rows are newly done."""

_PROBED = 8  # stored answers that are asked for again, to see that the classifier is the same
_DRIFT = 0.02  # by which a score may differ: batches of other sizes round otherwise
_ENOUGH = 8  # rows that all fail say that the classifier does not work, not that they are odd


@dataclass(frozen=True)
class Question:
    """Conversations that are all judged, and the files that take the answers.

    Args:
        conversations: begins a new pass over them.
        path: of the verdicts; the categories stand beside them.
        batch: how many are asked about at once.
    """

    conversations: Callable[[], Iterator[Conversation]]
    path: Path
    batch: int = 64

    @property
    def categories_path(self) -> Path:
        """Where categories stand that were found in a second step."""
        return self.path.with_suffix(".categories.jsonl")


def judge(
    question: Question, classifier: Classifier, policies: Collection[Policy], tick: Tick
) -> None:
    """Have every conversation judged that is not yet, and its categories found where wanted.

    Policies' timeouts do not apply: how long answers take is measured, not judged.

    Raises:
        ClassifierError: the classifier does not work.
        ConfigError: the stored answers are another classifier's.
    """
    verdicts = Verdicts(question.path)
    try:
        _refuse_others(verdicts, question, classifier)
        left = islice(question.conversations(), verdicts.lines, None)
        tick(verdicts.lines)
        for batch in batches(left, question.batch):
            verdicts.add(answered(batch, classifier, is_first=verdicts.lines == 0))
            tick(len(batch))
        _categorise(verdicts, question, classifier, policies)
    finally:
        verdicts.close()


def answers(question: Question) -> Iterator[Answer]:
    """Yield every conversation's answer, with its categories where they are known."""
    store, second = Verdicts(question.path), Categories(question.categories_path)
    try:
        found = second.found()
        for row, answer in enumerate(store.answers()):
            yield _with_categories(answer, found.get(row))
    finally:
        store.close()
        second.close()


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items, so many at a time."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _with_categories(answer: Answer, found: dict[str, float] | str | None) -> Answer:
    if found is None or answer.verdict is None:
        return answer
    if isinstance(found, str):
        return Answer(answer.verdict, found, answer.seconds)
    categories = {Category(name): value for name, value in found.items()}
    return Answer(answer.verdict.with_categories(categories), None, answer.seconds)


def answered(
    batch: Sequence[Conversation], classifier: Classifier, *, is_first: bool = False
) -> list[Answer]:
    """Return one answer per conversation; one that spoils its batch leaves the others theirs.

    Args:
        batch: what is asked about at once.
        classifier: is asked.
        is_first: whether nothing was answered before, so that a failure says more.

    Raises:
        ClassifierError: the classifier does not work.
    """
    started = time.perf_counter()
    try:
        verdicts = _verdicts(batch, classifier)
    except ClassifierUnavailable:
        raise
    except ClassifierError as error:
        if len(batch) == 1 and not is_first:
            return [Answer(None, f"{type(error).__name__}: {error}")]
        return _one_by_one(batch, classifier, error, is_first=is_first)
    seconds = (time.perf_counter() - started) / len(batch)
    return [Answer(verdict, None, seconds) for verdict in verdicts]


def _one_by_one(
    batch: Sequence[Conversation], classifier: Classifier, error: ClassifierError, *, is_first: bool
) -> list[Answer]:
    """Return answers where one row spoils a batch; raise where all do."""
    single = [answered([one], classifier) for one in batch]
    found = [answer for answers in single for answer in answers]
    if not any(answer.verdict for answer in found) and (is_first or len(batch) >= _ENOUGH):
        raise error
    return found


def _verdicts(batch: Sequence[Conversation], classifier: Classifier) -> list[Verdict]:
    found = ask(Classify(batch, None), classifier)
    return _checked(found, Verdict, len(batch))


def _checked(found: Any, kind: type[T], size: int) -> list[T]:
    if not isinstance(found, Sequence) or len(found) != size:
        raise ClassifierProtocolError(f"expected {size} answers, got {found!r:.200}")
    if not all(isinstance(one, kind) for one in found):
        raise ClassifierProtocolError(f"expected {kind.__name__}s, got {found!r:.200}")
    return list(found)


def _refuse_others(verdicts: Verdicts, question: Question, classifier: Classifier) -> None:
    """Raise if the stored answers are not what this classifier says."""
    stored = list(islice(verdicts.answers(), _PROBED))
    probes = list(islice(question.conversations(), len(stored)))
    if not probes:
        return
    again = answered(probes, classifier)
    for before, now in zip(stored, again, strict=True):
        if before.verdict and now.verdict and _differ(before.verdict, now.verdict):
            raise ConfigError(
                f"the classifier answers {now.verdict.score:.3f} where the stored run has "
                f"{before.verdict.score:.3f} ({question.path}); --fresh judges all rows anew"
            )


def _differ(before: Verdict, now: Verdict) -> bool:
    return abs(before.score - now.score) > _DRIFT


def _categorise(
    verdicts: Verdicts, question: Question, classifier: Classifier, policies: Collection[Policy]
) -> None:
    """Find the categories that some policy needs for its decision or its words."""
    second = Categories(question.categories_path)
    try:
        wanted = _wanting(verdicts, policies).difference(second.found())
        rows = (
            (row, conversation)
            for row, conversation in enumerate(question.conversations() if wanted else ())
            if row in wanted
        )
        for batch in batches(rows, question.batch):
            found = _categories([conversation for _, conversation in batch], classifier)
            second.add([(row, one) for (row, _), one in zip(batch, found, strict=True)])
    finally:
        second.close()


def _wanting(verdicts: Verdicts, policies: Collection[Policy]) -> set[int]:
    return {
        row
        for row, answer in enumerate(verdicts.answers())
        if answer.verdict and any(policy.wants_categories(answer.verdict) for policy in policies)
    }


def _categories(
    batch: Sequence[Conversation], classifier: Classifier
) -> list[dict[Category, float] | str]:
    try:
        found: list[Any] = list(ask(Categorise(batch, None), classifier))
        checked = [dict(Verdict(True, 1.0, one).categories) for one in found]
        if len(checked) != len(batch):
            raise ClassifierProtocolError(f"expected {len(batch)} answers, got {len(checked)}")
    except ClassifierUnavailable:
        raise
    except (GuardrailError, TypeError, AttributeError) as error:
        return [f"{type(error).__name__}: {error}"] * len(batch)
    return list(checked)
