"""Figures for a page: what was decided over time, of which category, and how fast."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, func, select

from guardrail.audit import Status
from guardrail.errors import GuardrailError
from guardrail.integrations.records.filters import Filter
from guardrail.integrations.records.schema import RECORDS, moment, ticks
from guardrail.types import Category, Stage

__all__ = ["Bucket", "Latency", "by_category", "latency", "over_time"]

_MICROSECOND = timedelta(microseconds=1)
_MOST_BUCKETS = 10_000


@dataclass(frozen=True, slots=True)
class Bucket:
    """The records of a span of time.

    Args:
        start: when it begins, in UTC.
        counts: records by status; none is left out.
    """

    start: datetime
    counts: Mapping[Status, int]

    @property
    def total(self) -> int:
        """All records of the span."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Latency:
    """How long decisions took, in seconds.

    Args:
        count: decisions.
        p50: half of them took no longer; None where there are none.
        p95: of a hundred, 95 took no longer.
        p99: of a hundred, 99 took no longer.
    """

    count: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


def over_time(
    engine: Engine, chosen: Filter, width: timedelta, offset: timedelta = timedelta()
) -> list[Bucket]:
    """Return the counts of equal spans, in order, the empty ones between them too.

    Args:
        engine: the database.
        chosen: which records; where it says `since` and `until` the spans begin and end there.
        width: of a span.
        offset: of the time zone whose hours and days the spans keep to: nine hours for Korea.

    Raises:
        GuardrailError: a span has no width.
    """
    step, shift = width // _MICROSECOND, offset // _MICROSECOND
    if step <= 0:
        raise GuardrailError(f"a span of time must be wider than {width}")
    slot = ((RECORDS.c.time + shift) // step).label("slot")
    counted = select(slot, RECORDS.c.status, func.count()).where(*chosen.clauses())
    with engine.connect() as connection:
        rows = connection.execute(counted.group_by("slot", RECORDS.c.status)).all()
    found: dict[int, dict[Status, int]] = {}
    for place, status, count in rows:
        found.setdefault(int(place), {})[Status(status)] = count
    none = dict.fromkeys(Status, 0)
    return [
        Bucket(moment(place * step - shift), none | found.get(place, {}))
        for place in _places({*found, *((time + shift) // step for time in _ends(chosen))})
    ]


def _ends(chosen: Filter) -> list[int]:
    """Return the moments at which the spans begin and end at the least; none in the future."""
    now = datetime.now(UTC)
    since = [ticks(chosen.since)] if chosen.since else []
    return [*since, min(ticks(chosen.until) - 1, ticks(now))] if chosen.until else since


def _places(known: Set[int]) -> range:
    if not known:
        return range(0)
    last = max(known)
    return range(max(min(known), last - _MOST_BUCKETS + 1), last + 1)


def by_category(engine: Engine, chosen: Filter) -> dict[Category | None, dict[Status, int]]:
    """Return the counts of each category by status; None stands for no category."""
    counted = select(RECORDS.c.category, RECORDS.c.status, func.count()).where(*chosen.clauses())
    with engine.connect() as connection:
        rows = connection.execute(counted.group_by(RECORDS.c.category, RECORDS.c.status)).all()
    found: dict[Category | None, dict[Status, int]] = {}
    for name, status, count in rows:
        category = Category(name) if name else None
        found.setdefault(category, dict.fromkeys(Status, 0))[Status(status)] = count
    return found


def latency(engine: Engine, chosen: Filter) -> dict[Stage, Latency]:
    """Return how long decisions took, by stage."""
    return {stage: _latency(engine, chosen, stage) for stage in Stage}


def _latency(engine: Engine, chosen: Filter, stage: Stage) -> Latency:
    these = (*chosen.clauses(), RECORDS.c.stage == stage.value)
    rank = func.row_number().over(order_by=RECORDS.c.seconds).label("rank")
    ranked = select(RECORDS.c.seconds, rank).where(*these).subquery()
    with engine.connect() as connection:
        count = connection.execute(select(func.count()).select_from(ranked)).scalar_one()
        ranks = [max(1, math.ceil(count * share)) for share in (0.5, 0.95, 0.99)]
        wanted = select(ranked.c.rank, ranked.c.seconds).where(ranked.c.rank.in_(ranks))
        seconds: dict[int, float] = {row.rank: row.seconds for row in connection.execute(wanted)}
    return Latency(count, *(seconds.get(place) for place in ranks))
