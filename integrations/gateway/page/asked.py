"""Which records the page asks about, out of a query."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError

from guardrail.audit import Status
from guardrail.errors import GuardrailError
from guardrail.integrations.gateway.faults import Fault
from guardrail.integrations.records import Filter, Review
from guardrail.types import Category, Stage

__all__ = ["Chosen", "Listed", "Span", "answering"]


class Span(StrEnum):
    """How far back one looks."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    @property
    def width(self) -> timedelta:
        """Of one bar of a chart."""
        return _BARS[self][0]

    def begins(self, now: datetime, offset: timedelta) -> datetime:
        """Return when its first bar begins: a whole hour or day in the viewer's time zone."""
        width, bars = _BARS[self]
        into_bar = (now + offset - _MONDAY) % width
        return now - into_bar - width * (bars - 1)


_BARS = {
    Span.HOUR: (timedelta(minutes=2), 30),
    Span.DAY: (timedelta(hours=1), 24),
    Span.WEEK: (timedelta(hours=6), 28),
    Span.MONTH: (timedelta(days=1), 30),
}
_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


class Chosen(BaseModel):
    """The records that a query is about.

    Args:
        span: how far back.
        status: what was decided; any of these.
        category: of the refusal; any of these.
        review: what a person said; any of these.
        stage: which side of the exchange was judged.
        reviewed: whether a person said anything.
        text: stands in what was said.
        offset: minutes that the viewer's clock is before UTC.
    """

    model_config = ConfigDict(extra="forbid")

    span: Span = Span.DAY
    status: list[Status] = Field(default_factory=list, max_length=len(Status))
    category: list[Category] = Field(default_factory=list, max_length=len(Category))
    review: list[Review] = Field(default_factory=list, max_length=len(Review))
    stage: Stage | None = None
    reviewed: bool | None = None
    text: str = Field("", max_length=200)
    offset: int = Field(0, ge=-840, le=840)

    @property
    def zone(self) -> timedelta:
        """How far the viewer's clock is before UTC."""
        return timedelta(minutes=self.offset)

    def filter(self, now: datetime) -> Filter:
        """Return what the store is asked for."""
        return Filter(
            since=self.span.begins(now, self.zone),
            until=now + timedelta(minutes=1),
            statuses=self.status,
            stage=self.stage,
            categories=self.category,
            reviews=self.review,
            reviewed=self.reviewed,
            text=self.text,
        )


class Listed(Chosen):
    """A page of such records.

    Args:
        limit: how many at most.
        after: the `next` of the page before.
    """

    limit: int = Field(50, ge=1, le=200)
    after: str | None = Field(None, max_length=100)


@contextmanager
def answering() -> Iterator[None]:
    """Raise what the store has to say as a fault."""
    try:
        yield
    except GuardrailError as error:
        raise Fault(400, str(error), code="bad_request") from error
    except SQLAlchemyError as error:
        message = "the records' database does not answer"
        raise Fault(503, message, code="records_unavailable", retry=True) from error
