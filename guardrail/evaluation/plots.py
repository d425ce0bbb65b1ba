"""The plots of a report, as SVG whose text is text: the browser's own fonts write it.

Colours that depend on the page's theme are stand-ins here, and variables of its style sheet after.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from guardrail.errors import needing
from guardrail.evaluation.curves import Confusion
from guardrail.evaluation.figures import Figure as Number
from guardrail.evaluation.results import Result

with needing("eval"):
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["COLOURS", "Shown", "by_candidate", "coloured", "confusions", "legend", "styled", "svg"]

Shown: TypeAlias = Sequence[tuple[Result, str]]
"""Candidates' results, each with its colour."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""One per candidate: Okabe and Ito's, which colour-blind readers tell apart."""

_SAFE, _UNSAFE = "#56a0d3", "#d5552c"
_INK, _LINE, _HEAT = "#010203", "#010204", "#010205"
_VARIABLES = {_INK: "var(--ink)", _LINE: "var(--line)", _HEAT: "var(--heat)"}
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _LINE,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": _LINE,
    "grid.linewidth": 0.6,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


def by_candidate(results: Sequence[Result]) -> dict[str, str]:
    """Return the plots in which candidates stand together, by name."""
    shown = [(result, colour) for result, colour in coloured(results) if result.curves]
    if not shown:
        return {}
    plots: dict[str, Callable[[Shown], Figure]] = {
        "precision-recall": _precision_recall,
        "roc": _roc,
        "histogram": _histograms,
        "sweep": _sweep,
        "calibration": _calibration,
    }
    with styled():
        return {name: svg(name, plot(shown)) for name, plot in plots.items()}


def confusions(result: Result) -> str | None:
    """Return how rows of each category were judged, as shares of their line."""
    if result.confusion is None:
        return None
    with styled():
        return svg(f"confusion {result.name}", _confusion(result.confusion))


def coloured(results: Sequence[Result]) -> list[tuple[Result, str]]:
    """Return the results, each with its candidate's colour."""
    return [(result, COLOURS[place % len(COLOURS)]) for place, result in enumerate(results)]


