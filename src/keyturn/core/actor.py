"""Who asks, through which channel (R40), and how far their rights reach (pitfalls 7, 18, 19)."""

from dataclasses import dataclass, replace
from enum import Enum

from keyturn.core.permission import (
    RIGHT_ACCOUNTS_READ,
    RIGHT_ACCOUNTS_WRITE,
    RIGHT_ADMIN,
    RIGHT_ATTACH,
    RIGHT_AUDIT_READ,
    RIGHT_KEYS_READ,
    RIGHT_KEYS_RESET,
    RIGHT_KEYS_WRITE,
    RIGHT_STAFF_READ,
    RIGHT_STAFF_SECURE,
    RIGHT_STAFF_STOP,
    RIGHT_VERIFY,
    covers,
    grants,
    is_right,
)


class Channel(Enum):
    """How a request came in."""

    PERSON = "person"
    MACHINE = "machine"
    KEY = "key"
    TRIGGER = "trigger"
    SUPPORT = "support"
    LIBRARY = "library"


# A credential of the deployment's own account serves all of its customers with these; the rest name their accounts.
_DEPLOYMENT_WIDE = frozenset({RIGHT_VERIFY, RIGHT_ATTACH, RIGHT_ACCOUNTS_READ, RIGHT_ACCOUNTS_WRITE})
_READ_BY_STAFF = frozenset({RIGHT_STAFF_READ, RIGHT_KEYS_READ, RIGHT_ACCOUNTS_READ, RIGHT_AUDIT_READ})
_FOR_CUSTOMERS = frozenset({RIGHT_STAFF_STOP, RIGHT_STAFF_SECURE})
"""Not over the operator's own account: support must not stop what runs the operator's business."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Whoever asks.  Everything here comes from the credential, nothing from the request body (pitfall 7)."""

    id: str
    """A key id, a user id, or `system`."""
    channel: Channel
    account_id: str
    user_id: str
    """The person who answers for it: the key's owner, or the user."""
    permissions: tuple[str, ...]
    in_deployment_account: bool
    address: str | None = None
    own_keys_only: bool = False
    """A member sees and touches no keys but their own."""
    secret_version: int = 0
    """The version of the key's secret, or of the session's token, that was shown; asked again at a change."""
    session: str = ""
    """The browser or API session a person speaks through; proofs are bound to it (R11)."""
    through: str = ""
    """The operator's credential whose portal the person speaks through; empty for whoever signed in themselves."""

    @property
    def signed_in(self) -> bool:
        """Whether this is a person in a session that they opened themselves: what is about them takes no less."""
        return self.channel is Channel.PERSON and bool(self.session) and not self.through

    def may(self, right: str, account_id: str) -> bool:
        """Whether the actor holds `right` over that account."""
        if account_id == self.account_id and right not in _FOR_CUSTOMERS and grants(self.permissions, right):
            return True
        named = tuple(one for one in self.permissions if one.endswith(f"@{account_id}"))
        if grants(named, f"{right}@{account_id}"):
            return True
        if right in _FOR_CUSTOMERS:
            holds = right in self.permissions or RIGHT_ADMIN in self.permissions
            return holds and self.in_deployment_account and account_id != self.account_id
        return self.reaches_all(right) or (
            self.in_deployment_account and right in _DEPLOYMENT_WIDE and grants(self.permissions, right)
        )

    def reaches_all(self, right: str) -> bool:
        """Whether the actor holds `right` over every account there is."""
        if not self.in_deployment_account:
            return False
        staff = RIGHT_STAFF_READ in self.permissions and right in _READ_BY_STAFF
        return staff or RIGHT_ADMIN in self.permissions

    def may_stop(self, account_id: str) -> bool:
        """Whether the actor may suspend that account's keys: whoever knows of them, except staff who only read."""
        rights = (RIGHT_KEYS_WRITE, RIGHT_KEYS_RESET, RIGHT_ACCOUNTS_WRITE, RIGHT_STAFF_STOP)
        if any(self.may(right, account_id) for right in rights):
            return True
        if RIGHT_STAFF_READ not in self.permissions:
            return self.may(RIGHT_KEYS_READ, account_id)
        return account_id == self.account_id and grants(self.permissions, RIGHT_KEYS_READ)

    def towards(self, account_id: str) -> "Actor":
        """The same as they speak of that account: for a customer's, one of the operator's people is support (R40)."""
        is_staff = self.channel is Channel.PERSON and RIGHT_STAFF_READ in self.permissions
        if not is_staff or not self.in_deployment_account or account_id == self.account_id:
            return self
        return replace(self, channel=Channel.SUPPORT)

    def beyond(self, permissions: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `permissions` that the actor may not hand out, for it does not hold them itself."""
        if self.own_keys_only:
            # A key with a right would reach further than its maker, who sees no keys but their own.
            return tuple(one for one in permissions if is_right(one) or not covers(self.permissions, (one,)))
        if RIGHT_ADMIN in self.permissions:
            if self.in_deployment_account:
                return ()
            # The administrator of one account: all of its keys, nothing that names another account.
            return tuple(one for one in permissions if "@" in one and not one.endswith(f"@{self.account_id}"))
        return tuple(one for one in permissions if not covers(self.permissions, (one,)))

    def rights_beyond(self, permissions: tuple[str, ...]) -> tuple[str, ...]:
        """Those of keyturn's own rights among `permissions` that the actor does not hold itself."""
        return self.beyond(tuple(one for one in permissions if is_right(one)))


SYSTEM = Actor(
    id="system", channel=Channel.TRIGGER, account_id="", user_id="", permissions=(), in_deployment_account=False
)


def stranger(address: str | None) -> Actor:
    """Whoever tries to sign in and is not known yet; may do nothing."""
    return replace(reader("", address), id="stranger")


def reader(user_id: str, address: str | None, *, account_id: str = "") -> Actor:
    """Whoever a link was mailed to: they may do what it is for, and hold no right to anything else."""
    return Actor(
        id=user_id,
        channel=Channel.PERSON,
        account_id=account_id,
        user_id=user_id,
        permissions=(),
        in_deployment_account=False,
        address=address,
    )
