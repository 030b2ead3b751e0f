"""The authority: transactions with retries, authority time, and the feed told after each commit.

`SqlStore.change` is the only way in which anything is written.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, literal_column, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from keyturn.core import own_secret
from keyturn.core.feed import FeedEntry
from keyturn.core.instant import Instant, from_micros, to_micros
from keyturn.core.lease import Scan
from keyturn.core.policy import Policy
from keyturn.core.secret import Pepper, at_rest
from keyturn.ports.store import StoreBusy, StoreUnavailable, StoreUnsure
from keyturn.store import fleet, outcome
from keyturn.store.begun import Seen
from keyturn.store.database import BUSY_SECONDS, is_conflict, is_outage
from keyturn.store.durability import Durability, durability
from keyturn.store.outcome import Trace, UnknownError
from keyturn.store.patience import GivenUp, impatient
from keyturn.store.presence import Presence
from keyturn.store.tables import authority
from keyturn.store.transaction import SqlTransaction
from keyturn.verify.memory import Fill

T = TypeVar("T")
_ATTEMPTS: Final = 8
_DATABASE_MICROS: Final[ColumnElement[int]] = literal_column(
    "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint"
).label("micros")


class SqlStore:
    """`ports.store.Store` on SQLAlchemy Core.

    `system_now` is the clock of this machine; it is the authority's time on SQLite only.  On PostgreSQL the database
    is asked (F8), unless `clock` stands in for either: a clock that a rehearsal can turn.  `follow` is called after
    each commit with its feed entries, before `change` returns.  By `presence` it is known to work with the database.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        peppers: Sequence[Pepper],
        presets: Mapping[str, Policy],
        system_now: Callable[[], Instant],
        clock: Callable[[], Instant] | None = None,
        presence: Presence | None = None,
        follow: Callable[[Sequence[FeedEntry]], None] = lambda _entries: None,
    ) -> None:
        self._engine = engine
        self._peppers = tuple(peppers)
        self._presets = presets
        self.follow = follow
        self._presence = presence or Presence(engine)
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._clock = system_now if clock is None and self._is_sqlite else clock
        # SQLite has one writer; waiting for it here is fairer and quicker than its busy handler.
        self._turn = threading.Lock() if self._is_sqlite else None

    def change(self, flow: Callable[[SqlTransaction], T]) -> T:
        """Run `flow` in one write transaction, whole again where it was undone; then let the cache follow."""
        answer, entries = _whole(lambda: self._attempt(flow))
        if entries:
            # What is committed stands, followed or not: who waits for it to be confirmed waits for this node as well.
            with suppress(StoreUnavailable):
                self.follow(entries)
        return answer

    def read(self, query: Callable[[SqlTransaction], T]) -> T:
        """Run `query` on one snapshot, whole again where that was lost."""
        return _whole(lambda: self._look(query))

    def glance(self, query: Callable[[SqlTransaction], T]) -> T:
        """The same of a few rows: where the database says nothing it is given up."""
        return _whole(lambda: self._look(query, briefly=True))

    def feed_after(self, rev: int, *, limit: int) -> Sequence[FeedEntry]:
        """Feed entries after `rev`, in order."""
        return self.glance(lambda tx: tx.feed_after(rev, limit=limit))

    def rev(self) -> int:
        """The newest committed revision."""
        return self.read(lambda tx: tx.rev)

    def scan(self, rev: int) -> Scan:
        """Every lease on record, and where the authority stands, also with regard to that revision (F5, F9)."""
        return _whole(lambda: self._scan(rev))

    def lookup(self, fingerprint: bytes) -> Fill:
        """What a verifier needs of the secret with this SHA-256, with the revision it was read at (F4)."""
        return self._find([at_rest(fingerprint, pepper) for pepper in self._peppers])

    def _find(self, digests: Sequence[bytes]) -> Fill:
        def query(tx: SqlTransaction) -> Fill:
            found = tx.find_secret(digests)
            state, version = found or (None, 0)
            return Fill(rev=tx.rev, state=state, version=version, time=to_micros(tx.now), epoch=tx.epoch)

        return self.glance(query)

    def lookup_own(self, stretched: bytes) -> Fill:
        """The same for a customer's own secret, stretched with the salt of its label (R42)."""
        return self._find([own_secret.at_rest(stretched, pepper) for pepper in self._peppers])

    def lookup_signer(self, key_id: str) -> Fill:
        """The same for a key whose requests are signed; its newest version stands for all (R42)."""

        def query(tx: SqlTransaction) -> Fill:
            state = tx.find_signer(key_id)
            version = state.secrets[-1].version if state else 0
            return Fill(rev=tx.rev, state=state, version=version, time=to_micros(tx.now), epoch=tx.epoch)

        return self.glance(query)

    def durability(self) -> Durability:
        """Whether commits are durable here (F13).  Raises StoreUnavailable."""
        with _told():
            return durability(self._engine)

    def serve(self) -> None:
        """Be known to work with this database, so its schema stays.  Raises StoreUnavailable."""
        with _told():
            self._presence.serve()

    def stay(self, first: Callable[[], object]) -> bool:
        """Be known again where the database has forgotten it: it was restarted, say; whether it is known now.

        `first` is done before: who starts next and finds somebody known need not look whether it was put back.
        Raises StoreUnavailable.
        """
        with _told():
            return self._presence.stay(first)

    @property
    def is_shared(self) -> bool:
        """Whether other processes may work on the same database; a SQLite file is one process's, by a lock (F13)."""
        return not self._is_sqlite

    @property
    def peppers(self) -> Sequence[Pepper]:
        """All of them, the newest first."""
        return self._peppers

    @property
    def newest_pepper(self) -> Pepper:
        """The one that new digests are made with."""
        return self._peppers[0]

    def close(self) -> None:
        """Give back every connection."""
        self._presence.release()
        self._engine.dispose()

    def _attempt(self, flow: Callable[[SqlTransaction], T]) -> tuple[T, list[FeedEntry]]:
        made: _Made[T] | None = None
        try:
            with self._my_turn(), self._engine.connect().execution_options(keyturn_writes=True) as connection:
                with connection.begin(), _before_commit():
                    tx = self._transaction(connection, writes=True)
                    made = _Made(flow(tx), tx.flush(), tx.trace)
                is_settled = not outcome.was_cut_short(connection)
        except DBAPIError as error:
            if made is None or not made.trace.mark or not error.connection_invalidated:
                raise
            is_settled = False
        if not is_settled and not self._stands(made.trace):
            raise _LostError
        return made.answer, made.entries

    def _stands(self, trace: Trace) -> bool:
        """Whether a transaction stands whose commit was not answered, or too early.  Raises StoreUnsure."""
        try:
            return outcome.stands(self._engine, trace)
        except (UnknownError, PoolTimeout) as error:
            raise StoreUnsure from error

    def _look(self, query: Callable[[SqlTransaction], T], *, briefly: bool = False) -> T:
        with self._snapshot(briefly=briefly) as connection, connection.begin(), _before_commit():
            return query(self._transaction(connection))

    def _scan(self, rev: int) -> Scan:
        looking = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        with looking as connection, _before_commit():
            return fleet.scan(impatient(connection), rev)

    def _my_turn(self) -> AbstractContextManager[object]:
        if self._turn is None:
            return nullcontext()
        return _Turn(self._turn)

    def _snapshot(self, *, briefly: bool) -> Connection:
        connection = impatient(self._engine.connect()) if briefly else self._engine.connect()
        if self._is_sqlite:
            return connection
        return connection.execution_options(isolation_level="REPEATABLE READ")

    def _transaction(self, connection: Connection, *, writes: bool = False) -> SqlTransaction:
        columns = select(authority.c.rev, authority.c.epoch, authority.c.high_water, authority.c.deployment_account_id)
        is_marked = writes and not self._is_sqlite
        if is_marked:
            columns = columns.add_columns(outcome.MARK)
        if self._clock is None:
            row = connection.execute(columns.add_columns(_DATABASE_MICROS)).one()
            clock = from_micros(row.micros)
        else:
            row = connection.execute(columns).one()
            clock = self._clock()
        seen = Seen(
            now=max(clock, row.high_water),
            rev=row.rev,
            epoch=row.epoch,
            deployment_account_id=row.deployment_account_id or "",
            presets=self._presets,
            mark=row.mark if is_marked else "",
        )
        return SqlTransaction(connection, seen)


