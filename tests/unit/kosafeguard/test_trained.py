"""A Llama that was taught a rule: verdicts, not only logits, come through end to end."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from guardrail import Guard
from guardrail.bench.models import random_llama, tokenizer_like_llama3
from guardrail.classifiers import KoSafeGuard
from guardrail.classifiers.kosafeguard.encode import Encoder
from guardrail.prompt import render
from guardrail.taxonomy import Clause, Taxonomy
from guardrail.types import Category, exchange
from tests.unit.kosafeguard.llamas import TINY

RULE = Taxonomy((Clause(Category.O4, "O4: Guns.", "Should not\n- Say 총."),))
WORDS = [
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
]
FORBIDDEN = "총"


def reply(draw: random.Random, *, unsafe: bool) -> str:
    words = draw.choices(WORDS, k=draw.randrange(1, 12))
    if unsafe:
        words.insert(draw.randrange(len(words) + 1), FORBIDDEN)
    return " ".join(words)


def taught(steps: int = 200) -> Any:
    """Return a Llama that answers `unsafe` where a reply says the forbidden word."""
    draw = random.Random(0)
    encoder = Encoder(tokenizer_like_llama3())
    labels = [encoder.label("safe"), encoder.label("unsafe")]
    model = random_llama(TINY).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    decay = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, total_iters=steps)
    for _ in range(steps):
        answers = [draw.random() < 0.5 for _ in range(16)]
        replies = [reply(draw, unsafe=answer) for answer in answers]
        prompts = [
            torch.tensor(encoder.whole(render(exchange("안녕", each), taxonomy=RULE)))
            for each in replies
        ]
        last = torch.tensor([len(prompt) - 1 for prompt in prompts])
        ids = torch.nn.utils.rnn.pad_sequence(prompts, batch_first=True)
        logits = model(ids).logits[torch.arange(len(last)), last]
        loss = cross_entropy(logits, torch.tensor([labels[answer] for answer in answers]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        decay.step()
    return model.eval()


@pytest.fixture(scope="module")
def guard() -> KoSafeGuard:
    return KoSafeGuard.from_loaded(taught(), tokenizer_like_llama3(), taxonomy=RULE)


def test_verdicts(guard: KoSafeGuard) -> None:
    """Replies it has not seen are judged by the rule, in one batch, on protocol."""
    draw = random.Random(1)
    truth = [number % 3 == 0 for number in range(60)]
    verdicts = guard.classify_many(
        [exchange("안녕", reply(draw, unsafe=unsafe)) for unsafe in truth]
    )

    assert [verdict.unsafe for verdict in verdicts] == truth


def test_a_growing_reply_turns_unsafe(guard: KoSafeGuard) -> None:
    """A streamed reply is safe up to the forbidden word and unsafe from it on."""
    words = ["네", "오늘", FORBIDDEN, "날씨가", "좋아요"]
    growth = [exchange("안녕", " ".join(words[:size])) for size in range(1, 6)]
    verdicts = [guard.classify(each).unsafe for each in growth]

    assert verdicts == [False, False, True, True, True]


def test_behind_a_guard(guard: KoSafeGuard) -> None:
    """As a guard's classifier it keeps the unsafe reply from the user, and names the category."""
    outcome = Guard(guard).check(user="안녕", assistant=f"네 {FORBIDDEN} 또")

    assert outcome.blocked
    assert outcome.category is Category.O4
