"""The hook that keeps audit records in a database."""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from guardrail.audit import AuditRecord
from guardrail.integrations.records.database import (
    Unreachable,
    create_tables,
    open_engine,
    translating,
)
from guardrail.integrations.records.queries import Records
from guardrail.integrations.records.retention import prune
from guardrail.integrations.records.schema import RECORDS, row_of
from guardrail.integrations.records.writer import Counts, Writer, weakly

__all__ = ["RecordStore", "RecordsConfig"]

_TIDY_EVERY_S = 600.0
_CLOSE_S = 10.0


class RecordStore:
    """A hook that keeps records in SQLite or PostgreSQL, and never makes a request wait.

    Records are written by one thread, some milliseconds after they came. `close` writes what is
    left; so does the end of the program. See `counts` for what could not be kept.

    Args:
        url: the database: `sqlite:///records.db`, `postgresql://user@host/name`.
        keep: how long records are kept; None for ever.
        keep_bytes: room that the records may take; the oldest make way. None for no limit.
        queue: records that wait at most, while the database is away or slow; what comes when so
            many wait is dropped, and counted.

    Raises:
        ConfigError: the URL is none, or names a database that cannot be opened.
        MissingExtraError: the database's driver is not installed.
    """

    def __init__(
        self,
        url: str = "sqlite:///guardrail-records.db",
        *,
        keep: timedelta | None = timedelta(days=90),
        keep_bytes: int | None = 2**30,
        queue: int = 10_000,
    ) -> None:
        self._engine = open_engine(url)
        self._keep = keep
        self._keep_bytes = keep_bytes
        self._writer = Writer(self._write, self.tidy, limit=queue, tidy_every_s=_TIDY_EVERY_S)
        self.records = Records(self._engine)
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):  # a child must not use its parent's connections
            os.register_at_fork(after_in_child=weakly(self._forget_connections))
        self._writer.start()

    def __call__(self, record: AuditRecord, /) -> None:
        """Have one record kept."""
        self._writer.put(record)

    @property
    def counts(self) -> Counts:
        """How many records were written, wait, were dropped, or failed."""
        return self._writer.counts

    def flush(self, seconds: float = _CLOSE_S) -> bool:
        """Wait until what came so far is in the database; return whether it is in time."""
        return self._writer.flush(seconds)

    def tidy(self) -> None:
        """Delete what is kept no longer; done by itself every ten minutes."""
        prune(self._engine, keep=self._keep, keep_bytes=self._keep_bytes)

    def close(self, seconds: float = _CLOSE_S) -> None:
        """Write what waits, for at most so many seconds, and close the database."""
        atexit.unregister(self.close)
        self._writer.close(seconds)
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _forget_connections(self) -> None:
        self._inherited = self._engine.pool  # closing them would end the parent's
        self._engine.dispose(close=False)

    def _write(self, batch: Sequence[AuditRecord]) -> None:
        rows = [row_of(record) for record in batch]
        try:
            with translating(), self._engine.begin() as connection:
                connection.execute(insert(RECORDS), rows)
        except Unreachable:
            with translating():  # its tables may have gone, or its file
                create_tables(self._engine)
            raise
        except IntegrityError:
            if len(batch) > 1 or self.records.get(batch[0].id) is None:
                raise
            # Already there: the connection was lost after it had been written.


def _off_by_false(value: object) -> object:
    return None if value is False else value


class RecordsConfig(BaseModel):
    """Where records are kept, and how long.

    Args:
        url: the database: `sqlite:///records.db`, `postgresql://user@host/name`.
        keep_days: how long; None (in a file, false) for ever.
        keep_mib: room they may take, in MiB; None (in a file, false) for no limit.
        queue: records that wait at most before they are dropped.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = "sqlite:///guardrail-records.db"
    keep_days: Annotated[Annotated[float, Field(gt=0.0)] | None, BeforeValidator(_off_by_false)] = (
        90.0
    )
    keep_mib: Annotated[Annotated[float, Field(gt=0.0)] | None, BeforeValidator(_off_by_false)] = (
        1024.0
    )
    queue: Annotated[int, Field(ge=1)] = 10_000

    def open(self) -> RecordStore:
        """Return the store.

        Raises:
            ConfigError: the database cannot be opened.
        """
        return RecordStore(
            self.url,
            keep=None if self.keep_days is None else timedelta(days=self.keep_days),
            keep_bytes=None if self.keep_mib is None else int(self.keep_mib * 2**20),
            queue=self.queue,
        )
