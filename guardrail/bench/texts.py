"""Conversations of a wanted length in tokens, made of the card examples' words."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from guardrail.classifiers.kosafeguard import card_examples
from guardrail.types import Conversation, exchange

__all__ = ["growing", "turn"]

_USER_SHARE = 0.3


def turn(tokenizer: Any, tokens: int, seed: int) -> Conversation:
    """Return an exchange whose two texts take about `tokens` tokens together."""
    draw = random.Random(seed)
    user = round(tokens * _USER_SHARE)
    return exchange(_text(tokenizer, user, draw), _text(tokenizer, tokens - user, draw))


def growing(tokenizer: Any, tokens: int, every: int, seed: int) -> Iterator[Conversation]:
    """Yield an exchange whose reply grows by `every` tokens up to `tokens`."""
    draw = random.Random(seed)
    user, reply = _text(tokenizer, 30, draw), _text(tokenizer, tokens, draw)
    ids = tokenizer(reply, add_special_tokens=False)["input_ids"]
    for size in (*range(every, tokens, every), tokens):
        yield exchange(user, tokenizer.decode(ids[:size], skip_special_tokens=False))


def _text(tokenizer: Any, tokens: int, draw: random.Random) -> str:
    words = [word for chat, _ in card_examples() for each in chat for word in each.content.split()]
    ids: list[int] = []
    while len(ids) < tokens:
        ids += tokenizer(" " + draw.choice(words), add_special_tokens=False)["input_ids"]
    text: str = tokenizer.decode(ids[:tokens], skip_special_tokens=False)
    return text.strip().rstrip("\N{REPLACEMENT CHARACTER}")
