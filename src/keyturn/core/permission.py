"""What a key may do (K21, R23): `resource:action` strings and keyturn's own rights.

`orders:write` lets the holder read and write orders; `*:read` lets it read everything.
The actions are ordered, each includes those before it.  `*` stands for every resource only where it is written.
An empty set grants nothing (pitfall 8).

keyturn's own rights (`keyturn.keys:reset`, `keyturn.verify` …) are a space of their own that `*` never matches.
A right may name the account it reaches: `keyturn.keys:reset@acc_…`.
"""

import re
from collections.abc import Iterable
from typing import Final

ACTIONS: Final = ("read", "write", "admin")
SHORT_FORMS: Final = {"read_only": "*:read", "read_write": "*:write", "admin": "*:admin"}

RIGHT_PREFIX: Final = "keyturn."
RIGHT_ADMIN: Final = "keyturn.admin"
RIGHT_VERIFY: Final = "keyturn.verify"
RIGHT_ATTACH: Final = "keyturn.attach"
RIGHT_KEYS_READ: Final = "keyturn.keys:read"
RIGHT_KEYS_WRITE: Final = "keyturn.keys:write"
RIGHT_KEYS_RESET: Final = "keyturn.keys:reset"
RIGHT_ACCOUNTS_READ: Final = "keyturn.accounts:read"
RIGHT_ACCOUNTS_WRITE: Final = "keyturn.accounts:write"
RIGHT_EVENTS_WRITE: Final = "keyturn.events:write"
RIGHT_AUDIT_READ: Final = "keyturn.audit:read"
RIGHT_STAFF_READ: Final = "keyturn.staff:read"
"""The operator's people: see every account and its keys, records and members.  Roles hold it, no key does."""
RIGHT_STAFF_STOP: Final = "keyturn.staff:stop"
"""The same: suspend any customer's key, and ask for a reset that its owner claims."""
RIGHT_STAFF_SECURE: Final = "keyturn.staff:secure"
"""The same: suspend every key of a customer's account."""
RIGHTS: Final = frozenset(
    {
        RIGHT_ADMIN,
        RIGHT_VERIFY,
        RIGHT_ATTACH,
        RIGHT_KEYS_READ,
        RIGHT_KEYS_WRITE,
        RIGHT_KEYS_RESET,
        RIGHT_ACCOUNTS_READ,
        RIGHT_ACCOUNTS_WRITE,
        RIGHT_EVENTS_WRITE,
        RIGHT_AUDIT_READ,
    }
)
_INCLUDED_RIGHTS: Final = {
    RIGHT_KEYS_WRITE: RIGHT_KEYS_READ,
    RIGHT_ACCOUNTS_WRITE: RIGHT_ACCOUNTS_READ,
    RIGHT_ATTACH: RIGHT_VERIFY,  # who is told of every key may ask about one
}

MOST_PERMISSIONS: Final = 100
_RESOURCE: Final = r"(?:\*|[a-z0-9](?:[a-z0-9_./-]{0,62}[a-z0-9])?)"
_PERMISSION: Final = re.compile(rf"({_RESOURCE}):({'|'.join(ACTIONS)})", re.ASCII)
_REACH: Final = re.compile(r"acc_[0-9A-Za-z]{1,40}", re.ASCII)


def parse(text: str) -> str:
    """The canonical form of one permission or right.  Raises ValueError with a sentence for a person."""
    text = SHORT_FORMS.get(text, text)
    if text.startswith(RIGHT_PREFIX):
        right, at, reach = text.partition("@")
        if right in RIGHTS and (not at or (right != RIGHT_ADMIN and _REACH.fullmatch(reach))):
            return text
    elif _PERMISSION.fullmatch(text) and not text.startswith("keyturn:"):
        return text
    msg = f"not a permission: {text[:60]!r}; write resource:action with read, write or admin, such as orders:read"
    raise ValueError(msg)


def parse_set(texts: Iterable[str]) -> tuple[str, ...]:
    """Canonical, sorted, each once.  Raises ValueError as `parse` does, or for more than `MOST_PERMISSIONS`."""
    permissions = tuple(sorted({parse(text) for text in texts}))
    if len(permissions) > MOST_PERMISSIONS:
        msg = f"more than {MOST_PERMISSIONS} permissions"
        raise ValueError(msg)
    return permissions


def is_right(permission: str) -> bool:
    """Whether this is one of keyturn's own rights rather than a permission of the operator's API."""
    return permission.startswith(RIGHT_PREFIX)


def reading(held: Iterable[str]) -> tuple[str, ...]:
    """What is left of a set where only reading is allowed: of each resource to read it, and of the rights none."""
    return tuple(sorted({f"{one.rpartition(':')[0]}:{ACTIONS[0]}" for one in held if not is_right(one)}))


def action_rank(permission: str) -> int:
    """0 read, 1 write, 2 admin.  Rights rank as admin: what they do is never harmless."""
    if is_right(permission):
        return len(ACTIONS) - 1
    return ACTIONS.index(permission.rpartition(":")[2])


def grants(held: Iterable[str], wanted: str) -> bool:
    """Whether the set `held` includes the canonical permission or right `wanted`."""
    return any(_includes(one, wanted) for one in held)


def covers(held: Iterable[str], wanted: Iterable[str]) -> bool:
    """Whether `held` grants everything in `wanted`: no child is wider than its parent (pitfall 8)."""
    held = tuple(held)
    return all(grants(held, one) for one in wanted)


def _includes(held: str, wanted: str) -> bool:
    if is_right(held) or is_right(wanted):
        return is_right(held) and is_right(wanted) and _right_includes(held, wanted)
    held_resource, _, held_action = held.rpartition(":")
    wanted_resource, _, wanted_action = wanted.rpartition(":")
    return held_resource in ("*", wanted_resource) and ACTIONS.index(held_action) >= ACTIONS.index(wanted_action)


def _right_includes(held: str, wanted: str) -> bool:
    if held == RIGHT_ADMIN:
        return True
    held_right, _, held_reach = held.partition("@")
    wanted_right, _, wanted_reach = wanted.partition("@")
    if held_reach != wanted_reach:
        return False
    return wanted_right in (held_right, _INCLUDED_RIGHTS.get(held_right))
