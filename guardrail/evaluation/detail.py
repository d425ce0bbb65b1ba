"""A sample of rows that is looked at more closely: rewritten, or cut short as a stream is."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from guardrail.evaluation.judge import Question
from guardrail.evaluation.rows import Row
from guardrail.evaluation.table import Bools
from guardrail.types import Conversation

__all__ = ["choose", "chosen_rows", "question_of"]


def choose(unsafe: Bools, size: int, seed: int) -> frozenset[int]:
    """Return the places of a sample, half of it unsafe as far as there are rows of both kinds."""
    dice = random.Random(seed)
    kinds = [np.flatnonzero(unsafe).tolist(), np.flatnonzero(~unsafe).tolist()]
    kinds.sort(key=len)
    few = dice.sample(kinds[0], min(len(kinds[0]), size // 2))
    many = dice.sample(kinds[1], min(len(kinds[1]), size - len(few)))
    return frozenset(few + many)


def chosen_rows(rows: Iterable[Row], places: frozenset[int]) -> list[tuple[int, Row]]:
    """Return the rows at some places, with their places."""
    return [(place, row) for place, row in enumerate(rows) if place in places]


def question_of(
    conversations: Callable[[], Iterator[Conversation]], folder: Path, slug: str, batch: int
) -> Question:
    """Return the question about some conversations, whose file is named by their content."""
    digest = hashlib.sha256()
    for conversation in conversations():
        digest.update(ascii([(turn.role.value, turn.content) for turn in conversation]).encode())
    return Question(conversations, folder / digest.hexdigest()[:16] / f"{slug}.jsonl", batch)
