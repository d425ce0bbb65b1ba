"""From what was judged to the report's figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from guardrail.evaluation.candidates import Candidate
from guardrail.evaluation.card import Published, published_for
from guardrail.evaluation.curves import confusion, curves
from guardrail.evaluation.data import Dataset
from guardrail.evaluation.differences import Difference, compare
from guardrail.evaluation.figures import Figures
from guardrail.evaluation.measures import judgement, measure
from guardrail.evaluation.report import Report
from guardrail.evaluation.results import DataSummary, Mistake, Result
from guardrail.evaluation.robustness import Rewritten, Robustness, flips
from guardrail.evaluation.rows import Row
from guardrail.evaluation.speed import Speed
from guardrail.evaluation.streaming import Prefixes, ScheduleFigures, schedules
from guardrail.evaluation.table import Bools, Decided, Group, Table
from guardrail.policy import Policy

__all__ = ["Asked", "Measured", "assemble"]

_MOST_NAMES = 30  # of a group: the largest are shown
_EXCERPT = 600  # characters of a mistake


@dataclass(frozen=True)
class Measured:
    """What one candidate made of everything.

    Args:
        decided: of the rows.
        speed: of its classifier.
        rewritten: rows rewritten, and what it made of them.
        played: replies cut short, and what it made of them.
        threshold: the classifier's own, where it says.
    """

    decided: Decided
    speed: Speed | None
    rewritten: tuple[Rewritten, Decided] | None = None
    played: tuple[Prefixes, Decided] | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What an evaluation was asked for.

    Args:
        sample, first: rows of each set; None for all.
        seed: of everything drawn at random.
        resamples: of the bootstrap.
        detail_rows: rows that were rewritten or cut short.
        mistakes: how many of each kind are shown.
        created: when, in UTC.
        version: of this package.
    """

    sample: int | None
    first: int | None
    seed: int
    resamples: int
    detail_rows: int
    mistakes: int
    created: str
    version: str


def assemble(
    sets: Sequence[Dataset],
    table: Table,
    measured: Sequence[tuple[Candidate, Measured]],
    asked: Asked,
) -> Report:
    """Return the report."""
    worst = [_worst(table, one.decided, asked.mistakes) for _, one in measured]
    texts = _texts(sets, {place for places in worst for place in places})
    results = [
        _result(sets, table, candidate, one, [_mistake(texts[at], one, at) for at in places], asked)
        for (candidate, one), places in zip(measured, worst, strict=True)
    ]
    return Report(
        [_summary(one, table) for one in sets],
        results,
        _differences(table, measured, asked),
        asdict(asked),
        asked.created,
        asked.version,
    )


def _result(
    sets: Sequence[Dataset],
    table: Table,
    candidate: Candidate,
    measured: Measured,
    mistakes: Sequence[Mistake],
    asked: Asked,
) -> Result:
    decided = measured.decided
    rows = judgement(table, decided)

    def figures(chosen: Bools) -> Figures:
        part = judgement(table, decided, chosen)
        return measure(part, resamples=asked.resamples, seed=asked.seed)

    return Result(
        candidate.name,
        candidate.described,
        _policy_line(candidate.policy, measured.threshold),
        measure(rows, resamples=asked.resamples, seed=asked.seed),
        {
            name: {value: figures(chosen) for value, chosen in _parts(group)}
            for name, group in table.groups.items()
        },
        measured.speed,
        curves(rows),
        confusion(table, decided),
        mistakes,
        dict(decided.errors),
        _robustness(table, measured, asked.resamples),
        _streaming(table, measured),
        _published(sets, candidate),
        measured.threshold if candidate.policy.threshold is None else candidate.policy.threshold,
    )


def _parts(group: Group) -> Iterator[tuple[str, Bools]]:
    """Yield a group's largest parts, in the order their names first came."""
    sizes = np.bincount(group.codes[group.codes >= 0], minlength=len(group.names))
    largest = set(np.argsort(-sizes, kind="stable")[:_MOST_NAMES].tolist())
    order = sorted(largest, key=lambda code: _ordered(group.names[code], code))
    for code in order:
        yield group.names[code], group.codes == code