@contextmanager
def styled() -> Iterator[None]:
    """Have plots drawn in the page's style."""
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # Names may be Korean; the browser has the letters, whatever matplotlib measures with.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def svg(name: str, figure: Figure) -> str:
    """Return a figure as SVG to put into a page, the same for the same figures."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r' id="(?!m|p[0-9a-f]|image|C)[^"]*"', "", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return text


def _axes(width: float = 5.4, height: float = 3.8) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _shares(axes: Axes, x: str, y: str) -> None:
    axes.set(xlabel=x, ylabel=y, xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))


def _legend(axes: Axes, shown: Shown, **settings: str) -> None:
    if len(shown) > 1:
        axes.legend(**settings)


def _dot(axes: Axes, x: Number | None, y: Number | None, colour: str) -> None:
    """Mark where the policy stands, with its intervals."""
    if x is not None and y is not None:
        sides = [[[one.value - one.low], [one.high - one.value]] for one in (x, y)]
        axes.errorbar(
            x.value, y.value, xerr=sides[0], yerr=sides[1], fmt="o", color=colour, markersize=7,
            markeredgecolor="white", elinewidth=1.2,
        )  # fmt: skip


def _precision_recall(shown: Shown) -> Figure:
    figure, axes = _axes()
    for result, colour in shown:
        assert result.curves is not None
        axes.plot(result.curves.recall, result.curves.precision, color=colour, label=result.name)
        _dot(axes, result.overall.recall, result.overall.precision, colour)
    _shares(axes, "Recall", "Precision")
    _legend(axes, shown, loc="lower left")
    return figure


def _roc(shown: Shown) -> Figure:
    figure, axes = _axes()
    axes.plot([0, 1], [0, 1], color=_LINE, linewidth=1)
    for result, colour in shown:
        assert result.curves is not None
        axes.plot(result.curves.alarms, result.curves.hits, color=colour, label=result.name)
        _dot(axes, result.overall.false_alarms, result.overall.recall, colour)
    _shares(axes, "False alarms (share of safe rows)", "Recall")
    _legend(axes, shown, loc="lower right")
    return figure


def _histograms(shown: Shown) -> Figure:
    """Return one histogram per candidate, one under the other."""
    figure = Figure(figsize=(5.4, max(3.8, 0.8 + 1.3 * len(shown))), layout="constrained")
    panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (result, _) in zip(panels, shown, strict=True):
        _histogram(axes, result)
        if len(shown) > 1:
            axes.set_title(result.name, loc="left", fontsize=10)
    panels[-1].set_xlabel("Score")
    figure.supylabel("Rows", fontsize=10)
    panels[0].legend(loc="upper center", ncols=2)
    return figure


def _histogram(axes: Axes, result: Result) -> None:
    curves = result.curves
    assert curves is not None
    edges = np.array(curves.edges)
    for bars, colour, label in (
        (curves.safe_bars, _SAFE, "safe"),
        (curves.unsafe_bars, _UNSAFE, "unsafe"),
    ):
        axes.stairs(bars, edges, fill=True, color=colour, alpha=0.55, label=label)
    axes.set(yscale="log", xlim=(0, 1))


_SWEPT: Sequence[tuple[str, Any, float]] = (
    ("recall", "-", 1.8),
    ("precision", "--", 1.1),
    ("false alarms", ":", 2.2),
)


def _sweep(shown: Shown) -> Figure:
    """Return three lines per candidate: colours tell candidates apart, dashes the figures."""
    figure, axes = _axes(height=3.8 if len(shown) == 1 else 4.0)
    for result, colour in shown:
        curves = result.curves
        assert curves is not None
        swept = (curves.swept_recall, curves.swept_precision, curves.swept_alarms)
        for values, (_, dash, width), own in zip(swept, _SWEPT, COLOURS, strict=False):
            paint = colour if len(shown) > 1 else own
            axes.plot(curves.thresholds, values, dash, color=paint, linewidth=width)
    _shares(axes, "Threshold", "")
    _sweep_legends(figure, shown)
    return figure


def _sweep_legends(figure: Figure, shown: Shown) -> None:
    paints = COLOURS if len(shown) == 1 else [_INK] * 3
    lines = [
        Line2D([], [], linestyle=dash, linewidth=width, color=paint, label=name)
        for (name, dash, width), paint in zip(_SWEPT, paints, strict=False)
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=3)
    legend(figure, shown)


def legend(figure: Figure, shown: Shown) -> None:
    """Say above the plot which colour is which candidate's, where there are several."""
    names = [Line2D([], [], color=colour, label=result.name) for result, colour in shown]
    if len(names) > 1:
        figure.legend(handles=names, loc="outside upper center", ncols=min(3, len(names)))


def _calibration(shown: Shown) -> Figure:
    figure, axes = _axes()
    axes.plot([0, 1], [0, 1], color=_LINE, linewidth=1)
    for result, colour in shown:
        curves = result.curves
        assert curves is not None
        sizes = 18 + 130 * np.sqrt(np.array(curves.sizes) / max(curves.sizes))
        axes.plot(curves.means, curves.shares, color=colour, linewidth=1, label=result.name)
        axes.scatter(curves.means, curves.shares, s=sizes, color=colour, alpha=0.6, linewidths=0)
    _shares(axes, "Score", "Share that is unsafe")
    _legend(axes, shown, loc="upper left")
    return figure


def _confusion(found: Confusion) -> Figure:
    counts = np.array(found.counts, float)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure, axes = _axes(5.4, 4.0)
    for (line, column), share in np.ndenumerate(shares):
        axes.fill(
            [column, column + 1, column + 1, column], [line, line, line + 1, line + 1],
            color=_HEAT, alpha=float(share) * 0.9, linewidth=0,
        )  # fmt: skip
        if counts[line, column]:
            axes.text(column + 0.5, line + 0.5, f"{100 * share:.0f}", ha="center", va="center")
    axes.set(xlim=(0, shares.shape[1]), ylim=(shares.shape[0], 0), xlabel="Judged", ylabel="Really")
    axes.set_xticks(np.arange(shares.shape[1]) + 0.5, found.judged)
    axes.set_yticks(np.arange(shares.shape[0]) + 0.5, found.true)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.axvline(1, color=_INK, linewidth=1)
    axes.axhline(shares.shape[0] - 1, color=_INK, linewidth=1)
    return figure
