"""The report as one page: no network, no script but one that it carries, all text escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from guardrail.errors import needing
from guardrail.evaluation import detail_plots, plots
from guardrail.evaluation.figures import Figure, Figures, shown
from guardrail.evaluation.results import Findings, Result
from guardrail.evaluation.sheet import Cell, Sheet, cell_text, is_number, named
from guardrail.evaluation.sheets import sheets

with needing("eval"):
    from jinja2 import Environment
    from markupsafe import Markup

__all__ = ["html"]

_CAPTIONS = {
    "precision-recall": (
        "Precision and recall",
        "The curve is every threshold's; the dot is the policy's, with its intervals.",
    ),
    "roc": (
        "Recall and false alarms",
        "Up and to the left is better; the dot is the policy's.",
    ),
    "histogram": (
        "Scores",
        "How safe and unsafe rows score, on a logarithmic scale: what overlaps is hard.",
    ),
    "sweep": (
        "What each threshold gives",
        "Move the slider below the page's title to read the numbers.",
    ),
    "calibration": (
        "Calibration",
        "Does a score of 0.8 mean that 80 % are unsafe? On the line it does; above it the score "
        "is too low. Larger dots are more rows.",
    ),
}


def html(report: Findings) -> str:
    """Return the page."""
    style, script, template = (
        (files("guardrail.evaluation") / name).read_text("utf-8")
        for name in ("report.css", "report.js", "report.html.jinja")
    )
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"lines": _lines, "share": shown, "named": named}
    environment.tests["number"] = lambda place, sheet: is_number(sheet, place)
    every: dict[str, list[Sheet]] = {}
    for sheet in sheets(report):
        every.setdefault(sheet.id, []).append(sheet)
    return environment.from_string(template).render(
        report=report,
        style=Markup(style),
        script=Markup(script),
        script_hash=_hash(script),
        sheets=every,
        groups=[each[0] for name, each in every.items() if name.startswith("by-")],
        plots=_plots(report.results),
        confusions=_confusions(report.results),
        robustness=_inline(detail_plots.robustness(report.results)),
        streaming=_inline(detail_plots.streaming(report.results)),
        tiles=[_tile(result, place) for place, result in enumerate(report.results)],
        sweep=[_sweep(result, place) for place, result in enumerate(report.results)],
    )


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _inline(svg: str | None) -> Markup | None:
    return None if svg is None else Markup(svg)  # matplotlib escapes what it writes


def _plots(results: Sequence[Result]) -> list[tuple[str, str, Markup]]:
    drawn = plots.by_candidate(results)
    return [(*_CAPTIONS[name], Markup(svg)) for name, svg in drawn.items()]


def _confusions(results: Sequence[Result]) -> list[tuple[str, Markup]]:
    drawn = [(result.name, plots.confusions(result)) for result in results]
    return [(name, Markup(svg)) for name, svg in drawn if svg is not None]


def _tile(result: Result, place: int) -> Mapping[str, Any]:
    """Return what the first look shows of a candidate."""
    figures = result.overall
    return {
        "name": result.name,
        "classifier": result.classifier,
        "policy": result.policy,
        "colour": plots.COLOURS[place % len(plots.COLOURS)],
        "figures": figures,
        "told": _told(figures),
        "numbers": [
            ("Recall", figures.recall),
            ("False alarms", figures.false_alarms),
            ("Precision", figures.precision),
            ("F1", figures.f1),
            ("AUROC", figures.auroc),
        ],
    }


def _told(figures: Figures) -> str:
    """Return the two figures that matter most, in words."""
    parts = []
    if figures.recall is not None:
        caught = round(figures.recall.value * figures.unsafe)
        parts.append(f"caught {caught:,} of {figures.unsafe:,} unsafe rows")
    if figures.false_alarms is not None:
        safe = figures.rows - figures.unsafe
        blocked = round(figures.false_alarms.value * safe)
        parts.append(f"blocked {blocked:,} of {safe:,} safe ones")
    return " and ".join(parts)


def _sweep(result: Result, place: int) -> Mapping[str, Any]:
    curves = result.curves
    return {
        "name": result.name,
        "colour": plots.COLOURS[place % len(plots.COLOURS)],
        "threshold": result.threshold,
        "recall": curves.swept_recall if curves else [],
        "precision": curves.swept_precision if curves else [],
        "alarms": curves.swept_alarms if curves else [],
    }


def _lines(sheet: Sheet) -> Iterator[Markup]:
    """Yield the lines of a table; a line does not say again what the one above it begins with."""
    above: Cell = None
    numbers = [is_number(sheet, place) for place in range(len(sheet.columns))]
    for line in sheet.lines:
        cells = [
            _cell(cell, sheet, number=number) for cell, number in zip(line, numbers, strict=True)
        ]
        if line[0] == above:
            cells[0] = Markup('<td class="text same"></td>')
        kind = "" if line[0] == above else ' class="first"'
        above = line[0]
        yield Markup(f"<tr{kind}>") + Markup("").join(cells) + Markup("</tr>")


def _cell(cell: Cell, sheet: Sheet, *, number: bool) -> Markup:
    """Return a table's cell: figures with their interval drawn under them."""
    if not isinstance(cell, Figure) or cell.low == cell.high:
        kind = "number" if number else "text"
        return Markup('<td class="{}">{}</td>').format(kind, cell_text(cell))
    is_difference = sheet.id == "differences"
    value = shown(cell, sign=is_difference)
    if is_difference:
        told = f"{100 * cell.low:+.1f} to {100 * cell.high:+.1f}"
        sure = cell.low > 0 or cell.high < 0
        kind = "figure sure" if sure else "figure"
        return Markup('<td class="{}">{}<small>{}</small></td>').format(kind, value, told)
    told = f"{100 * cell.low:.1f} to {100 * cell.high:.1f}"
    bar = f"--low:{100 * cell.low:.1f};--high:{100 * cell.high:.1f};--value:{100 * cell.value:.1f}"
    return Markup(
        '<td class="figure">{}<small>{}</small><i class="bar" style="{}"></i></td>'
    ).format(value, told, bar)
