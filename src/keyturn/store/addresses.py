"""Further addresses of people."""

from collections.abc import Sequence

from sqlalchemy import insert, or_, select, update

from keyturn.core.address import STILL_TOLD, Address
from keyturn.core.instant import Instant
from keyturn.store.begun import Begun, columns, locked
from keyturn.store.tables import addresses, users


class Addresses(Begun):
    """`ports.transaction.Transaction`'s questions about where people are told."""

    def addresses(self, user_id: str) -> Sequence[Address]:
        """A person's further addresses that are not removed, oldest first."""
        query = select(addresses).where(addresses.c.user_id == user_id, addresses.c.removed_at.is_(None))
        found = self._connection.execute(query.order_by(addresses.c.made_at, addresses.c.id)).mappings()
        return [Address(**one) for one in found]

    def address(self, address_id: str, *, lock: bool = False) -> Address | None:
        """One of them, also one that was removed."""
        query = select(addresses).where(addresses.c.id == address_id)
        found = self._connection.execute(locked(query) if lock else query).mappings().first()
        return None if found is None else Address(**found)

    def addresses_of(self, user_id: str) -> Sequence[str]:
        """Every address the user is told at, the one they sign in with first."""
        first = self._connection.execute(select(users.c.email).where(users.c.id == user_id)).scalars().all()
        told = addresses.c.confirmed_at.is_not(None) & or_(
            addresses.c.removed_at.is_(None), addresses.c.removed_at > Instant(self._now - STILL_TOLD)
        )
        query = select(addresses.c.email).where(addresses.c.user_id == user_id, told).order_by(addresses.c.id)
        return [*first, *dict.fromkeys(self._connection.execute(query).scalars())]

    def insert_address(self, address: Address) -> None:
        """Add one."""
        self._connection.execute(insert(addresses).values(columns(address)))

    def save_address(self, address: Address) -> None:
        """Write one back whole."""
        self._connection.execute(update(addresses).where(addresses.c.id == address.id).values(columns(address)))
