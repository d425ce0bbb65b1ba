"""What people say about decisions, and the rows that an evaluation reads from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, func, select, update

from guardrail.audit import AuditRecord, Status, json_line
from guardrail.errors import GuardrailError
from guardrail.integrations.records.filters import Filter
from guardrail.integrations.records.schema import RECORDS, Review, Stored, ticks

__all__ = ["Agreement", "agreement", "check_review", "rows", "set_review"]

_FOUND_UNSAFE = (Status.BLOCKED, Status.FLAGGED, Status.ERROR_BLOCKED)
_HASH = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often people agreed with what was decided.

    Args:
        right: decisions that were as they should be.
        false_alarm: safe texts found unsafe.
        missed: unsafe texts let pass.
    """

    right: int = 0
    false_alarm: int = 0
    missed: int = 0

    @property
    def total(self) -> int:
        """Decisions that a person looked at."""
        return self.right + self.false_alarm + self.missed

    @property
    def share(self) -> float | None:
        """The right ones among them, 0 to 1; None where there are none."""
        return self.right / self.total if self.total else None


def check_review(record: AuditRecord, review: Review) -> None:
    """Refuse what cannot be said of a decision.

    Raises:
        GuardrailError: a pass is called a false alarm, or a block missed.
    """
    found_unsafe = record.status in _FOUND_UNSAFE
    if review is Review.FALSE_ALARM and not found_unsafe:
        raise GuardrailError(f"record {record.id!r} was let pass, which is no false alarm")
    if review is Review.MISSED and found_unsafe:
        raise GuardrailError(f"record {record.id!r} was found unsafe, so it was not missed")


def set_review(engine: Engine, record_id: str, review: Review | None) -> None:
    """Note what a person says about a record; None takes it back."""
    now = None if review is None else ticks(datetime.now(UTC))
    said = None if review is None else review.value
    change = update(RECORDS).where(RECORDS.c.id == record_id).values(review=said, reviewed=now)
    with engine.begin() as connection:
        connection.execute(change)


def agreement(engine: Engine, chosen: Filter) -> Agreement:
    """Return how often people agreed."""
    counted = select(RECORDS.c.review, func.count()).where(*chosen.clauses())
    with engine.connect() as connection:
        found = connection.execute(counted.group_by(RECORDS.c.review)).all()
    return Agreement(**{name: count for name, count in found if name})


def rows(records: Iterable[Stored]) -> Iterator[str]:
    """Yield the reviewed replies among records as lines of JSON, as an evaluation reads them.

    Records without text, or with its hash alone, and questions without a reply make no row.
    """
    for one in records:
        reply = one.record.reply
        if one.review is not None and reply is not None and not _HASH.fullmatch(reply):
            yield json_line(_row(one.record, one.review))


def _row(record: AuditRecord, review: Review) -> dict[str, object]:
    found_unsafe = record.status in _FOUND_UNSAFE
    unsafe = found_unsafe if review is Review.RIGHT else review is Review.MISSED
    return {
        "user": record.user or "",
        "assistant": record.reply,
        "unsafe": unsafe,
        "category": record.category if unsafe else None,
        "review": review,
        "score": record.score,
        "id": record.id,
        "time": record.time.isoformat(),
    }
