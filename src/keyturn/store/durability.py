"""Whether a commit survives what can happen to this database: a crash, and the loss of its primary (F13)."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import ProgrammingError

from keyturn.store.database import has_wal_fix

_ASK: Final = """
SELECT current_setting('fsync') = 'on' AS fsync,
  current_setting('synchronous_commit') AS commits,
  current_setting('synchronous_standby_names') AS names,
  (SELECT count(*) FROM pg_stat_replication AS sender
    WHERE coalesce(state, '') <> 'backup' AND coalesce(application_name, '') <> 'pg_basebackup'
    AND NOT EXISTS (
      SELECT FROM pg_replication_slots WHERE active_pid = sender.pid AND slot_type = 'logical'
    )) AS standbys,
  (SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'async'
    AND state <> 'backup' AND application_name <> 'pg_basebackup') AS asynchronous,
  (SELECT count(*) FROM pg_replication_slots
    WHERE slot_type = 'physical' AND active_pid IS NULL AND NOT temporary) AS away
"""
"""A role without `pg_monitor` sees that there are senders, and nothing of them: then all but logical ones count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Durability:
    """Whether a commit survives here, and if not, why."""

    strict: bool
    reason: str = ""
    notes: tuple[str, ...] = ()


def durability(engine: Engine) -> Durability:
    """F13, asked of the database itself."""
    return _of_sqlite() if engine.dialect.name == "sqlite" else _of_postgresql(engine)


def _of_sqlite() -> Durability:
    if has_wal_fix(sqlite3.sqlite_version_info):
        return Durability(strict=True)
    note = (
        f"SQLite {sqlite3.sqlite_version} lacks the WAL-reset fix, so the rollback journal is used;"
        " 3.51.3, 3.50.7 or 3.44.6 and later allow the faster WAL"
    )
    return Durability(strict=True, notes=(note,))


def _of_postgresql(engine: Engine) -> Durability:
    try:
        with engine.connect() as connection:
            seen = connection.exec_driver_sql(_ASK).one()
    except ProgrammingError:
        return Durability(strict=False, reason="this role may not see whether the database has standbys")
    if not seen.fsync:
        return Durability(strict=False, reason="PostgreSQL runs with fsync off")
    if not seen.names.strip():
        if seen.standbys or seen.away:
            reason = "PostgreSQL has standbys, and synchronous_standby_names is empty: a failover could lose a stop"
            return Durability(strict=False, reason=reason)
        return Durability(strict=True, notes=(f"synchronous_commit = {seen.commits}",))
    notes = [f"synchronous_commit = {seen.commits}, synchronous_standby_names = {seen.names}"]
    if seen.asynchronous:
        notes.append(f"{seen.asynchronous} standbys are asynchronous; never promote one of them")
    return Durability(strict=True, notes=tuple(notes))


class Durable:
    """What is known of it: somebody may add a standby at any time.  Safe to share between threads."""

    def __init__(self, ask: Callable[[], Durability]) -> None:
        self._ask = ask
        self.now = ask()
        """As it was seen last."""

    def look(self) -> bool:
        """Look again; whether it has changed.  Raises StoreUnavailable."""
        before, self.now = self.now, self._ask()
        return self.now != before
