"""What the training code passes around: a labelled turn."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

__all__ = ["Example", "Row", "json_lines"]

Row: TypeAlias = Mapping[str, Any]
"""One object of a JSON Lines file."""


@dataclass(frozen=True, slots=True)
class Example:
    """A turn and what is true of it.

    Args:
        user: what the user said; empty when unknown.
        reply: what the assistant said; None asks about the user's text (the input stage).
        unsafe: whether the judged text is unsafe.
        category: O1..O6 of what is unsafe, or of what was averted, where known.
        source: where it is from, for weighing and for held-out measurements.
    """

    user: str
    reply: str | None
    unsafe: bool
    category: str | None = None
    source: str = ""


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON Lines file."""
    with path.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if line.strip())
