"""One serving process per database: held by a lock of the database itself where there is no folder to lock (F13).

Several nodes on one database come with leases; until then a second one is refused rather than wrong.
"""

from typing import Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

_LOCK_ID: Final = 0x6B657974  # "keyt"


class NotAlone(Exception):  # noqa: N818  # the world is in the way; not an error of ours
    """Another keyturn server serves from this database."""


class Alone:
    """PostgreSQL's session lock; on SQLite the lock on the data folder does the same, so this holds nothing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._holder: Connection | None = None

    def hold(self) -> None:
        """Take the lock, or make sure that it is still held.

        Raises NotAlone where another server has it, SQLAlchemyError where the database is away: then nothing is known
        and the next call asks again.
        """
        if self._engine.dialect.name != "postgresql":
            return
        if self._holder is not None:
            try:
                self._holder.exec_driver_sql("SELECT 1")
            except SQLAlchemyError:
                self.release()
            else:
                return
        holder = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if not holder.exec_driver_sql(f"SELECT pg_try_advisory_lock({_LOCK_ID})").scalar_one():
            holder.close()
            msg = "another keyturn server is using this database"
            raise NotAlone(msg)
        self._holder = holder

    def release(self) -> None:
        """Let go of it, by ending the session that holds it."""
        if self._holder is not None:
            self._holder.invalidate()
            self._holder.close()
            self._holder = None
