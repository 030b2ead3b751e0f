"""By which peppers a database was written: a server without one of them would call good keys unknown (R3).

What is stored of a pepper is a mark, by which it is known again and from which nothing can be worked out.
"""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection, Engine, select, update

from keyturn.core.secret import Pepper
from keyturn.store.begun import locked
from keyturn.store.tables import authority


class PeppersMissing(ValueError):  # noqa: N818  # says what is in the way
    """The data folder is not of this database."""


def agree(engine: Engine, load: Callable[[bool], Sequence[Pepper]]) -> Sequence[Pepper]:
    """The peppers of this server's data folder, each known to the database from now on.

    `load(True)` may make the first one: only where the database was never used, so that no two servers make one each.
    Raises PeppersMissing, whatever `load` raises, or SQLAlchemyError.
    """
    writing = engine.connect().execution_options(keyturn_writes=True)
    with writing as connection, connection.begin():
        # The row is held until the end: of servers that start at once, one makes the pepper and the others miss it.
        row = connection.execute(
            locked(select(authority.c.peppers, authority.c.deployment_account_id)),
        ).one()
        peppers = load(not row.peppers and not row.deployment_account_id)
        lacking = _missing(row.peppers, peppers)
        if lacking or not peppers:
            raise PeppersMissing(
                f"this data folder lacks a pepper that the database was written with{lacking and f' ({lacking})'}:"
                " copy the folder peppers/ from another server of this database, or from a backup; admin.key is not"
                " needed"
            )
        marks = {one.name: one.mark for one in peppers}
        if marks != row.peppers:
            connection.execute(update(authority).values(peppers=marks))
    return peppers


def missing(connection: Connection, peppers: Sequence[Pepper]) -> str:
    """The names of the peppers that are not here, or are others; empty where none is missing."""
    return _missing(connection.execute(select(authority.c.peppers)).scalar_one(), peppers)


def _missing(marks: Mapping[str, str], peppers: Sequence[Pepper]) -> str:
    here = {one.name: one.mark for one in peppers}
    return ", ".join(sorted(name for name, mark in marks.items() if here.get(name) != mark))
