"""A connection to PostgreSQL that can be given up.  The driver is imported with it, so only where it is needed."""

from typing import Any, Final

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, event

from keyturn.store import patience

_LOOK_UP: Final = 0.1


class GivenUp(patience.GivenUp, psycopg.OperationalError):
    """The same, as the driver says it."""


class OnStandby(psycopg.OperationalError):
    """The session is on a server that follows another one."""


class Line(psycopg.Connection[Any]):
    """A connection to PostgreSQL; where it is given up in the middle of an answer it is closed."""

    patience: float | None = None
    """For how many seconds each answer is waited for."""

    def wait(self, gen: PQGen[RV], interval: float = _LOOK_UP, timeout: float | None = None) -> RV:
        """As the driver does."""
        try:
            return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()  # nothing else can be asked before the rest of it is read
                raise GivenUp from error
            raise


def open_lines(engine: Engine) -> None:
    """Have all of its connections be lines, without end to their patience whoever had them last.

    A new one is prepared for whoever waits for it: behind a pooler its login may be all that is answered.
    """

    @event.listens_for(engine, "do_connect")
    def open_line(_dialect: object, _record: object, args: Any, named: Any) -> Line:  # noqa: ANN401  # the driver's own
        line = Line.connect(*args, **named)
        line.patience = patience.SECONDS
        return line

    @event.listens_for(engine, "checkout")
    def lend(line: Line, _record: object, _proxy: object) -> None:
        line.patience = None
