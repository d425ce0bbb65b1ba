"""The records, as a page asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from sqlalchemy import Engine, select, tuple_

from guardrail.audit import Status
from guardrail.errors import GuardrailError
from guardrail.integrations.records import figures, reviews
from guardrail.integrations.records.database import open_engine
from guardrail.integrations.records.figures import Bucket, Latency
from guardrail.integrations.records.filters import Filter
from guardrail.integrations.records.reviews import Agreement
from guardrail.integrations.records.schema import RECORDS, Review, Stored, storable, stored, ticks
from guardrail.types import Category, Stage

__all__ = ["Page", "Records"]

_ALL = Filter()
_EXPORTED_AT_ONCE = 500
_MOST_DIGITS = 18  # of a time; more than 63 bits no database takes


@dataclass(frozen=True, slots=True)
class Page:
    """Some records, the newest first.

    Args:
        records: these.
        next: where the following page begins; None where there is none.
    """

    records: list[Stored]
    next: str | None


class Records:
    """Answers questions about the records of a database.

    Every method waits for the database: on an event loop, call it in a thread.

    Args:
        engine: the database; closed by `close`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the records of a database.

        Raises:
            ConfigError: the URL is none, or names a database that cannot be opened.
        """
        return cls(open_engine(url))

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def page(self, chosen: Filter = _ALL, *, limit: int = 50, after: str | None = None) -> Page:
        """Return records, the newest first.

        Args:
            chosen: which.
            limit: how many at most.
            after: the `next` of the page before.

        Raises:
            GuardrailError: `after` is no page's `next`.
        """
        limit = max(0, limit)
        order = RECORDS.c.time.desc(), RECORDS.c.id.desc()
        found = select(RECORDS).where(*chosen.clauses()).order_by(*order).limit(limit + 1)
        if after is not None:
            found = found.where(tuple_(RECORDS.c.time, RECORDS.c.id) < _place(after))
        with self._engine.connect() as connection:
            some = [stored(row) for row in connection.execute(found).mappings()]
        return _page(some, limit)

    def get(self, record_id: str) -> Stored | None:
        """Return one record, or None if there is none of that id."""
        with self._engine.connect() as connection:
            wanted = select(RECORDS).where(RECORDS.c.id == storable(record_id))
            row = connection.execute(wanted).mappings().first()
        return None if row is None else stored(row)

    def over_time(
        self, chosen: Filter = _ALL, *, width: timedelta, offset: timedelta = timedelta()
    ) -> list[Bucket]:
        """Return the counts of equal spans of time; see `figures.over_time`."""
        return figures.over_time(self._engine, chosen, width, offset)

    def by_category(self, chosen: Filter = _ALL) -> dict[Category | None, dict[Status, int]]:
        """Return the counts of each category by status; None stands for no category."""
        return figures.by_category(self._engine, chosen)

    def latency(self, chosen: Filter = _ALL) -> dict[Stage, Latency]:
        """Return how long decisions took, by stage."""
        return figures.latency(self._engine, chosen)

    def review(self, record_id: str, review: Review | None) -> Stored | None:
        """Note what a person says about a record; None takes it back.

        Returns:
            The record with it, or None if there is none of that id.

        Raises:
            GuardrailError: a pass is called a false alarm, or a block missed.
        """
        found = self.get(record_id)
        if found is None:
            return None
        if review is not None:
            reviews.check_review(found.record, review)
        reviews.set_review(self._engine, record_id, review)
        return self.get(record_id)

    def agreement(self, chosen: Filter = _ALL) -> Agreement:
        """Return how often people agreed with what was decided."""
        return reviews.agreement(self._engine, chosen)

    def export(self, chosen: Filter = _ALL) -> Iterator[str]:
        """Yield the reviewed replies as lines of JSON, as an evaluation reads them.

        Each has "user", "assistant", "unsafe" and "category"; records whose text was not kept
        make no line. The lines carry no line end.
        """
        after = None
        while True:
            page = self.page(chosen, limit=_EXPORTED_AT_ONCE, after=after)
            yield from reviews.rows(page.records)
            if (after := page.next) is None:
                return


def _page(some: list[Stored], limit: int) -> Page:
    """Return a page of records, of which there is one too many if others follow."""
    if len(some) <= limit:
        return Page(some, None)
    shown = some[:limit]
    return Page(shown, _name(shown[-1]) if shown else None)


def _name(one: Stored) -> str:
    return f"{ticks(one.record.time)}-{one.record.id}"


def _place(name: str) -> tuple[int, str]:
    time, _, record_id = name.partition("-")
    if not time.isdecimal() or len(time) > _MOST_DIGITS or not record_id:
        raise GuardrailError(f"{name!r:.80} is not where a page begins")
    return int(time), storable(record_id) or ""
