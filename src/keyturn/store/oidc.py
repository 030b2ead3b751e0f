"""Identities at OpenID Connect providers, and sign-ins under way there."""

from collections.abc import Sequence

from sqlalchemy import RowMapping, delete, insert, select

from keyturn.core.account import User
from keyturn.core.oidc import Identity, OidcTry
from keyturn.store import rows
from keyturn.store.begun import Begun, columns
from keyturn.store.tables import identities, oidc_tries, users


class Oidc(Begun):
    """`ports.transaction.Transaction`'s questions about identities."""

    def insert_identity(self, identity: Identity, *, user_id: str) -> None:
        """Let a user sign in with it."""
        row = {"issuer": identity.issuer, "subject": identity.subject, "email": identity.email[:320]}
        self._connection.execute(insert(identities).values(row | {"user_id": user_id, "made_at": self._now}))

    def user_of_identity(self, issuer: str, subject: str) -> User | None:
        """Who signs in with it."""
        this = (identities.c.issuer == issuer, identities.c.subject == subject)
        query = select(users).join(identities, identities.c.user_id == users.c.id).where(*this)
        found = self._connection.execute(query).mappings().first()
        return None if found is None else rows.read_user(found)

    def identities(self, user_id: str) -> Sequence[Identity]:
        """Those a user signs in with, oldest first."""
        query = select(identities).where(identities.c.user_id == user_id).order_by(identities.c.made_at)
        return [_read(row) for row in self._connection.execute(query).mappings()]

    def remove_identity(self, identity: Identity) -> None:
        """Let nobody sign in with it."""
        this = (identities.c.issuer == identity.issuer, identities.c.subject == identity.subject)
        self._connection.execute(delete(identities).where(*this))

    def insert_oidc_try(self, one: OidcTry) -> None:
        """Add one."""
        self._connection.execute(insert(oidc_tries).values(columns(one)))

    def take_oidc_try(self, try_id: str) -> OidcTry | None:
        """Take one away; of many who try at once, one gets it."""
        taken = delete(oidc_tries).where(oidc_tries.c.id == try_id).returning(oidc_tries)
        found = self._connection.execute(taken).mappings().first()
        if found is None:
            return None
        values = {name: found[name] for name in OidcTry.__slots__}
        return OidcTry(**values | {"link_digest": bytes(values["link_digest"])})

    def forget_oidc_tries(self) -> int:
        """Drop those whose time is over."""
        return self._connection.execute(delete(oidc_tries).where(oidc_tries.c.ends_at <= self._now)).rowcount


def _read(row: RowMapping) -> Identity:
    return Identity(issuer=row["issuer"], subject=row["subject"], email=row["email"])
