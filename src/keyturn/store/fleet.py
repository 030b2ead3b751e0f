"""Leases of nodes, as the authority has them on record (F2, F5)."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Label,
    RowMapping,
    String,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    literal_column,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from keyturn.core.instant import to_micros
from keyturn.core.lease import Attached, Lease, Raised, Scan, Terms, epoch_after, everybody_before
from keyturn.store.begun import Begun
from keyturn.store.tables import authority, feed, leases, origin


class Fleet(Begun):
    """`ports.transaction.Transaction`'s questions about nodes."""

    def terms(self) -> Terms:
        """For how long leases are given."""
        row = self._connection.execute(select(authority.c.lease_length, authority.c.lease_margin)).one()
        return Terms(length=row.lease_length, margin=row.lease_margin)

    def set_terms(self, terms: Terms) -> None:
        """Give leases for that long from now on."""
        values = {"lease_length": terms.length, "lease_margin": terms.margin}
        self._connection.execute(update(authority).values(values))

    def renew_lease(self, lease: Lease, *, anew: bool = False) -> None:
        """Put a node's lease on record; within an epoch the greatest acknowledgement stays, if not to begin `anew`."""
        row = {
            "counter": lease.counter,
            "lasts": lease.lasts,
            "epoch": lease.epoch,
            "acked_rev": lease.acked_rev
            if anew
            else case((_is_further(lease), leases.c.acked_rev), else_=lease.acked_rev),
            "applied_rev": lease.applied_rev,
            "name": lease.name,
            "grants": lease.grants,
            "verifiers": json.dumps([asdict(one) for one in lease.verifiers], separators=(",", ":")),
        }
        this = leases.c.instance == lease.instance
        if not self._connection.execute(update(leases).where(this).values(row)).rowcount:
            row |= {"instance": lease.instance, "acked_rev": lease.acked_rev}
            self._connection.execute(insert(leases).values(row))

    def leases(self) -> Sequence[Lease]:
        """Every node that may hold a lease."""
        query = select(leases, self._server)
        return [_read(row) for row in self._connection.execute(query).mappings()]

    def remove_lease(self, instance: str, *, counter: int, read_from: str) -> bool:
        """Take a lease off the record, if it was not renewed since; whether it was there like that (F5).

        Not where another server answers than the one it was read from: that may not have heard of a renewal (F9).
        """
        this = (leases.c.instance == instance, leases.c.counter == counter, self._server.element == read_from)
        return bool(self._connection.execute(delete(leases).where(*this)).rowcount)

    def raise_epoch(self, seen: int) -> Raised | None:
        """Begin another epoch, where `seen` is still the one; and have everybody of those before waited out.

        Holders that nobody here knows of, of a past that was lost, may go on until their leases end (F9).
        """
        epoch = epoch_after(seen, now=self._now)
        this = authority.c.epoch == seen
        if not self._connection.execute(update(authority).where(this).values(epoch=epoch)).rowcount:
            return None
        longest = self._connection.execute(select(func.max(leases.c.lasts))).scalar()
        raised = Raised(epoch=epoch, lasts=max(self.terms().fence, longest or 0))
        self.renew_lease(everybody_before(epoch, lasts=raised.lasts))
        return raised

    @property
    def _server(self) -> Label[str]:
        return _SERVER[self._connection.dialect.name]

    def take_over(self) -> bool:
        """Whether PostgreSQL has not been put back since this was done last; from now on since this transaction.

        A backup of its files is served by another process, one of its rows was written by another transaction, and a
        copied database has another number.  Of SQLite the file system tells.
        """
        if self._connection.dialect.name != "postgresql":
            return True
        server, xid = self._connection.execute(_HERE).one()
        found = self._connection.execute(_ORIGIN).one_or_none()
        written = upsert(origin).values(id=1, written=f"{server} {xid}")
        self._connection.execute(
            written.on_conflict_do_update(index_elements=[origin.c.id], set_={"written": written.excluded.written})
        )
        return found is not None and found.written == f"{server} {found.xmin}"


_SERVER: Final = {
    "sqlite": literal("", String).label("read_from"),
    "postgresql": literal_column(
        "(SELECT extract(epoch FROM pg_postmaster_start_time())::text || ' ' || oid"
        " FROM pg_database WHERE datname = current_database())",
        String,
    ).label("read_from"),
}
"""Which process serves the database, and the database's number there; of SQLite's files each server has its own."""
_HERE: Final = select(
    _SERVER["postgresql"].element.label("server"),
    literal_column("(pg_current_xact_id()::text::numeric % 4294967296)::text", String).label("xid"),
)
_ORIGIN: Final = text("SELECT written, xmin::text AS xmin FROM origin")
_SCAN: Final = {
    dialect: select(
        authority.c.epoch.label("epoch_now"),
        authority.c.rev,
        select(feed.c.at).where(feed.c.rev == bindparam("of_rev")).scalar_subquery().label("written_at"),
        leases,
        server,
    ).select_from(authority.outerjoin(leases, true()))
    for dialect, server in _SERVER.items()
}


def scan(connection: Connection, rev: int) -> Scan:
    """Every lease and where the authority stands, by one statement: a snapshot of its own, and one trip."""
    rows = connection.execute(_SCAN[connection.dialect.name], {"of_rev": rev}).mappings().all()
    found = tuple(_read(row) for row in rows if row["instance"] is not None)
    first = rows[0]
    written = None if first["written_at"] is None else to_micros(first["written_at"])
    return Scan(leases=found, epoch=first["epoch_now"], rev=first["rev"], written_at=written)


def _is_further(lease: Lease) -> ColumnElement[bool]:
    return and_(leases.c.epoch == lease.epoch, leases.c.acked_rev > lease.acked_rev)


def _read(row: RowMapping) -> Lease:
    return Lease(
        read_from=row["read_from"],
        instance=row["instance"],
        counter=row["counter"],
        lasts=row["lasts"],
        epoch=row["epoch"],
        acked_rev=row["acked_rev"],
        applied_rev=row["applied_rev"],
        name=row["name"],
        grants=row["grants"],
        verifiers=tuple(Attached(**one) for one in json.loads(row["verifiers"])),
    )
