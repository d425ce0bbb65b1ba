"""The plots of what disguises, tricks and streaming do."""

from __future__ import annotations

from collections.abc import Sequence

from guardrail.errors import needing
from guardrail.evaluation.figures import Figure as Number
from guardrail.evaluation.plots import Shown, coloured, legend, styled, svg
from guardrail.evaluation.results import Result

with needing("eval"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["robustness", "streaming"]


def robustness(results: Sequence[Result]) -> str | None:
    """Return what disguises and tricks do to recall and false alarms."""
    shown = [(result, colour) for result, colour in coloured(results) if result.robustness]
    if not shown:
        return None
    with styled():
        return svg("robustness", _flips(shown))


def streaming(results: Sequence[Result]) -> str | None:
    """Return what each schedule costs and catches."""
    shown = [(result, colour) for result, colour in coloured(results) if result.streaming]
    if not shown:
        return None
    with styled():
        return svg("streaming", _schedules(shown))


def _flips(shown: Shown) -> Figure:
    """Return arrows from what was to what is: recall on the left, false alarms on the right."""
    names = [one.name for one in shown[0][0].robustness]
    figure = _tall(len(names), len(shown))
    left, right = figure.subplots(1, 2, sharey=True)
    for place, (result, colour) in enumerate(shown):
        for line, one in enumerate(result.robustness):
            height = line + (place - (len(shown) - 1) / 2) * 0.7 / len(shown)
            _arrow(left, height, one.recall_before, one.recall_after, colour)
            _arrow(right, height, one.alarms_before, one.alarms_after, colour)
    left.set(xlabel="Recall on unsafe rows", xlim=(-0.02, 1.02), ylim=(len(names) - 0.4, -0.6))
    right.set(xlabel="False alarms on safe rows", xlim=(-0.02, 1.02))
    left.set_yticks(range(len(names)), names)
    legend(figure, shown)
    return figure


def _tall(names: int, candidates: int) -> Figure:
    height = 1.3 + names * (0.12 + 0.17 * candidates)
    return Figure(figsize=(10.8, height), layout="constrained")


def _arrow(
    axes: Axes, height: float, before: Number | None, after: Number | None, colour: str
) -> None:
    if before is None or after is None:
        return
    axes.plot([before.value, after.value], [height, height], color=colour, linewidth=1.4)
    axes.plot(before.value, height, "|", color=colour, markersize=9, markeredgewidth=1.6)
    axes.errorbar(
        after.value, height, xerr=[[after.value - after.low], [after.high - after.value]], fmt="o",
        color=colour, markersize=6, elinewidth=0.8,
    )  # fmt: skip


def _schedules(shown: Shown) -> Figure:
    """Return what is caught and what is wrongly cut off, by schedule."""
    names = [one.name for one in shown[0][0].streaming]
    figure = _tall(len(names), len(shown))
    panels = figure.subplots(1, 3, sharey=True)
    for place, (result, colour) in enumerate(shown):
        for line, one in enumerate(result.streaming):
            height = line + (place - (len(shown) - 1) / 2) * 0.7 / len(shown)
            _arrow(panels[0], height, one.caught, one.caught, colour)
            _arrow(panels[1], height, one.alarms, one.alarms, colour)
            if one.shown_median is not None and one.shown_p95 is not None:
                panels[2].plot([one.shown_median, one.shown_p95], [height] * 2, color=colour)
                panels[2].plot(one.shown_median, height, "o", color=colour, markersize=6)
    panels[0].set(xlabel="Unsafe replies caught", ylim=(len(names) - 0.4, -0.6))
    panels[1].set(xlabel="Safe replies cut off")
    panels[2].set(xlabel="Characters shown before the block", xlim=(-2, None))
    panels[0].set_yticks(range(len(names)), names)
    legend(figure, shown)
    return figure
