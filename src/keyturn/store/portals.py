"""Portals: links that an operator's credential made for a person, known by the digests of their tokens."""

from sqlalchemy import ColumnElement, delete, insert, select, update

from keyturn.core.instant import Instant
from keyturn.core.portal import Portal
from keyturn.store.begun import Begun, columns, locked
from keyturn.store.tables import portals


class Portals(Begun):
    """`ports.transaction.Transaction`'s questions about portals."""

    def insert_portal(self, portal: Portal, *, digest: bytes) -> None:
        """Add a portal that nobody has opened yet."""
        self._connection.execute(insert(portals).values(columns(portal) | {"digest": digest}))

    def portal(self, digest: bytes, *, lock: bool = False) -> Portal | None:
        """The portal whose link has that token, also one that was opened."""
        return self._portal(portals.c.digest == digest, lock=lock)

    def portal_of(self, session_id: str) -> Portal | None:
        """The portal that became this session."""
        return self._portal(portals.c.session == session_id, lock=False)

    def _portal(self, this: ColumnElement[bool], *, lock: bool) -> Portal | None:
        query = select(portals).where(this)
        found = self._connection.execute(locked(query) if lock else query).mappings().first()
        return None if found is None else Portal(**{name: found[name] for name in Portal.__slots__})

    def save_portal(self, portal: Portal) -> None:
        """Write a portal back whole."""
        self._connection.execute(update(portals).where(portals.c.id == portal.id).values(columns(portal)))

    def forget_portals(self, *, before: Instant) -> int:
        """Drop the portals that were made before that instant."""
        return self._connection.execute(delete(portals).where(portals.c.made_at < before)).rowcount
