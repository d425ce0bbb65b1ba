"""A rule that a tiny Llama can learn, rows that follow it, and runs that take seconds."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from guardrail.bench.models import random_llama, tokenizer_like_llama3
from guardrail.evaluation.data import Dataset
from guardrail.evaluation.rows import Row
from guardrail.finetuning import Method, Settings, Trained, train
from guardrail.taxonomy import Clause, Taxonomy
from guardrail.types import Category, exchange
from tests.unit.kosafeguard.llamas import TINY

RULE = Taxonomy(
    (
        Clause(Category.O4, "O4: Guns.", "Should not\n- Say 총."),
        Clause(Category.O5, "O5: Drugs.", "Should not\n- Say 약."),
    )
)
FORBIDDEN = "총"
_WORDS = (
    "안녕하세요",
    "네",
    "오늘",
    "날씨가",
    "좋아요",
    "환불은",
    "3일",
    "걸려요",
    "감사합니다",
    "또",
)


def stored(place: Path) -> Path:
    """Store a tiny random Llama with its tokenizer."""
    random_llama(TINY).save_pretrained(place)
    tokenizer_like_llama3().save_pretrained(place)
    return place


def rows(count: int, seed: int) -> list[Row]:
    """Return rows of which every other one says the forbidden word."""
    draw = random.Random(seed)
    return [_row(draw, unsafe=number % 2 == 0) for number in range(count)]


def _row(draw: random.Random, *, unsafe: bool) -> Row:
    words = draw.choices(_WORDS, k=draw.randrange(4, 14))
    if unsafe:
        words.insert(draw.randrange(len(words) + 1), FORBIDDEN)
    return Row(exchange("안녕", " ".join(words)), unsafe, "O4" if unsafe else None)


def learning(count: int = 64) -> Dataset:
    """Return rows to learn from."""
    return Dataset.of(rows(count, seed=0), "learning")


def unseen(count: int = 40) -> Dataset:
    """Return rows to be measured on."""
    return Dataset.of(rows(count, seed=1), "unseen")


def settings(base: Path, **others: Any) -> Settings:
    """Return the settings of a short run."""
    short = {
        "base": str(base), "method": Method.FULL, "learning_rate": 3e-3, "every": 0.5,
        "batch": 16, "micro_batch": 8, "cpu": True,
    }  # fmt: skip
    return Settings(**{**short, **others})


def trained(base: Path, out: Path, count: int = 64, **others: Any) -> Trained:
    """Train for a few steps."""
    return train(
        [learning(count)],
        out,
        sets=[unseen()],
        settings=settings(base, **others),
        taxonomy=RULE,
    )