def _ordered(name: str, code: int) -> tuple[int, str | int]:
    """Categories stand by their names, lengths by their size, all else as it came."""
    if len(name) == 2 and name.startswith("O"):
        return 0, name
    head = name.removeprefix("over ").partition("-")[0]
    return (1, int(head) + name.startswith("over")) if head.isdecimal() else (2, code)


def _policy_line(policy: Policy, classifiers: float | None) -> str:
    """Return what of a policy bears on decisions, in one line."""
    own = [
        f"{name} {one.threshold:g}"
        for name, one in policy.categories.items()
        if one.threshold is not None
    ]
    its_own = "the classifier's own" + (f", {classifiers:.4g}" if classifiers is not None else "")
    overall = its_own if policy.threshold is None else f"{policy.threshold:g}"
    return "; ".join([f"threshold {overall}", *own, f"mode {policy.mode}"])


def _robustness(table: Table, measured: Measured, resamples: int) -> list[Robustness]:
    if measured.rewritten is None:
        return []
    rewritten, after = measured.rewritten
    return flips(rewritten, table, measured.decided, after, resamples=resamples)


def _streaming(table: Table, measured: Measured) -> list[ScheduleFigures]:
    return (
        [] if measured.played is None else schedules(measured.played[0], table, measured.played[1])
    )


def _published(sets: Sequence[Dataset], candidate: Candidate) -> list[Published]:
    found = [published_for(one.name, candidate.classifier) for one in sets]
    return [one for one in found if one is not None]


def _differences(
    table: Table, measured: Sequence[tuple[Candidate, Measured]], asked: Asked
) -> list[Difference]:
    (first, base), *others = measured
    sets = list(_parts(table.groups["data"]))
    parts: list[tuple[str, Bools | None]] = [("", None), *(sets if len(sets) > 1 else [])]
    return [
        compare(
            table,
            (first.name, base.decided),
            (candidate.name, one.decided),
            data=name,
            chosen=chosen,
            resamples=asked.resamples,
            seed=asked.seed,
        )
        for candidate, one in others
        for name, chosen in parts
    ]


def _worst(table: Table, decided: Decided, size: int) -> list[int]:
    """Return the places of the safe rows that scored highest, and the unsafe ones lowest."""
    alarms = np.flatnonzero(decided.judged & ~table.unsafe & decided.found)
    misses = np.flatnonzero(decided.judged & table.unsafe & ~decided.found)
    highest = alarms[np.argsort(-decided.score[alarms], kind="stable")][:size]
    lowest = misses[np.argsort(decided.score[misses], kind="stable")][:size]
    return [*highest.tolist(), *lowest.tolist()]


def _texts(sets: Sequence[Dataset], places: set[int]) -> dict[int, tuple[str, Row]]:
    found: dict[int, tuple[str, Row]] = {}
    place = 0
    for one in sets:
        for row in one.rows() if places else ():
            if place in places:
                found[place] = (one.name, row)
            place += 1
    return found


def _mistake(named: tuple[str, Row], measured: Measured, place: int) -> Mistake:
    data, row = named
    return Mistake(
        f"{data}, {row.place}" if row.place else data,
        row.unsafe,
        float(measured.decided.score[place]),
        row.category,
        row.source,
        _excerpt(row.asked),
        _excerpt(row.text),
    )


def _excerpt(text: str) -> str:
    return text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]} …"


def _summary(data: Dataset, table: Table) -> DataSummary:
    group = table.groups["data"]
    here = group.codes == group.names.index(data.name)
    survey = data.survey
    reasons = survey.left_out.items()
    return DataSummary(
        data.name,
        data.place,
        int(here.sum()),
        int(table.unsafe[here].sum()),
        survey.rows,
        {reason: (count, survey.examples[reason]) for reason, count in reasons},
    )
