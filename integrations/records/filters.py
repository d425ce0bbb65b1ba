"""Which records a question is about."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, or_

from guardrail.audit import Status
from guardrail.integrations.records.schema import RECORDS, Review, storable, ticks
from guardrail.types import Category, Stage

__all__ = ["Filter"]


@dataclass(frozen=True, slots=True)
class Filter:
    """The records that fit all that is said; what is left out says nothing.

    Args:
        since: decided then or later.
        until: decided before.
        statuses: what was decided.
        stage: which side of the exchange was judged.
        categories: the category of the refusal.
        reviews: what a person said.
        reviewed: whether a person said anything.
        text: stands in the user's words or the reply, whatever its case.
    """

    since: datetime | None = None
    until: datetime | None = None
    statuses: Collection[Status] = ()
    stage: Stage | None = None
    categories: Collection[Category] = ()
    reviews: Collection[Review] = ()
    reviewed: bool | None = None
    text: str = ""

    def clauses(self) -> list[ColumnElement[bool]]:
        """Return the conditions of a `where`."""
        column = RECORDS.c
        clauses = [
            self.since and column.time >= ticks(self.since),
            self.until and column.time < ticks(self.until),
            self.statuses and column.status.in_([one.value for one in self.statuses]),
            self.stage and column.stage == self.stage.value,
            self.categories and column.category.in_([one.value for one in self.categories]),
            self.reviews and column.review.in_([one.value for one in self.reviews]),
            self._reviewed(),
            self.text and self._contains(self.text),
        ]
        return [clause for clause in clauses if isinstance(clause, ColumnElement)]

    def _reviewed(self) -> ColumnElement[bool] | None:
        if self.reviewed is None:
            return None
        return RECORDS.c.review.is_not(None) if self.reviewed else RECORDS.c.review.is_(None)

    def _contains(self, text: str) -> ColumnElement[bool]:
        columns = (RECORDS.c.user_text, RECORDS.c.reply_text)
        return or_(*(column.icontains(storable(text), autoescape=True) for column in columns))
