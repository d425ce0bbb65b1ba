"""The report in a terminal."""

from __future__ import annotations

from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from guardrail.evaluation.report import Report
from guardrail.evaluation.sheets import Sheet, cell_text, is_number, sheets

__all__ = ["show"]

_QUIET = {"data", "confusion"}  # said in another table too, or better as a picture


def show(report: Report, console: Console) -> None:
    """Print all tables; wide ones without intervals, so that they fit."""
    for sheet in sheets(report):
        if sheet.id not in _QUIET:
            console.print(_table(sheet, console.width))
            if sheet.note:
                console.print(Text(sheet.note, style="dim"))
            console.print()


def _table(sheet: Sheet, width: int) -> Table:
    lines = _texts(sheet, interval=True)
    if _width(sheet, lines) > width:
        lines = _texts(sheet, interval=False)
    table = Table(title=Text(sheet.title, style="bold"), title_justify="left", box=None)
    for place, column in enumerate(sheet.columns):
        side: JustifyMethod = "right" if is_number(sheet, place) else "left"
        table.add_column(Text(column), justify=side, overflow="fold")
    for line in lines:
        table.add_row(*map(Text, line))
    return table


def _texts(sheet: Sheet, *, interval: bool) -> list[list[str]]:
    sign = sheet.id == "differences"
    return [
        [cell_text(cell, interval=interval, sign=sign) for cell in line] for line in sheet.lines
    ]


def _width(sheet: Sheet, lines: list[list[str]]) -> int:
    rows = [list(sheet.columns), *lines]
    widest = (max(Text(row[place]).cell_len for row in rows) for place in range(len(sheet.columns)))
    return sum(width + 2 for width in widest)
