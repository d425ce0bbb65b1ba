"""Keeps audit records in a database: SQLite or PostgreSQL, through SQLAlchemy.

>>> from guardrail import Guard
>>> from guardrail.integrations.records import RecordStore
>>> with RecordStore("sqlite:///records.db") as store:  # doctest: +SKIP
...     guard = Guard(hooks=[store], record_text="text")
...     guard.check(user="환불은 며칠 걸려요?", assistant="영업일 기준 3일 정도 걸려요.")
...     store.flush()
...     store.records.page()
"""

from __future__ import annotations

from guardrail.errors import needing

with needing("records"):
    import sqlalchemy  # noqa: F401

from guardrail.integrations.records.figures import Bucket, Latency
from guardrail.integrations.records.filters import Filter
from guardrail.integrations.records.queries import Page, Records
from guardrail.integrations.records.reviews import Agreement
from guardrail.integrations.records.schema import Review, Stored
from guardrail.integrations.records.store import RecordsConfig, RecordStore
from guardrail.integrations.records.writer import Counts

__all__ = [
    "Agreement",
    "Bucket",
    "Counts",
    "Filter",
    "Latency",
    "Page",
    "RecordStore",
    "Records",
    "RecordsConfig",
    "Review",
    "Stored",
]
