"""One table of a report, and how its cells read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from guardrail.evaluation.figures import Figure, shown
from guardrail.taxonomy import TITLES as CATEGORY_TITLES
from guardrail.types import Category, Language

__all__ = ["Cell", "Sheet", "cell_text", "group_title", "is_number", "named"]

Cell: TypeAlias = str | int | float | Figure | None


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table.

    Args:
        id: of the subject, in one word.
        title: over it.
        note: how to read it; empty for none.
        columns: their heads.
        lines: a cell for each column; figures are shares of 1, shown in percent.
    """

    id: str
    title: str
    note: str
    columns: Sequence[str]
    lines: Sequence[Sequence[Cell]]


_GROUPS = {
    "category": "By category",
    "source": "By source",
    "length": "By length of the judged text, in characters",
    "language": "By language",
    "judged": "By what is judged",
}


_NUMBER = re.compile(r"–|[-+]?[\d.,]+(?:x|( \(\d+\))| at [\d.]+)?")


def is_number(sheet: Sheet, column: int) -> bool:
    """Whether a column of a table holds numbers, which stand on the right."""
    cells = (line[column] for line in sheet.lines)
    return all(not isinstance(cell, str) or _NUMBER.fullmatch(cell) for cell in cells)


def cell_text(cell: Cell, *, interval: bool = True, sign: bool = False) -> str:
    """Return a cell as text."""
    match cell:
        case Figure() | None:
            return shown(cell, interval=interval, sign=sign)
        case float():
            return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
        case int():
            return f"{cell:,}"
        case _:
            return cell


def named(category: str) -> str:
    """Return a category's id with its Korean title, or another name as it is."""
    if category in Category.__members__:
        return f"{category} {CATEGORY_TITLES[Category(category)][Language.KO]}"
    return category


def group_title(group: str) -> str:
    """Return the title of a way to divide the rows."""
    return _GROUPS.get(group, f"By {group}")
