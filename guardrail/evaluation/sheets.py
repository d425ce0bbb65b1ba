"""The tables of a report, told once for the terminal, Markdown and the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from guardrail.evaluation.card import Published
from guardrail.evaluation.differences import COMPARED, Difference
from guardrail.evaluation.figures import NAMES, TITLES, Figure, Figures
from guardrail.evaluation.results import Findings, Result
from guardrail.evaluation.robustness import Robustness
from guardrail.evaluation.sheet import Cell, Sheet, group_title, named
from guardrail.evaluation.streaming import ScheduleFigures

__all__ = ["sheets"]


def sheets(report: Findings) -> list[Sheet]:
    """Return all tables that have something to say, in order."""
    every = [
        _data(report),
        _main(report),
        _differences(report),
        *_groups(report),
        _at_alarms(report),
        *(_confusion(result, report) for result in report.results),
        *(_robustness(result, report) for result in report.results),
        *(_streaming(result, report) for result in report.results),
        _speed(report),
        _errors(report),
        _left_out(report),
    ]
    return [sheet for sheet in every if sheet.lines]


def _of(result: Result, report: Findings) -> str:
    return f": {result.name}" if len(report.results) > 1 else ""


def _data(report: Findings) -> Sheet:
    lines: list[list[Cell]] = [
        [one.name, one.rows, one.unsafe, one.there, sum(n for n, _ in one.left_out.values())]
        for one in report.data
    ]
    return Sheet("data", "Data", "", ("Data", "Judged", "Unsafe", "Rows", "Left out"), lines)


def _main(report: Findings) -> Sheet:
    lines = list(_main_lines(report))
    note = (
        f"In percent{', with 95 % intervals' if _has_intervals(lines) else ''}; unsafe is positive."
    )
    if any(result.published for result in report.results):
        note += " Lines of the card are as its author published them, on 1,000 rows of the set."
    columns = ("Data", "Candidate", "Rows", *(TITLES[name] for name in NAMES))
    return Sheet("figures", "Figures", note, columns, lines)


def _has_intervals(lines: Sequence[Sequence[Cell]]) -> bool:
    """Whether any is known, so that none is promised where there was no bootstrap."""
    figures = (cell for line in lines for cell in line if isinstance(cell, Figure))
    return any(figure.low != figure.high for figure in figures)


def _main_lines(report: Findings) -> Iterator[list[Cell]]:
    for data in report.data:
        for result in report.results:
            yield _line(data.name, result.name, result.on(data.name))
            for published in result.published:
                if published.data == data.name:
                    yield _published_line(published)
    if len(report.data) > 1:
        for result in report.results:
            yield _line("all", result.name, result.overall)


def _line(data: str, candidate: str, figures: Figures) -> list[Cell]:
    return [data, candidate, figures.rows, *(figures.get(name) for name in NAMES)]


def _published_line(card: Published) -> list[Cell]:
    figures = {
        "accuracy": _alone(card.accuracy),
        "f1": _alone(card.f1),
        "precision": _alone(card.precision),
        "recall": _alone(card.recall),
    }
    who = f"KoSafeGuard's card, {card.steps} steps"
    return [card.data, who, 1000, *(figures.get(name) for name in NAMES)]


def _alone(value: float) -> Figure:
    return Figure(value, value, value)


def _without(figure: Figure | None) -> Figure | None:
    """Return a figure without its interval, where the table has no room for it."""
    return figure and _alone(figure.value)


def _differences(report: Findings) -> Sheet:
    first = report.results[0].name
    lines = [_difference_line(one) for one in report.differences]
    intervals = (
        ", with 95 % intervals of the paired difference; an interval without 0 is a difference"
    )
    note = (
        f"Each minus {first}, on the same rows{intervals if _has_intervals(lines) else ''}. The "
        "last columns count rows only one got right."
    )
    columns = (
        "Data",
        "Candidate",
        "Rows",
        *(TITLES[name] for name in COMPARED),
        f"Only {first}",
        "Only it",
    )
    return Sheet("differences", f"Against {first}", note, columns, lines)


def _difference_line(one: Difference) -> list[Cell]:
    figures = (one.figures.get(name) for name in COMPARED)
    return [one.data or "all", one.other, one.rows, *figures, one.only_first, one.only_other]


def _groups(report: Findings) -> Iterator[Sheet]:
    for group, parts in report.results[0].groups.items():
        if group == "data" or len(parts) < 2:
            continue
        note = "Rows of that category." if group == "category" else ""
        columns = (group.capitalize(), *_candidate_head(report), "Rows", "Unsafe", *_group_heads())
        lines: list[Sequence[Cell]] = [
            [
                named(part),
                *_candidate_cell(result, report),
                *_group_cells(result.groups[group][part]),
            ]
            for part in parts
            for result in report.results
        ]
        yield Sheet(f"by-{group}", group_title(group), note, columns, lines)


def _candidate_head(report: Findings) -> tuple[str, ...]:
    return ("Candidate",) if len(report.results) > 1 else ()


def _candidate_cell(result: Result, report: Findings) -> tuple[str, ...]:
    return (result.name,) if len(report.results) > 1 else ()


_IN_GROUPS = ("recall", "false_alarms", "accuracy", "f1", "precision", "auroc", "named")


def _group_heads() -> tuple[str, ...]:
    return tuple(TITLES[name] for name in _IN_GROUPS)


def _group_cells(figures: Figures) -> list[Cell]:
    return [figures.rows, figures.unsafe, *(figures.get(name) for name in _IN_GROUPS)]


def _at_alarms(report: Findings) -> Sheet:
    note = "Thresholds on the score alone; `guardrail calibrate` chooses them with their evidence."
    shown_at = {result.name: result.curves.at_alarms for result in report.results if result.curves}
    lines: list[list[Cell]] = [
        [name, *(f"{100 * recall:.1f} at {threshold:.3f}" for _, threshold, recall in found)]
        for name, found in shown_at.items()
    ]
    allowed = next(iter(shown_at.values()), ())
    columns = ("Candidate", *(f"at most {100 * share:g} %" for share, _, _ in allowed))
    title = "Recall at some shares of false alarms, and the threshold for it"
    return Sheet("thresholds", title, note, columns, lines)


def _confusion(result: Result, report: Findings) -> Sheet:
    found = result.confusion
    lines: list[list[Cell]] = []
    if found is not None:
        lines = [
            [named(true), *counts] for true, counts in zip(found.true, found.counts, strict=True)
        ]
    columns = ("Really", *(found.judged if found else ()))
    title = f"What each category was judged to be{_of(result, report)}"
    return Sheet("confusion", title, "Rows.", columns, lines)


def _robustness(result: Result, report: Findings) -> Sheet:
    note = (
        "Rows judged again after each rewriting, where it changes them. Evaded: caught as written, "
        "passes rewritten. Newly blocked: safe, passes as written, blocked rewritten."
    )
    columns = (
        "Rewriting", "What it does", "Rows", "Recall before", "after", "False alarms before",
        "after", "Evaded", "Newly blocked",
    )  # fmt: skip
    lines = [_robustness_line(one) for one in result.robustness]
    title = f"Disguises and tricks{_of(result, report)}"
    return Sheet("robustness", title, note, columns, lines)


def _robustness_line(one: Robustness) -> list[Cell]:
    figures = (one.recall_before, one.recall_after, one.alarms_before, one.alarms_after)
    return [one.name, one.told, one.rows, *map(_without, figures), one.evaded, one.newly_blocked]


def _streaming(result: Result, report: Findings) -> Sheet:
    note = (
        "Replies played as streams that are judged as they come. Read to block, shown: characters "
        "at the median (95th percentile) of unsafe replies caught. First text: characters that "
        "come before any are shown. Read: how often each character is judged."
    )
    columns = (
        "Schedule", "Settings", "Caught", "before the end", "Read to block", "Shown",
        "False alarms", "Prefix alarms", "First text", "Checks", "Read",
    )  # fmt: skip
    lines = [_streaming_line(one) for one in result.streaming]
    title = f"Streamed replies{_of(result, report)}"
    return Sheet("streaming", title, note, columns, lines)


def _streaming_line(one: ScheduleFigures) -> list[Cell]:
    return [
        one.name,
        one.settings,
        one.caught,
        _without(one.early),
        _spread(one.at_median, one.at_p95),
        _spread(one.shown_median, one.shown_p95),
        one.alarms,
        one.prefix_alarms,
        "–" if one.first_median is None else f"{one.first_median:.0f}",
        f"{one.checks:.1f}",
        f"{one.times_read:.1f}x",
    ]


def _spread(median: float | None, p95: float | None) -> str:
    return "–" if median is None or p95 is None else f"{median:.0f} ({p95:.0f})"


def _speed(report: Findings) -> Sheet:
    note = "On this machine: turns a second in batches, milliseconds for one turn at a time."
    lines: list[list[Cell]] = [
        [result.name, one.turns_per_second, one.batch, one.p50_ms, one.p95_ms, one.timed]
        for result in report.results
        if (one := result.speed) is not None
    ]
    columns = ("Candidate", "Turns a second", "Batch", "p50 ms", "p95 ms", "Timed")
    return Sheet("speed", "Speed", note, columns, lines)


def _errors(report: Findings) -> Sheet:
    note = "These count neither as caught nor as passed; a guard that fails closed blocks them."
    lines: list[list[Cell]] = [
        [result.name, reason, count]
        for result in report.results
        for reason, count in result.errors.items()
    ]
    return Sheet("errors", "Rows without a verdict", note, ("Candidate", "Why", "Rows"), lines)


def _left_out(report: Findings) -> Sheet:
    lines: list[list[Cell]] = [
        [one.name, reason, count, where]
        for one in report.data
        for reason, (count, where) in one.left_out.items()
    ]
    columns = ("Data", "Why", "Records", "The first")
    return Sheet("left-out", "Records that are no rows", "", columns, lines)
