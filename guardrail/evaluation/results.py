"""What an evaluation found out, and what in it is not good enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from guardrail.evaluation.card import Published
from guardrail.evaluation.curves import Confusion, Curves
from guardrail.evaluation.differences import Difference
from guardrail.evaluation.figures import Figures, shown
from guardrail.evaluation.robustness import Robustness
from guardrail.evaluation.rows import NO_LABEL
from guardrail.evaluation.speed import Speed
from guardrail.evaluation.streaming import ScheduleFigures

__all__ = ["DataSummary", "Findings", "Mistake", "Result"]


@dataclass(frozen=True, slots=True)
class DataSummary:
    """One data set of a report.

    Args:
        name: how the report calls it.
        place: where it comes from.
        rows, unsafe: how many rows were judged, and how many of them are unsafe.
        there: how many rows it has in all.
        left_out: records that are no rows, by reason, with where the first stands.
    """

    name: str
    place: str
    rows: int
    unsafe: int
    there: int
    left_out: Mapping[str, tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Mistake:
    """A row that was judged very wrongly."""

    place: str
    unsafe: bool
    score: float
    category: str | None
    source: str | None
    user: str
    text: str


@dataclass(frozen=True)
class Result:
    """What came out for one candidate.

    Args:
        name: of the candidate.
        classifier, policy: what it is, in a line each.
        overall: on all rows.
        groups: by group ("data", "category", "source", "length", "language", "judged", and
            columns of the caller's) and name.
        speed: None where nothing was judged.
        curves, confusion: for plots.
        mistakes: safe rows with the highest scores, unsafe ones with the lowest.
        errors: rows without a verdict, by reason.
        robustness, streaming: where asked for.
        published: the figures of KoSafeGuard's own card for the same model and sets.
        threshold: on the score, the policy's or the classifier's own; None where that is not known.
    """

    name: str
    classifier: str
    policy: str
    overall: Figures
    groups: Mapping[str, Mapping[str, Figures]]
    speed: Speed | None
    curves: Curves | None
    confusion: Confusion | None
    mistakes: Sequence[Mistake]
    errors: Mapping[str, int]
    robustness: Sequence[Robustness] = ()
    streaming: Sequence[ScheduleFigures] = ()
    published: Sequence[Published] = ()
    threshold: float | None = None

    def on(self, data: str) -> Figures:
        """Return the figures on one data set."""
        return self.groups["data"][data]


@dataclass(frozen=True)
class Findings:
    """What came out of judging the same rows with one or more candidates.

    Args:
        data: the sets.
        results: one per candidate, in the order they were named; the first is compared against.
        differences: of the others to the first, together and by set.
        settings: how rows were drawn, and intervals found.
        created: when, in UTC.
        version: of this package.
    """

    data: Sequence[DataSummary]
    results: Sequence[Result]
    differences: Sequence[Difference]
    settings: Mapping[str, Any]
    created: str
    version: str
    title: str = field(default="How well the guard judges")

    @property
    def rows(self) -> int:
        """How many rows were judged."""
        return sum(one.rows for one in self.data)

    def failures(
        self,
        *,
        min_recall: float | None = None,
        min_precision: float | None = None,
        min_f1: float | None = None,
        min_accuracy: float | None = None,
        min_auroc: float | None = None,
        max_fpr: float | None = None,
    ) -> tuple[str, ...]:
        """Return why the first candidate is not good enough; nothing where it is.

        Where anything is asked for, rows without a verdict and records that cannot be read as rows
        are reasons too; records that have no label yet are none.

        `assert not report.failures(min_recall=0.9)` in a test shows the reasons.
        """
        figures = self.results[0].overall
        least = {
            "recall": min_recall, "precision": min_precision, "f1": min_f1,
            "accuracy": min_accuracy, "auroc": min_auroc,
        }  # fmt: skip
        reasons = [_too_low(figures, name, limit) for name, limit in least.items()]
        reasons.append(_too_high(figures, max_fpr))
        if any(limit is not None for limit in (*least.values(), max_fpr)):
            reasons += [_unjudged(self.results[0]), *map(_unread, self.data)]
        return tuple(reason for reason in reasons if reason)


def _too_low(figures: Figures, name: str, limit: float | None) -> str | None:
    figure = figures.get(name)
    if limit is None or (figure is not None and figure.value >= limit):
        return None
    if figure is None:
        return f"{name} cannot be told from these rows; at least {100 * limit:g} % are asked for"
    return f"{name} is {shown(figure, interval=True)} %, less than {100 * limit:g} %"


def _too_high(figures: Figures, limit: float | None) -> str | None:
    figure = figures.false_alarms
    if limit is None or (figure is not None and figure.value <= limit):
        return None
    if figure is None:
        return "false alarms cannot be told from these rows: none of them is safe"
    return f"false alarms are {shown(figure, interval=True)} %, more than {100 * limit:g} %"


def _unjudged(result: Result) -> str | None:
    count = sum(result.errors.values())
    if not count:
        return None
    first = next(iter(result.errors))
    return f"{count} rows have no verdict: {first}"


def _unread(data: DataSummary) -> str | None:
    unread = {why: found for why, found in data.left_out.items() if why != NO_LABEL}
    if not unread:
        return None
    why, (_, where) = next(iter(unread.items()))
    count = sum(records for records, _ in unread.values())
    return f"{count} records of {data.name} are no rows, the first at {where}: {why}"
