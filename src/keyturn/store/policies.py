"""Policies: presets that ship, and the operator's own."""

from collections.abc import Sequence

from sqlalchemy import Connection, and_, func, insert, select

from keyturn.core.policy import Policy
from keyturn.store import rows
from keyturn.store.begun import Begun, Seen
from keyturn.store.tables import policies


class Policies(Begun):
    """`ports.transaction.Transaction`'s questions about policies."""

    def __init__(self, connection: Connection, seen: Seen) -> None:
        super().__init__(connection, seen)
        self._policies: dict[str, Policy | None] = {}

    def policy(self, name: str) -> Policy | None:
        """A preset, or the newest version of an operator's own."""
        if name in self._presets:
            return self._presets[name]
        if name in self._policies:
            return self._policies[name]
        query = select(policies).where(policies.c.name == name).order_by(policies.c.version.desc()).limit(1)
        found = self._connection.execute(query).mappings().first()
        self._policies[name] = None if found is None else rows.read_policy(found)
        return self._policies[name]

    def is_preset(self, name: str) -> bool:
        """Whether the name is taken by a preset that ships."""
        return name in self._presets

    def policies(self) -> Sequence[Policy]:
        """Every policy there is, presets first."""
        newest = (
            select(policies.c.name, func.max(policies.c.version).label("version")).group_by(policies.c.name).subquery()
        )
        query = select(policies).join(
            newest, and_(policies.c.name == newest.c.name, policies.c.version == newest.c.version)
        )
        own = self._connection.execute(query.order_by(policies.c.name)).mappings()
        return [*self._presets.values(), *(rows.read_policy(row) for row in own)]

    def insert_policy(self, policy: Policy, *, by: str) -> None:
        """Add a policy, or its next version."""
        self._policies.pop(policy.name, None)
        row = rows.policy_to_plain(policy) | {"created_at": self._now, "created_by": by}
        self._connection.execute(insert(policies).values(row))
