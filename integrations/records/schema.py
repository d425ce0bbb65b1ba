"""The table that audit records are kept in, and the way there and back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
    false,
)

from guardrail.audit import AuditRecord, Status
from guardrail.types import Action, Category, Stage, StreamFacts

__all__ = [
    "METADATA",
    "RECORDS",
    "Review",
    "Stored",
    "moment",
    "row_of",
    "storable",
    "stored",
    "ticks",
]

METADATA = MetaData()
RECORDS = Table(
    "guardrail_records",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("time", BigInteger, nullable=False),  # microseconds since 1970, UTC
    Column("status", String(16), nullable=False),
    Column("stage", String(8), nullable=False),
    Column("action", String(8), nullable=False),
    Column("score", Float),
    Column("category", String(8)),
    Column("categories", JSON, nullable=False),
    Column("classifier", Text),
    Column("error", Text),
    Column("seconds", Float, nullable=False),
    Column("user_text", Text),
    Column("reply_text", Text),
    Column("size", Integer, nullable=False),  # bytes of text, and what a row takes besides
    Column("review", String(16)),
    Column("reviewed", BigInteger),  # as `time`
    # What follows came later: older tables are given it when they are opened.
    Column("degraded", Boolean, nullable=False, server_default=false()),
    Column("checks", Integer),  # of a stream, as are the rest
    Column("held", Integer),
    Column("shown", Integer),
    Column("waited", Float),
    Index("guardrail_records_time", "time", "id"),
    Index("guardrail_records_review", "review"),
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ROW_BYTES = 400


class Review(StrEnum):
    """What a person says about a decision.

    RIGHT: it was as it should be. FALSE_ALARM: it was found unsafe, and is not. MISSED: it was
    let pass as safe, and is not.
    """

    RIGHT = "right"
    FALSE_ALARM = "false_alarm"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as the database holds it, with what a person said about it.

    Args:
        record: the decision.
        review: what a person said; None while nobody has.
        reviewed: when, in UTC.
    """

    record: AuditRecord
    review: Review | None = None
    reviewed: datetime | None = None


def ticks(time: datetime) -> int:
    """Return a moment as the table holds it; without a time zone it is taken to be UTC."""
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND


def moment(time: int) -> datetime:
    """Return a moment of the table, in UTC."""
    return _EPOCH + time * _MICROSECOND


def row_of(record: AuditRecord) -> dict[str, Any]:
    """Return a record's row."""
    texts = {
        "classifier": storable(record.classifier),
        "error": storable(record.error),
        "user_text": storable(record.user),
        "reply_text": storable(record.reply),
    }
    return (
        texts
        | _stream_columns(record.stream)
        | {
            "id": record.id,
            "time": ticks(record.time),
            "status": record.status.value,
            "stage": record.stage.value,
            "action": record.action.value,
            "score": record.score,
            "category": record.category.value if record.category else None,
            "categories": {category.value: score for category, score in record.categories.items()},
            "seconds": record.seconds,
            "degraded": record.degraded,
            "size": _ROW_BYTES + sum(len(text.encode()) for text in texts.values() if text),
        }
    )


def _stream_columns(facts: StreamFacts | None) -> dict[str, Any]:
    names = ("checks", "held", "shown", "waited")
    return {name: None if facts is None else getattr(facts, name) for name in names}


def _facts(row: RowMapping) -> StreamFacts | None:
    if row["checks"] is None:
        return None
    return StreamFacts(row["checks"], row["held"], row["shown"], row["waited"])


def stored(row: RowMapping) -> Stored:
    """Return the record of a row."""
    return Stored(
        AuditRecord(
            status=Status(row["status"]),
            stage=Stage(row["stage"]),
            action=Action(row["action"]),
            score=row["score"],
            category=Category(row["category"]) if row["category"] else None,
            categories={Category(name): score for name, score in row["categories"].items()},
            classifier=row["classifier"],
            error=row["error"],
            seconds=row["seconds"],
            user=row["user_text"],
            reply=row["reply_text"],
            id=row["id"],
            time=moment(row["time"]),
            degraded=row["degraded"],
            stream=_facts(row),
        ),
        Review(row["review"]) if row["review"] else None,
        moment(row["reviewed"]) if row["reviewed"] is not None else None,
    )


def storable(text: str | None) -> str | None:
    """Return the text as every database takes it: without NUL and lone surrogates."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
