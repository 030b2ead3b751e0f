"""Invitations to accounts."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, RowMapping, and_, insert, select, update

from keyturn.core.account import Role
from keyturn.core.instant import Instant
from keyturn.core.invitation import Invitation
from keyturn.store.begun import Begun, columns, locked
from keyturn.store.tables import invitations


class Invitations(Begun):
    """`ports.transaction.Transaction`'s questions about invitations."""

    def insert_invitation(self, invitation: Invitation) -> None:
        """Add one."""
        self._connection.execute(insert(invitations).values(columns(invitation) | {"role": invitation.role.value}))

    def invitation(self, invitation_id: str, *, lock: bool = False) -> Invitation | None:
        """One, also where it has ended."""
        query = select(invitations).where(invitations.c.id == invitation_id)
        found = self._connection.execute(locked(query) if lock else query).mappings().first()
        return None if found is None else _read(found)

    def invitations(self, account_id: str) -> Sequence[Invitation]:
        """Those of an account that can still be accepted, newest first."""
        query = select(invitations).where(invitations.c.account_id == account_id, *self._open())
        query = query.order_by(invitations.c.made_at.desc(), invitations.c.id)
        return [_read(row) for row in self._connection.execute(query).mappings()]

    def save_invitation(self, invitation: Invitation) -> None:
        """Write one back whole."""
        row = columns(invitation) | {"role": invitation.role.value}
        self._connection.execute(update(invitations).where(invitations.c.id == invitation.id).values(row))

    def invitations_by(self, invited_by: str, *, since: Instant) -> Sequence[Invitation]:
        """Those at the word of one key or person that can still be accepted."""
        this = and_(invitations.c.invited_by == invited_by, invitations.c.made_at >= since, *self._open())
        return [_read(row) for row in self._connection.execute(select(invitations).where(this)).mappings()]

    def _open(self) -> tuple[ColumnElement[bool], ...]:
        return (invitations.c.ended_at.is_(None), invitations.c.ends_at > self._now)


def _read(row: RowMapping) -> Invitation:
    values = {name: row[name] for name in Invitation.__slots__ if name != "role"}
    return Invitation(role=Role(row["role"]), **values)
