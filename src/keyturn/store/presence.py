"""Who is at work on a PostgreSQL database: any number of servers, or one who changes its schema.

On SQLite the lock on the data folder does the same, so this holds nothing.  Nothing that a verifier decides depends on
it: that is what leases are for.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

_LOCK_ID: Final = 0x6B657974  # "keyt"
_HELD: Final = text(
    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = :lock AND objsubid = 1 AND granted"
    " AND pid = pg_backend_pid())"
)
_WHO: Final = "SELECT pg_backend_pid()"
_SESSIONS: Final = 3
_OTHERS: Final = text(
    "SELECT coalesce(host(client_addr), 'this machine') AS place, backend_start::timestamp(0)::text AS since"
    " FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE locktype = 'advisory' AND objid = :lock AND objsubid = 1 AND granted AND pid <> pg_backend_pid()"
    " AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " ORDER BY backend_start LIMIT 5"
)


class NotAlone(Exception):  # noqa: N818  # the world is in the way; not an error of ours
    """A keyturn server works with this database."""


class SessionsShared(ValueError):  # noqa: N818  # says what is in the way
    """A pooler gives each transaction another session, so that locks and settings of a session are nobody's."""


def check_sessions(engine: Engine) -> None:
    """Raise SessionsShared where several are one to PostgreSQL, or one is several; or SQLAlchemyError.

    Whether commits are durable and who works with the database hangs on them (F13).
    """
    if engine.dialect.name != "postgresql":
        return
    each = engine.execution_options(isolation_level="AUTOCOMMIT")
    with ExitStack() as opened:
        sessions = [opened.enter_context(each.connect()) for _ in range(_SESSIONS)]
        first = [one.exec_driver_sql(_WHO).scalar_one() for one in sessions]
        again = [one.exec_driver_sql(_WHO).scalar_one() for one in reversed(sessions)]  # they may be handed out in turn
    if first != again[::-1] or len(set(first)) < _SESSIONS:
        msg = "the database is behind a pooler that shares sessions; have it pool by session, or connect past it"
        raise SessionsShared(msg)


class Presence:
    """PostgreSQL's session locks; they end with the session, whatever becomes of the process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._holder: Connection | None = None
        self._serves = False

    def serve(self) -> None:
        """Work with it beside others; waits for whoever is changing its schema.  Raises SQLAlchemyError."""
        if self._holder is None:
            self._take("SELECT pg_advisory_lock_shared(%d)", patiently=True)
        else:
            # Alone until now, and in between never without.
            for function in ("pg_advisory_lock_shared", "pg_advisory_unlock"):
                self._holder.exec_driver_sql(f"SELECT {function}({_LOCK_ID})")
        self._serves = True

    def others(self) -> str:
        """Who else works with it, for people; empty where nobody does.  Raises SQLAlchemyError."""
        if self._holder is None:
            return ""
        found = self._holder.execute(_OTHERS, {"lock": _LOCK_ID})
        return ", ".join(f"{one.place} since {one.since} UTC" for one in found)

    def stay(self, first: Callable[[], object]) -> bool:
        """Take it again if its session is gone, or at a later look, while somebody changes the schema; whether it has.

        `first` is done before that.  Raises SQLAlchemyError, or what `first` raises.
        """
        if not self._serves or self._engine.dialect.name != "postgresql" or self._is_held():
            return self._serves
        self.release()
        first()
        return self._take("SELECT pg_try_advisory_lock_shared(%d)")

    def alone(self) -> None:
        """Work with it while no server does.  Raises NotAlone, or SQLAlchemyError."""
        if not self.is_alone():
            msg = "a keyturn server is using this database"
            raise NotAlone(msg)

    def is_alone(self) -> bool:
        """Be alone with it, where no server works with it.  Raises SQLAlchemyError."""
        return self._take("SELECT pg_try_advisory_lock(%d)")

    def release(self) -> None:
        """Let go of it, by ending the session that holds it."""
        if self._holder is not None:
            self._holder.invalidate()
            self._holder.close()
            self._holder = None

    def _is_held(self) -> bool:
        try:
            return self._holder is not None and self._holder.execute(_HELD, {"lock": _LOCK_ID}).scalar_one()
        except DBAPIError:
            return False

    def _take(self, statement: str, *, patiently: bool = False) -> bool:
        if self._engine.dialect.name != "postgresql":
            return True
        holder = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if patiently:
            # Whoever is alone with it is known to be at work, and may be so for long.
            holder.exec_driver_sql("SET lock_timeout = 0")
        if holder.exec_driver_sql(statement % _LOCK_ID).scalar_one() is False:
            holder.close()
            return False
        self._holder = holder
        return True
