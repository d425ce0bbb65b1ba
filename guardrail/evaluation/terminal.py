"""The report in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from guardrail.evaluation.results import Findings
from guardrail.evaluation.sheet import Sheet, cell_text, is_number
from guardrail.evaluation.sheets import sheets

__all__ = ["show"]

_QUIET = {"data", "confusion"}  # said in another table too, or better as a picture
_WHOLE = {"figures", "differences"}  # with all intervals: what is too wide goes on below
_KEYS = 2  # of their columns, which say whose the line is
_FIRST_TO_GO = (
    "What it does", "Settings", "Category right", "Calibration error", "Avg. precision", "Accuracy",
    "Prefix alarms", "Read", "Checks", "AUROC", "First text", "Unsafe", "Rows", "Precision",
)  # fmt: skip


def show(report: Findings, console: Console) -> None:
    """Print all tables; wide ones in parts, or without intervals, so that they fit."""
    for sheet in sheets(report):
        if sheet.id not in _QUIET:
            console.print(Text(sheet.title, style="bold"))
            for table in _tables(sheet, console.width):
                console.print(table)
            if sheet.note:
                console.print(Text(sheet.note, style="dim"))
            console.print()


def _tables(sheet: Sheet, width: int) -> Iterator[Table]:
    if sheet.id in _WHOLE:
        lines = _texts(sheet, interval=True)
        for columns in _parts(sheet, lines, width):
            yield _table(sheet, columns, lines)
    else:
        yield _table(sheet, *_fitting(sheet, width))


def _table(sheet: Sheet, columns: Sequence[int], lines: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None)
    for place in columns:
        side: JustifyMethod = "right" if is_number(sheet, place) else "left"
        table.add_column(Text(sheet.columns[place]), justify=side, overflow="fold")
    for line in lines:
        table.add_row(*(Text(line[place]) for place in columns))
    return table


def _parts(sheet: Sheet, lines: list[list[str]], width: int) -> list[list[int]]:
    """Return the columns of tables that fit, each line's keys in all of them; no empty ones."""
    keys = list(range(_KEYS))
    parts = [keys]
    for place in range(_KEYS, len(sheet.columns)):
        if all(line[place] is None for line in sheet.lines):
            continue
        if parts[-1] != keys and _width(sheet, lines, [*parts[-1], place]) > width:
            parts.append(keys)
        parts[-1] = [*parts[-1], place]
    return parts


def _fitting(sheet: Sheet, width: int) -> tuple[list[int], list[list[str]]]:
    """Return the columns and lines that fit: intervals go first, then the least of the columns."""
    columns = list(range(len(sheet.columns)))
    lines = _texts(sheet, interval=True)
    if _width(sheet, lines, columns) > width:
        lines = _texts(sheet, interval=False)
    for title in _FIRST_TO_GO:
        if _width(sheet, lines, columns) > width:
            columns = [place for place in columns if sheet.columns[place] != title]
    return columns, lines


def _texts(sheet: Sheet, *, interval: bool) -> list[list[str]]:
    sign = sheet.id == "differences"
    return [
        [cell_text(cell, interval=interval, sign=sign) for cell in line] for line in sheet.lines
    ]


def _width(sheet: Sheet, lines: list[list[str]], columns: list[int]) -> int:
    rows = [list(sheet.columns), *lines]
    return sum(2 + max(cell_len(row[place]) for row in rows) for place in columns)
