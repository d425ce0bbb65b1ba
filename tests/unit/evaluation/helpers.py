"""What the tests of the evaluation share: rows, and a classifier whose scores stand in the text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from guardrail import Category, Classifier, ClassifierError, Verdict
from guardrail.evaluation.rows import Row
from guardrail.types import Conversation, exchange

_SCORE = re.compile(r"\d\.\d+")


class Reading(Classifier):
    """Scores a text by the number in it; "broken" gives an error.

    Attributes:
        seen: the judged texts, in order.
        asked: the texts whose categories were asked for.
    """

    def __init__(self, categories: Mapping[Category, float] | None = None) -> None:
        self.seen: list[str] = []
        self.asked: list[str] = []
        self._categories = categories

    def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Read the scores."""
        texts = [conversation[-1].content for conversation in conversations]
        if any("broken" in text for text in texts):
            raise ClassifierError("cannot read this")
        self.seen += texts
        return [self._verdict(text) for text in texts]

    def categorise(self, conversations: Sequence[Conversation]) -> list[Mapping[Category, float]]:
        """Say the one thing it knows."""
        self.asked += [conversation[-1].content for conversation in conversations]
        return [self._categories or {} for _ in conversations]

    def _verdict(self, text: str) -> Verdict:
        found = _SCORE.search(text)
        score = float(found[0]) if found else 0.0
        return Verdict(score >= 0.5, score, classifier="reading")


def row(
    score: float, *, unsafe: bool, category: str | None = None, user: str = "질문", **rest: Any
) -> Row:
    """Return a row whose reply says how it will be scored."""
    return Row(exchange(user, f"대답 {score:.4f}"), unsafe, category, **rest)


def jsonl(path: Path, records: Iterable[object]) -> Path:
    """Write records, one a line."""
    lines = (json.dumps(record, ensure_ascii=False) for record in records)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


def labelled(size: int, *, step: int = 3) -> list[dict[str, Any]]:
    """Return records of which every third is unsafe, scored well but not perfectly."""
    return [
        {
            "user": f"질문 {number}",
            "assistant": f"대답 {_score(number, number % step == 0):.4f}",
            "unsafe": number % step == 0,
            "source": f"source {number % 2}",
            "category": f"O{number % 6 + 1}" if number % step == 0 else None,
        }
        for number in range(size)
    ]


def _score(number: int, unsafe: bool) -> float:
    spread = (number * 37 % 100) / 100
    return 0.35 + 0.64 * spread if unsafe else 0.7 * spread * spread
