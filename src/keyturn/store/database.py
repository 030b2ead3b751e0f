"""Connecting to SQLite and PostgreSQL so that a commit is durable and a failure is told from a bug (F13)."""

import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, InternalError, OperationalError
from sqlalchemy.pool import QueuePool

from keyturn.store import outcome
from keyturn.store.address import is_postgresql, libpq_options, sqlite_address

GET_DRIVER: Final = "pip install 'keyturn[postgres]'"
WAL_RESET_FIXED: Final = ((3, 51, 3), (3, 50, 7), (3, 44, 6))
"""SQLite versions that have the fix of the WAL-reset fault; later ones of the same minor line, and any after 3.51.3."""

BUSY_SECONDS: Final = 10
IDLE_SECONDS: Final = 5
"""How long a transaction may wait for its client: one that was stopped or cut off must not keep its locks for ever.

As long as a lease.  It counts only while no statement runs, so none is cut off, however long it takes.
"""
LIBPQ: Final[Mapping[str, Any]] = {
    "connect_timeout": 3,  # for each host
    # A connection that was cut off without a word is found out after some ten seconds, waited on or written to.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""How every connection to PostgreSQL is opened, as libpq takes it."""
_STANDBY: Final = "server is in hot standby mode"
"""As libpq says it where it looks for a primary."""
_SESSION: Final = f"""
SET lock_timeout = '{BUSY_SECONDS}s';
SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s';
SET tcp_keepalives_idle = 5;
SET tcp_keepalives_interval = 2;
SET tcp_keepalives_count = 3;
SET tcp_user_timeout = 10000;
SET TIME ZONE 'UTC'
"""
"""The same bounds from the server's side: what a client that is gone held is free again (and nothing on a socket)."""
_POOL: Final = 10
_OVERFLOW: Final = 40
_LOCK_TIMEOUT: Final = "55P03"
_RETRYABLE: Final = frozenset({"40001", "40P01", _LOCK_TIMEOUT})
_READ_ONLY: Final = frozenset({"25006"})


def has_wal_fix(version: tuple[int, int, int]) -> bool:
    """Whether this SQLite may use WAL safely."""
    if version >= WAL_RESET_FIXED[0]:
        return True
    return any(version[:2] == fixed[:2] and version >= fixed for fixed in WAL_RESET_FIXED)


class DriverMissing(ValueError):  # noqa: N818  # says what is in the way
    """What speaks with PostgreSQL is not installed: it is an extra."""


def connect(url: str) -> Engine:
    """An engine for `sqlite:///path` or `postgresql://…`.  Raises ValueError for any other address."""
    return _connect_postgresql(url) if is_postgresql(url) else _connect_sqlite(sqlite_address(url))


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite database; None for any other.  Raises ValueError."""
    name = "" if is_postgresql(url) else sqlite_address(url).database or ""
    if name in ("", ":memory:"):
        return None
    return Path(name.removeprefix("file:").partition("?")[0] if name.startswith("file:") else name)


def _connect_sqlite(url: URL) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=_POOL,
        max_overflow=_OVERFLOW,
        hide_parameters=True,
        connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:  # noqa: ANN401  # a DBAPI connection
        journal = "WAL" if has_wal_fix(sqlite3.sqlite_version_info) else "DELETE"
        connection.execute(f"PRAGMA journal_mode={journal}")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:  # noqa: ANN401  # as above
        writes = connection.get_execution_options().get("keyturn_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _connect_postgresql(url: str) -> Engine:
    try:
        from keyturn.store.line import OnStandby, open_lines

        options = libpq_options(url)
    except ImportError:
        msg = f"PostgreSQL needs its driver: {GET_DRIVER}"
        raise DriverMissing(msg) from None
    engine = create_engine(
        "postgresql+psycopg://",
        pool_size=_POOL,
        max_overflow=_OVERFLOW,
        hide_parameters=True,
        pool_timeout=BUSY_SECONDS,
        connect_args={**options, **LIBPQ, "application_name": "keyturn"},
    )
    open_lines(engine)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:  # noqa: ANN401  # a DBAPI connection, and what the pool has of it
        outcome.note_cuts(connection, record.info)
        with connection.cursor() as cursor:
            # It lags behind who has a lease, and what has stopped (F2, F5).  Asked here: a pooler answers libpq, which
            # looks for the primary of several hosts, as of when it began.
            if cursor.execute("SELECT pg_is_in_recovery()").fetchone()[0]:
                connection.close()
                raise OnStandby(_STANDBY)
            # A commit that returns is on disk, whatever the server's default (F13).  Stronger settings stay.
            cursor.execute(
                "SELECT set_config('synchronous_commit', 'on', false)"
                " WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')"
            )
            cursor.execute(_SESSION)
        connection.commit()

    return engine


def reason_of(error: Exception) -> str:
    """Why a database cannot be opened, without the driver's own text: that may hold the address with its password."""
    cause = getattr(error, "orig", None) or error
    if _STANDBY in str(cause):
        return "only a standby answers, and keyturn works with the primary"
    return type(cause).__name__


def is_conflict(error: DBAPIError) -> bool:
    """Whether running the whole flow again may help: two transactions met."""
    if isinstance(error, IntegrityError):
        return True
    return getattr(error.orig, "sqlstate", None) in _RETRYABLE or _is_locked(error)


def is_lock_timeout(error: DBAPIError) -> bool:
    """Whether somebody else held a row of PostgreSQL's for longer than it may be waited for."""
    return getattr(error.orig, "sqlstate", None) == _LOCK_TIMEOUT


def _is_locked(error: DBAPIError) -> bool:
    return isinstance(error.orig, sqlite3.OperationalError) and bool(re.search(r"\b(?:locked|busy)\b", str(error.orig)))


def is_outage(error: DBAPIError) -> bool:
    """Whether the database is away, full or read-only, rather than the statement wrong."""
    if error.connection_invalidated or isinstance(error, OperationalError | InterfaceError):
        return True
    return isinstance(error, InternalError) and getattr(error.orig, "sqlstate", None) in _READ_ONLY
