"""What is written about a turn, as JSON lines or as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from guardrail.audit import json_line
from guardrail.evaluation.rows import Judged
from guardrail.types import Outcome

__all__ = ["NAMES", "TEXTS", "Finding", "Form", "encode"]

NAMES = (
    "file", "row", "judged", "unsafe", "score", "category", "categories", "action", "classifier",
    "degraded", "error",
)  # fmt: skip
"""Of the columns, in their order."""

TEXTS = ("user", "text")
"""Of the columns that hold what was said, where it is kept."""


class Form(StrEnum):
    """What results are written as."""

    JSONL = "jsonl"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known about one turn.

    Args:
        file: where it is from.
        row: which record or line of the file it is, from 1.
        judged: what of it was judged.
        unsafe: whether the policy finds it unsafe; None where there was no verdict.
        outcome: the verdict, and what the policy does about it.
        user: what the user had said before it.
        text: the judged text.
    """

    file: str
    row: int
    judged: Judged
    unsafe: bool | None
    outcome: Outcome
    user: str
    text: str

    def values(self, *, keep_text: bool) -> tuple[Any, ...]:
        """Return the values of `NAMES`, and of `TEXTS` where they are kept."""
        outcome, verdict = self.outcome, self.outcome.verdict
        rest = (self.user, self.text) if keep_text else ()
        error = None if outcome.error is None else str(outcome.error)
        place = (self.file, self.row, self.judged.value)
        if verdict is None:
            return (*place, None, None, None, None, outcome.action.value, "", False, error, *rest)
        shares = {str(name): round(share, 6) for name, share in verdict.categories.items()}
        category = None if outcome.category is None else outcome.category.value
        return (
            *(*place, self.unsafe, verdict.score, category, shares or None, outcome.action.value),
            *(verdict.classifier, verdict.degraded, error, *rest),
        )

    def counted(self) -> list[tuple[str, ...]]:
        """Return what it counts as."""
        verdict, outcome = self.outcome.verdict, self.outcome
        said = "unknown" if self.unsafe is None else "unsafe" if self.unsafe else "safe"
        category, action = outcome.category or "", outcome.action.value
        kinds: list[tuple[str, ...]] = [
            ("judged", self.judged.value),
            ("turn", said, str(category), action),
        ]
        if verdict is None:
            kinds.append(("error", str(outcome.error).partition(":")[0]))
        elif verdict.degraded:
            kinds.append(("degraded",))
        return kinds


def encode(found: Sequence[Finding], form: Form, *, keep_text: bool) -> Any:
    """Return findings as lines of JSON, or as a list of values for each column."""
    rows = [one.values(keep_text=keep_text) for one in found]
    names = NAMES + TEXTS if keep_text else NAMES
    if form is Form.JSONL:
        lines = (json_line(dict(zip(names, row, strict=True))) for row in rows)
        return "".join(f"{line}\n" for line in lines).encode()
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in names]
    table = dict(zip(names, columns, strict=True))
    for name in {"error", *TEXTS} & table.keys():
        table[name] = [_storable(text) for text in table[name]]
    return table


def _storable(text: str | None) -> str | None:
    """Return text as UTF-8 can hold it: JSON, where it comes from, has lone surrogates."""
    return None if text is None else text.encode(errors="backslashreplace").decode()
