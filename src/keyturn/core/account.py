"""Accounts, users and what a member may do (K10, pitfall 7)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from keyturn.core import permission
from keyturn.core.instant import Instant
from keyturn.core.policy import Policy


class Role(Enum):
    """What a user is to an account."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    AUDITOR = "auditor"
    SUPPORT = "support"
    """Of the operator's own account only: helps customers, and never sees a secret."""
    SECURITY = "security"
    """The same, and stops whole accounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whom keys belong to: a customer of the operator, or the operator itself."""

    id: str
    name: str
    created_at: Instant
    policy: str = ""
    """The account's policy by name, or empty for the deployment's (R31)."""
    floor: str = ""
    """A policy of which every key's policy is at least as strict, by name, or empty."""
    reset_allowlist: tuple[str, ...] = ()
    max_keys_per_user: int | None = None
    """Set by an administrator; None leaves it to the policy (K10)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person."""

    id: str
    email: str
    name: str
    created_at: Instant
    username: str = ""
    """What they may sign in with instead of the address; unique, or empty."""
    language: str = ""
    """Of pages and mails; empty for what the browser or the deployment says."""
    time_zone: str = ""
    """An IANA name such as `Europe/Berlin`; empty for UTC."""
    changed_at: Instant | None = None
    """When password, address or second factor last changed: a policy may hold keys for a while after that (R30)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A user's part in an account."""

    account_id: str
    user_id: str
    role: Role


_USERNAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{2,31}", re.ASCII)


def parse_username(text: str) -> str:
    """The canonical form of a user name.  Raises ValueError with a sentence for a person."""
    name = text.strip().lower()
    if not _USERNAME.fullmatch(name):
        msg = "3 to 32 of a-z, 0-9, dot, hyphen and underscore; a letter or a digit first"
        raise ValueError(msg)
    return name


RIGHTS: Final = {
    # What a person may do with the account's keys.  Product permissions are handed out up to admin by those who
    # manage the account, up to write by members, to their own keys.
    Role.OWNER: (
        "*:admin",
        permission.RIGHT_KEYS_READ,
        permission.RIGHT_KEYS_RESET,
        permission.RIGHT_KEYS_WRITE,
        permission.RIGHT_ACCOUNTS_READ,
        permission.RIGHT_ACCOUNTS_WRITE,
        permission.RIGHT_AUDIT_READ,
    ),
    Role.ADMIN: (
        "*:admin",
        permission.RIGHT_KEYS_READ,
        permission.RIGHT_KEYS_RESET,
        permission.RIGHT_KEYS_WRITE,
        permission.RIGHT_ACCOUNTS_READ,
        permission.RIGHT_AUDIT_READ,
    ),
    Role.MEMBER: ("*:write", permission.RIGHT_KEYS_READ, permission.RIGHT_KEYS_RESET, permission.RIGHT_KEYS_WRITE),
    Role.AUDITOR: (permission.RIGHT_KEYS_READ, permission.RIGHT_ACCOUNTS_READ, permission.RIGHT_AUDIT_READ),
    Role.SUPPORT: (permission.RIGHT_ACCOUNTS_READ,),
    Role.SECURITY: (permission.RIGHT_ACCOUNTS_READ,),
}

STAFF_ROLES: Final = frozenset({Role.SUPPORT, Role.SECURITY})
"""Roles that only the operator's own account has."""
_WHOLE_STAFF: Final = (
    permission.RIGHT_STAFF_READ,
    permission.RIGHT_STAFF_STOP,
    permission.RIGHT_STAFF_SECURE,
)
STAFF_RIGHTS: Final[Mapping[Role, tuple[str, ...]]] = {
    # What a role in the operator's own account lets its people do for customers, beside what it lets them do there.
    Role.OWNER: _WHOLE_STAFF,
    Role.ADMIN: _WHOLE_STAFF,
    Role.SECURITY: _WHOLE_STAFF,
    Role.SUPPORT: (permission.RIGHT_STAFF_READ, permission.RIGHT_STAFF_STOP),
    Role.AUDITOR: (permission.RIGHT_STAFF_READ,),
}

OWN_KEYS_ONLY: Final = frozenset({Role.MEMBER})
"""Roles that see and touch no keys but their own."""


def key_limit(account: Account, policy: Policy, floors: tuple[Policy, ...]) -> int:
    """K10: the administrator's number where one is set, else the policy's; never above a floor's."""
    limit = policy.max_keys_per_user if account.max_keys_per_user is None else account.max_keys_per_user
    return min([limit, *(floor.max_keys_per_user for floor in floors)])
