"""The report as Markdown: tables only, no text of any row, so that a model card can take them."""

from __future__ import annotations

import re
from pathlib import Path

from guardrail.errors import ConfigError
from guardrail.evaluation.results import Findings
from guardrail.evaluation.sheet import Sheet, cell_text
from guardrail.evaluation.sheets import sheets

__all__ = ["BEGIN", "END", "markdown", "write_into"]

BEGIN = "<!-- guardrail eval: begin -->"
END = "<!-- guardrail eval: end -->"
_BETWEEN = re.compile(rf"(?<={re.escape(BEGIN)}).*?(?={re.escape(END)})", re.DOTALL)


def markdown(report: Findings, *, level: int = 2) -> str:
    """Return the tables of a report.

    Args:
        report: what to write.
        level: of the headings.
    """
    parts = [f"{report.rows:,} rows, judged {report.created} with guardrail-ko {report.version}."]
    parts += [_table(sheet, level) for sheet in sheets(report)]
    return "\n\n".join(parts) + "\n"


def write_into(path: Path, report: Findings, *, level: int = 3) -> None:
    """Put the tables into a file, in place of what stands between its two marks.

    Raises:
        ConfigError: the file cannot be read or written, or has no marks.
    """
    try:
        text = path.read_text("utf-8")
        if not _BETWEEN.search(text):
            raise ConfigError(f"{path}: no place for the tables; add a line {BEGIN} and one {END}")
        tables = markdown(report, level=level)
        filled = _BETWEEN.sub(lambda _: f"\n\n{tables}\n", text, count=1)
        path.write_text(filled, "utf-8", errors="backslashreplace")
    except OSError as error:
        raise ConfigError(f"cannot write {str(path)!r}: {error.strerror}") from error


def _table(sheet: Sheet, level: int) -> str:
    sign = sheet.id == "differences"
    lines = [_line(list(sheet.columns)), _line(["---"] * len(sheet.columns))]
    lines += [_line([cell_text(cell, sign=sign) for cell in line]) for line in sheet.lines]
    head = [f"{'#' * level} {sheet.title}", *([sheet.note] if sheet.note else [])]
    return "\n\n".join([*head, "\n".join(lines)])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(cell: str) -> str:
    return " ".join(cell.replace("|", "\\|").replace("<", "&lt;").split())
