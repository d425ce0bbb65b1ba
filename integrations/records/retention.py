"""Deletes what is too old, and the oldest of what is too much."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, delete, func, select

from guardrail.integrations.records.schema import RECORDS, ticks

__all__ = ["prune"]


def prune(engine: Engine, *, keep: timedelta | None, keep_bytes: int | None) -> int:
    """Delete records over an age, then the oldest over a size; return how many.

    Args:
        engine: the database.
        keep: how long records are kept; None for ever.
        keep_bytes: how much room the records may take; None for no limit.
    """
    cuts = []
    if keep is not None:
        cuts.append(ticks(datetime.now(UTC) - keep))
    deleted = sum(_delete_before(engine, cut) for cut in cuts)
    if keep_bytes is not None and (cut := _first_too_many(engine, keep_bytes)) is not None:
        deleted += _delete_before(engine, cut + 1)
    return deleted


def _delete_before(engine: Engine, cut: int) -> int:
    with engine.begin() as connection:
        return connection.execute(delete(RECORDS).where(RECORDS.c.time < cut)).rowcount


def _first_too_many(engine: Engine, keep_bytes: int) -> int | None:
    """Return the time of the newest record for which there is no room."""
    newest_first = RECORDS.c.time.desc(), RECORDS.c.id.desc()
    total = func.sum(RECORDS.c.size).over(order_by=newest_first).label("total")
    running = select(RECORDS.c.time, total).subquery()
    over = select(func.max(running.c.time)).where(running.c.total > keep_bytes)
    with engine.connect() as connection:
        found: int | None = connection.execute(over).scalar()
        return found
