"""Giving up on a database that keeps the line open and says nothing, as one behind a pooler can.

Only what takes a moment is given up: no long work is cut off, however long it takes.
"""

from typing import Any, Final

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, event

SECONDS: Final = 10.0
"""For so long an answer of a few rows is waited for: as long as for a lock, or for a peer that is gone."""
_LOOK_UP: Final = 0.1


class Line(psycopg.Connection[Any]):
    """A connection to PostgreSQL; where it is given up in the middle of an answer it is closed."""

    patience: float | None = None
    """For how many seconds each answer is waited for."""

    def wait(self, gen: PQGen[RV], interval: float = _LOOK_UP, timeout: float | None = None) -> RV:
        """As the driver does."""
        try:
            return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()  # nothing else can be asked before the rest of it is read
            raise


def open_lines(engine: Engine) -> None:
    """Have all of its connections be lines, without end to their patience whoever had them last."""

    @event.listens_for(engine, "do_connect")
    def open_line(_dialect: object, _record: object, args: Any, named: Any) -> Line:  # noqa: ANN401  # the driver's own
        return Line.connect(*args, **named)

    @event.listens_for(engine, "checkout")
    def lend(line: Line, _record: object, _proxy: object) -> None:
        line.patience = None


def impatient(connection: Connection) -> Connection:
    """The same, whose answers are not waited for for long, until it is given back."""
    line = connection.connection.driver_connection
    if isinstance(line, Line):
        line.patience = SECONDS
    return connection
