"""One transaction: whole questions and whole answers, in SQLAlchemy Core, for SQLite and PostgreSQL alike.

Each noun has its file; here they are one, and what was put off is written before the commit.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import and_, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import DBAPIError

from keyturn.core import feed as feeds
from keyturn.core.feed import FeedEntry, KeyState, Predicate
from keyturn.core.instant import Instant
from keyturn.core.key import state_for_verifiers
from keyturn.store.addresses import Addresses
from keyturn.store.authenticators import Authenticators
from keyturn.store.callers import Callers
from keyturn.store.counters import Counters
from keyturn.store.evidence import Evidence
from keyturn.store.fleet import Fleet
from keyturn.store.holds import Holds
from keyturn.store.invitations import Invitations
from keyturn.store.keys import Keys
from keyturn.store.limits import Limits
from keyturn.store.links import Links
from keyturn.store.notices import Notices
from keyturn.store.oidc import Oidc
from keyturn.store.people import People
from keyturn.store.policies import Policies
from keyturn.store.portals import Portals
from keyturn.store.resets import Resets
from keyturn.store.sessions import Sessions
from keyturn.store.tables import Moment, authority, feed
from keyturn.store.uses import Uses
from keyturn.store.webhooks import Webhooks

_RAISE_HIGH_WATER = (
    update(authority)
    .where(authority.c.high_water < bindparam("now", type_=Moment))
    .values(high_water=bindparam("now", type_=Moment))
)
CHANNEL: Final = "keyturn"
"""Where nodes on one PostgreSQL database hear of one another."""
_INSERT_FEED = insert(feed).inline()


def _feed_row(entry: FeedEntry) -> dict[str, Any]:
    return {"rev": entry.rev, "at": entry.at, "change": feeds.to_json(entry.change)}


class SqlTransaction(
    Addresses,
    Keys,
    Resets,
    People,
    Sessions,
    Counters,
    Invitations,
    Oidc,
    Authenticators,
    Policies,
    Evidence,
    Links,
    Portals,
    Notices,
    Webhooks,
    Uses,
    Callers,
    Holds,
    Fleet,
    Limits,
):
    """`ports.transaction.Transaction` on one connection inside one database transaction."""

    def feed_after(self, rev: int, *, limit: int) -> list[FeedEntry]:
        """Entries after `rev`, in order."""
        query = select(feed).where(feed.c.rev > rev).order_by(feed.c.rev).limit(limit)
        return [
            FeedEntry(rev=row.rev, at=row.at, change=feeds.from_json(row.change))
            for row in self._connection.execute(query)
        ]

    def forget_feed(self, *, before: Instant, keep: int, most: int) -> int:
        """Drop the entries written before the first that was written then or later; the newest `keep` stay.

        What stays has no gaps.  How many went, at most so many at once.
        """
        c, newest = feed.c, select(authority.c.rev).scalar_subquery()
        oldest = select(func.min(c.rev)).scalar_subquery()
        recent = select(func.min(c.rev)).where(c.at >= before).scalar_subquery()
        old = and_(c.rev < oldest + most, c.rev <= newest - keep, c.rev < func.coalesce(recent, newest))
        return self._connection.execute(delete(feed).where(old)).rowcount

    def _allot_revs(self) -> None:
        """First what may have to wait: who holds a reset's row, or a secret's, may want a revision too."""
        if self._unrevised:
            with self._in_one_trip():
                self._flush_ends()
                self._flush_resets()
        super()._allot_revs()

    def flush(self) -> list[FeedEntry]:
        """Write what is still unwritten, and the feed entries of every key saved; called once, before the commit."""
        self._allot_revs()
        entries = [self._entry(rev, state_for_verifiers(self._loaded[key_id])) for key_id, rev in self._revs.items()]
        entries += [self._entry(rev, predicate) for rev, predicate in self._bulk]
        entries.sort(key=lambda entry: entry.rev)
        written = [_feed_row(entry) for entry in entries]
        with self._in_one_trip():
            self._flush_secrets()
            self._flush_resets()
            self._flush_records()
            self._flush_notices()
            if written:
                self._connection.execute(_INSERT_FEED, written)
            self._hint(entries or self._last_bulk)
            if self._records and not entries and not self._last_bulk:
                # Last, for its lock is one that all changes wait for.  A revision has raised it already (F8).
                self._connection.execute(_RAISE_HIGH_WATER, {"now": self._now})
        return [*entries, *map(self._append, self._last_bulk)]

    def _entry(self, rev: int, change: KeyState | Predicate) -> FeedEntry:
        return FeedEntry(rev=rev, at=self._now, change=change, follows=self._before[rev])

    def _hint(self, changed: Sequence[object]) -> None:
        """Have the other nodes told at the commit.  A hint: they find out without it too (F14)."""
        if changed and self._connection.dialect.name == "postgresql":
            self._connection.exec_driver_sql(f"NOTIFY {CHANNEL}, 'feed'")

    def _append(self, change: Predicate) -> FeedEntry:
        entry = self._entry(self._allot_rev(), change)
        self._connection.execute(_INSERT_FEED, [_feed_row(entry)])
        return entry

    @contextmanager
    def _in_one_trip(self) -> Iterator[None]:
        """Statements whose answers nobody waits for travel together where the driver can do that (libpq's pipeline)."""
        dialect = self._connection.dialect
        if dialect.driver != "psycopg":
            yield
            return
        driver: Any = self._connection.connection.driver_connection
        errors: Any = dialect.loaded_dbapi.Error
        try:
            with driver.pipeline():
                yield
        except errors as error:
            # The pipeline tells of an error at its end, past SQLAlchemy, which would have wrapped it like this.
            gone = dialect.is_disconnect(error, driver, None)
            raise DBAPIError.instance(
                None, None, error, errors, hide_parameters=True, connection_invalidated=gone, dialect=dialect
            ) from error
