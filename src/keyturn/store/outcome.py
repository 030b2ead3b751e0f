"""What became of a commit whose answer did not come, or came before the standbys had it (F10, F13)."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, and_, exists, literal_column, select, text
from sqlalchemy.exc import DBAPIError

from keyturn.core.audit import AuditRecord
from keyturn.store.tables import audit

MARK: Final[ColumnElement[str]] = literal_column("CAST(pg_current_xact_id() AS text)").label("mark")
"""By which PostgreSQL knows a transaction afterwards; whoever asks for it is given one.

After a crash or a failover another may be given the same, where nothing of the first was kept.
"""
_FATE: Final = text("SELECT pg_xact_status(CAST(:mark AS xid8)) FROM pg_sleep(:seconds)")
_PAUSE_SECONDS: Final = 0.05
_LOOKS: Final = 100
_WRITTEN: Final = "SELECT pg_logical_emit_message(true, 'keyturn', '')"
_CUT_SHORT: Final = "keyturn_cut_short"
_WAITING_FOR_STANDBYS: Final = "SyncRepWaitForLSN"


class UnknownError(Exception):
    """Nobody can say now whether a transaction was committed."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What a transaction leaves behind if it is committed."""

    mark: str
    """Empty on SQLite, where a commit is answered or has failed."""
    record: AuditRecord | None
    """Its last audit record."""


def stands(engine: Engine, trace: Trace) -> bool:
    """Whether the transaction of that trace was committed; if so, the standbys have it as well.

    Raises UnknownError, also where one that left no record was committed under its mark: it may be another.  One that
    is still under way is waited for, five seconds at most.
    """
    seconds = 0.0
    try:
        for _ in range(_LOOKS):
            with engine.connect() as connection:
                with connection.begin():
                    fate = connection.execute(_FATE, {"mark": trace.mark, "seconds": seconds}).scalar_one()
                    if fate == "committed":
                        _find(connection, trace.record)
                        wait_for_standbys(connection)
                if fate == "aborted":
                    return False
                if fate == "committed" and not was_cut_short(connection):
                    return True
            seconds = _PAUSE_SECONDS
    except DBAPIError as error:
        raise UnknownError from error
    raise UnknownError


def _find(connection: Connection, record: AuditRecord | None) -> None:
    if record is None:
        raise UnknownError
    c = audit.c
    this = and_(c.subject_id == record.subject_id, c.at == record.at, c.actor_id == record.actor_id)
    this = and_(this, c.action == record.action, c.outcome == record.outcome)
    if not connection.execute(select(exists().where(this))).scalar_one():
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
