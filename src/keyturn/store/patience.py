"""Giving up on a database that keeps the line open and says nothing, as one behind a pooler can.

Only what takes a moment is given up: no long work is cut off, however long it takes.
"""

from typing import Any, Final

from sqlalchemy import Connection

SECONDS: Final = 10.0
"""For so long an answer of a few rows is waited for: as long as for a lock, or for a peer that is gone."""


class GivenUp(Exception):  # noqa: N818  # says what is in the way
    """An answer that was not waited for any longer."""


def impatient(connection: Connection) -> Connection:
    """The same, whose answers are not waited for for long, until it is given back.  SQLite's come from a file."""
    line: Any = connection.connection.driver_connection
    if hasattr(line, "patience"):
        line.patience = SECONDS
    return connection