@dataclass(frozen=True, slots=True)
class _Made(Generic[T]):
    """What a flow made, before its commit."""

    answer: T
    entries: list[FeedEntry]
    trace: Trace


@dataclass(frozen=True, slots=True)
class _Turn:
    """The writer's turn, waited for at most `BUSY_SECONDS`."""

    lock: threading.Lock

    def __enter__(self) -> None:
        if not self.lock.acquire(timeout=BUSY_SECONDS):
            raise StoreBusy

    def __exit__(self, *_: object) -> None:
        self.lock.release()


class _LostError(Exception):
    """The connection was lost, and nothing of the transaction stands: COMMIT was not asked for, or not carried out."""


@contextmanager
def _before_commit() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if error.connection_invalidated and not isinstance(error.orig, GivenUp):
            raise _LostError from error
        raise


def _whole(attempt: Callable[[], T]) -> T:
    """What the first attempt comes to that is not undone, by a conflict or by the loss of its connection.

    The latter once only: its process stood still (`IDLE_SECONDS`), or the database went down, and may be up again.
    What was waited for in vain is not asked again: a wait twice as long is no answer either.
    Raises StoreBusy or StoreUnavailable.
    """
    last: DBAPIError | None = None
    is_lost = False
    for _ in range(_ATTEMPTS):
        try:
            return attempt()
        except _LostError as error:
            if is_lost:
                raise StoreUnavailable(type(error).__name__) from error
            is_lost = True
        except DBAPIError as error:
            if not is_conflict(error):
                raise _broken_world(error) from error
            last = error
        except PoolTimeout as error:
            raise StoreBusy from error
    raise StoreBusy from last


@contextmanager
def _told() -> Iterator[None]:
    """What the driver and its pool raise, as the outage that it is.  Raises StoreBusy or StoreUnavailable."""
    try:
        yield
    except DBAPIError as error:
        raise _broken_world(error) from error
    except PoolTimeout as error:
        raise StoreBusy from error


def _broken_world(error: DBAPIError) -> Exception:
    """The outage behind a database error, or the error itself where it is a bug.  Never its parameters."""
    if is_outage(error):
        return StoreUnavailable(type(error.orig).__name__)
    return error
