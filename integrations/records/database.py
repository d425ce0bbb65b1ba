"""Opens the database, and says which of its errors pass by themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.schema import CreateColumn

from guardrail.errors import ConfigError, needing
from guardrail.integrations.records.schema import METADATA, RECORDS

__all__ = ["Unreachable", "create_tables", "open_engine", "translating"]

_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
}
_CONNECT_S = 10
_BUSY_S = 30  # how long SQLite waits for another process's write


class Unreachable(Exception):
    """The database cannot be written to now; later it may."""


def open_engine(url: str) -> Engine:
    """Return an engine on a database that has the table.

    Raises:
        ConfigError: the URL is none, or names a database that cannot be opened.
        MissingExtraError: its driver is not installed.
    """
    address = _address(url)
    shown = address.render_as_string(hide_password=True)
    with needing("records"):
        engine = _engine(address)
    try:
        create_tables(engine)
    except SQLAlchemyError as error:
        engine.dispose()
        raise ConfigError(
            f"cannot open the records' database {shown!r}: {_plain(error)}"
        ) from error
    return engine


def _engine(address: URL) -> Engine:
    if address.get_backend_name() == "postgresql":
        arguments = {"connect_timeout": _CONNECT_S}
        return create_engine(address, pool_pre_ping=True, connect_args=arguments)
    _create_privately(str(address.database))
    engine = create_engine(address)
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _create_privately(file: str) -> None:
    """Create the file for its owner alone: it may hold what people wrote."""
    with suppress(OSError):  # it is there, or cannot be: opening it will say so
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except ArgumentError:  # which may quote a password
        raise ConfigError(
            "the records' database is no URL such as 'sqlite:///records.db'"
        ) from None
    if address.drivername in _DRIVERS:
        address = address.set(drivername=_DRIVERS[address.drivername])
    try:
        kind = address.get_backend_name()
        address.get_dialect()
    except (NoSuchModuleError, ModuleNotFoundError):
        kind = address.drivername
    if kind not in ("sqlite", "postgresql"):
        raise ConfigError(f"records are kept in sqlite or postgresql, not in {kind!r}")
    if kind == "sqlite" and address.database in (None, "", ":memory:"):
        raise ConfigError("records need a file: 'sqlite:///records.db'")
    return address


def _prepare_sqlite(connection: Any, _: object) -> None:
    """Let readers and the writer, also of other processes, work beside each other."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", f"busy_timeout={_BUSY_S * 1000}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def create_tables(engine: Engine) -> None:
    """Create what is missing, columns of older tables too; other processes may do the same.

    Who comes second with one of these finds it there the next time, so that each is lost but once.
    """
    for _ in RECORDS.columns:
        with suppress(OperationalError, ProgrammingError, IntegrityError):
            return _create(engine)
    return _create(engine)


def _create(engine: Engine) -> None:
    METADATA.create_all(engine)
    with engine.begin() as connection:
        known = {column["name"] for column in inspect(connection).get_columns(RECORDS.name)}
        for column in RECORDS.columns:
            if column.name not in known:
                _add(connection, str(CreateColumn(column).compile(connection)))


def _add(connection: Connection, column: str) -> None:
    connection.execute(text(f"ALTER TABLE {RECORDS.name} ADD COLUMN {column}"))


@contextmanager
def translating() -> Iterator[None]:
    """Raise what passes by itself, such as a lost connection or a full disk, as `Unreachable`."""
    try:
        yield
    except (OperationalError, InterfaceError, InternalError, ProgrammingError) as error:
        raise Unreachable(_plain(error)) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unreachable(_plain(error)) from error
        raise
    except PoolTimeout as error:
        raise Unreachable("all connections are in use") from error


def _plain(error: SQLAlchemyError) -> str:
    """Return what the driver said, without the statement and its values."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return " ".join(str(cause).split())
