"""Who is at work on a PostgreSQL database: any number of servers, or one who changes its schema.

On SQLite the lock on the data folder does the same, so this holds nothing.  Nothing that a verifier decides depends on
it: that is what leases are for.
"""

from typing import Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

_LOCK_ID: Final = 0x6B657974  # "keyt"


class NotAlone(Exception):  # noqa: N818  # the world is in the way; not an error of ours
    """A keyturn server works with this database."""


class Presence:
    """PostgreSQL's session locks; they end with the session, whatever becomes of the process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._holder: Connection | None = None
        self._serves = False

    def serve(self) -> None:
        """Work with it beside others; waits for whoever is changing its schema.  Raises SQLAlchemyError."""
        self._take("SELECT pg_advisory_lock_shared(%d)")
        self._serves = True

    def stay(self) -> None:
        """Take it again if its session is gone, or at a later look, while somebody changes the schema.

        Raises SQLAlchemyError.
        """
        if self._serves and not self._is_held():
            self.release()
            self._take("SELECT pg_try_advisory_lock_shared(%d)")

    def alone(self) -> None:
        """Work with it while no server does.  Raises NotAlone, or SQLAlchemyError."""
        if not self._take("SELECT pg_try_advisory_lock(%d)"):
            msg = "a keyturn server is using this database"
            raise NotAlone(msg)

    def release(self) -> None:
        """Let go of it, by ending the session that holds it."""
        if self._holder is not None:
            self._holder.invalidate()
            self._holder.close()
            self._holder = None

    def _is_held(self) -> bool:
        try:
            return self._holder is not None and self._holder.exec_driver_sql("SELECT true").scalar_one()
        except DBAPIError:
            return False

    def _take(self, statement: str) -> bool:
        if self._engine.dialect.name != "postgresql":
            return True
        holder = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if holder.exec_driver_sql(statement % _LOCK_ID).scalar_one() is False:
            holder.close()
            return False
        self._holder = holder
        return True
