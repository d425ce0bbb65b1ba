"""How fast a classifier answers, here and now."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from guardrail.asking import ask
from guardrail.classifiers.base import Classifier
from guardrail.errors import ClassifierError
from guardrail.evaluation.judge import Question, answers
from guardrail.flow import Classify
from guardrail.types import Conversation

__all__ = ["Speed", "speed"]

_ROWS = 200
_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast the classifier answers here.

    Args:
        turns_per_second: in batches.
        batch: the batches' size.
        p50_ms, p95_ms: of one turn at a time.
        timed: how many turns these come from.
    """

    turns_per_second: float
    batch: int
    p50_ms: float
    p95_ms: float
    timed: int


def speed(questions: list[Question], classifier: Classifier) -> Speed | None:
    """Return how fast the classifier was in batches, and is one turn at a time.

    The latter is measured once, on some of the first rows, and kept beside their verdicts.
    """
    first = questions[0]
    times = _kept(first.path.with_suffix(".times.json"), first, classifier)
    each = [one.seconds for question in questions for one in answers(question) if one.verdict]
    if not times or not each:
        return None
    p50, p95 = np.percentile(times, [50, 95]) * 1000
    rate = len(each) / max(sum(each), 1e-9)
    return Speed(rate, first.batch, float(p50), float(p95), len(times))


def _kept(path: Path, question: Question, classifier: Classifier) -> list[float]:
    if path.exists():
        stored: list[float] = json.loads(path.read_text())
        return stored
    times = list(_timed(question.conversations(), classifier))
    path.write_text(json.dumps(times))
    return times


def _timed(conversations: Iterator[Conversation], classifier: Classifier) -> Iterator[float]:
    """Yield the seconds that single turns take."""
    began = time.perf_counter()
    for conversation in islice(conversations, _ROWS):
        started = time.perf_counter()
        try:
            ask(Classify([conversation], None), classifier)
        except ClassifierError:
            continue
        ended = time.perf_counter()
        yield round(ended - started, 7)
        if ended - began > _SECONDS:
            return
