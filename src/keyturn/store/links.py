"""Mailed links, known by the digests of their tokens."""

from collections.abc import Sequence

from sqlalchemy import RowMapping, and_, insert, select, update

from keyturn.core.link import Link, LinkKind
from keyturn.store.begun import Begun, columns, locked
from keyturn.store.tables import links


class Links(Begun):
    """`ports.transaction.Transaction`'s questions about mailed links."""

    def insert_link(self, link: Link, *, digest: bytes) -> None:
        """Add a link."""
        self._connection.execute(insert(links).values(columns(link) | {"kind": link.kind.value, "digest": digest}))

    def link(self, digest: bytes, *, lock: bool = False) -> Link | None:
        """The link whose token has this digest, also one that is spent."""
        query = select(links).where(links.c.digest == digest)
        found = self._connection.execute(locked(query) if lock else query).mappings().first()
        return None if found is None else _read(found)

    def link_by_id(self, link_id: str) -> Link | None:
        """The link with this id, also one that is spent."""
        found = self._connection.execute(select(links).where(links.c.id == link_id)).mappings().first()
        return None if found is None else _read(found)

    def links_about(self, subject_id: str, kind: LinkKind) -> Sequence[Link]:
        """Every link of that kind about that subject, also what is spent."""
        this = and_(links.c.subject_id == subject_id, links.c.kind == kind.value)
        return [_read(row) for row in self._connection.execute(select(links).where(this)).mappings()]

    def spend_link(self, link: Link) -> None:
        """Write down that it was used now."""
        self._connection.execute(update(links).where(links.c.id == link.id).values(used_at=self._now))

    def end_links(self, *, user_id: str, kind: LinkKind) -> int:
        """End the links of that kind that were mailed for a user and not used."""
        this = (links.c.user_id == user_id, links.c.kind == kind.value, links.c.ends_at > self._now)
        return self._connection.execute(update(links).where(*this).values(ends_at=self._now)).rowcount


def _read(row: RowMapping) -> Link:
    kind = LinkKind(row["kind"])
    return Link(kind=kind, **{name: row[name] for name in Link.__slots__ if name != "kind"})
