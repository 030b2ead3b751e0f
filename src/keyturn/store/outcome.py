"""What became of a commit whose answer did not come, or came before the standbys had it (F10, F13)."""

from collections.abc import MutableMapping
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, literal_column, text
from sqlalchemy.exc import DBAPIError

MARK: Final[ColumnElement[str]] = literal_column("CAST(pg_current_xact_id() AS text)").label("mark")
"""By which PostgreSQL knows a transaction afterwards, also after a failover; whoever asks for it is given one."""
_FATE: Final = text("SELECT pg_xact_status(CAST(:mark AS xid8)) FROM pg_sleep(:seconds)")
_PAUSE_SECONDS: Final = 0.05
_LOOKS: Final = 100
_WRITTEN: Final = "SELECT pg_logical_emit_message(true, 'keyturn', '')"
_CUT_SHORT: Final = "keyturn_cut_short"
_WAITING_FOR_STANDBYS: Final = "SyncRepWaitForLSN"


class UnknownError(Exception):
    """Nobody can say now whether a transaction was committed."""


def stands(engine: Engine, mark: str) -> bool:
    """Whether the transaction of that mark was committed; if so, the standbys have it as well.

    Raises UnknownError.  One that is still under way is waited for, five seconds at most.
    """
    seconds = 0.0
    try:
        for _ in range(_LOOKS):
            with engine.connect() as connection:
                with connection.begin():
                    fate = connection.execute(_FATE, {"mark": mark, "seconds": seconds}).scalar_one()
                    if fate == "committed":
                        wait_for_standbys(connection)
                if fate == "aborted":
                    return False
                if fate == "committed" and not was_cut_short(connection):
                    return True
            seconds = _PAUSE_SECONDS
    except DBAPIError as error:
        raise UnknownError from error
    raise UnknownError


def wait_for_standbys(connection: Connection) -> None:
    """Have the commit of this transaction wait as a change does, though it only saw what others have committed.

    What was committed can be seen although no standby has it: where somebody ended the session that waited for them.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_WRITTEN)


def note_cuts(driver: Any, info: MutableMapping[str, Any]) -> None:  # noqa: ANN401  # a DBAPI connection
    """Note in `info` when a commit's wait for standbys is ended (a cancel, a timeout): PostgreSQL only warns of it."""

    def hear(told: Any) -> None:  # noqa: ANN401  # the driver's diagnostic
        if told.source_function == _WAITING_FOR_STANDBYS:
            info[_CUT_SHORT] = True

    driver.add_notice_handler(hear)


def was_cut_short(connection: Connection) -> bool:
    """Whether the last commit here may be on no standby yet, though it returned."""
    info: MutableMapping[str, Any] = connection.info
    return bool(info.pop(_CUT_SHORT, False))
