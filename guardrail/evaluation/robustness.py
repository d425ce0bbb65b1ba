"""What disguises and tricks change: verdicts on rows before and after they are rewritten."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from guardrail.evaluation.figures import Figure
from guardrail.evaluation.measures import proportion
from guardrail.evaluation.perturb import Perturbation
from guardrail.evaluation.rows import Row
from guardrail.evaluation.table import Bools, Decided, Table
from guardrail.types import Conversation

__all__ = ["Rewritten", "Robustness", "flips"]


@dataclass(frozen=True, slots=True)
class Robustness:
    """What one perturbation changes.

    Args:
        name: of the perturbation.
        told: what it does.
        rows: how many it changed, and have a verdict before and after; the others say nothing.
        recall_before, recall_after: on the unsafe ones.
        alarms_before, alarms_after: false alarms on the safe ones.
        evaded: share of unsafe rows, caught before, that pass now.
        newly_blocked: share of safe rows, passed before, that are blocked now.
        moved: mean change of the score.
    """

    name: str
    told: str
    rows: int
    recall_before: Figure | None
    recall_after: Figure | None
    alarms_before: Figure | None
    alarms_after: Figure | None
    evaded: Figure | None
    newly_blocked: Figure | None
    moved: float


@dataclass(frozen=True)
class Rewritten:
    """Rows, each rewritten in several ways.

    Args:
        rows: the rows, with their places in the table.
        perturbations: the ways.
    """

    rows: Sequence[tuple[int, Row]]
    perturbations: Mapping[str, Perturbation]

    def each(self) -> Iterator[tuple[int, str, Row]]:
        """Yield the place, the perturbation and the rewritten row, wherever that changes it."""
        for place, row in self.rows:
            role = row.conversation[-1].role
            for name, perturbation in self.perturbations.items():
                text = perturbation(row.text, str(place), role)
                if text != row.text:
                    yield place, name, row.with_text(text)

    def conversations(self) -> Iterator[Conversation]:
        """Yield the rewritten conversations, in the same order."""
        return (row.conversation for _, _, row in self.each())


def flips(
    rewritten: Rewritten, table: Table, before: Decided, after: Decided, *, resamples: int = 1000
) -> list[Robustness]:
    """Return what each perturbation changes.

    Args:
        rewritten: what was judged anew.
        table: what the rows are.
        before: the decisions on all rows as they stand.
        after: the decisions on the rewritten ones, in their order.
        resamples: of the bootstrap.
    """
    made = [(place, name) for place, name, _ in rewritten.each()]
    places = np.array([place for place, _ in made], np.intp)
    names = np.array([name for _, name in made])
    known = after.judged & before.judged[places]
    return [
        _changed(one, places, (names == one.name) & known, table, before, after, resamples)
        for one in rewritten.perturbations.values()
    ]


def _changed(
    perturbation: Perturbation,
    places: np.ndarray[tuple[int], np.dtype[np.intp]],
    here: Bools,
    table: Table,
    before: Decided,
    after: Decided,
    resamples: int,
) -> Robustness:
    rows = places[here]
    unsafe = table.unsafe[rows]
    was, now = before.found[rows], after.found[here]

    def share(flags: Bools) -> Figure | None:
        return proportion(flags, resamples=resamples)

    moved = after.score[here] - before.score[rows]
    return Robustness(
        perturbation.name,
        perturbation.told,
        len(rows),
        share(was[unsafe]),
        share(now[unsafe]),
        share(was[~unsafe]),
        share(now[~unsafe]),
        share(~now[unsafe & was]),
        share(now[~unsafe & ~was]),
        float(moved.mean()) if len(moved) else 0.0,
    )
