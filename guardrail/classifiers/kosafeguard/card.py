"""The examples of the model's card."""

from __future__ import annotations

import json
from importlib.resources import files

from guardrail.types import Conversation, exchange

__all__ = ["card_examples"]


def card_examples() -> list[tuple[Conversation, bool]]:
    """Return the four examples of KoSafeGuard's card, and whether each reply is unsafe."""
    text = (files(__package__) / "card_examples.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    return [(exchange(row["user"], row["assistant"]), row["unsafe"]) for row in rows]
