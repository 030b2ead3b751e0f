"""What the owner is told, as a row of the same transaction (R50, R51).  No notice ever holds a secret."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SHARED: Final = frozenset({"account", "claim", "invitation", "key", "member", "reset", "webhook"})
"""What a notice may be about that concerns the account; whatever else happens, happens to one person."""
EVERY_MEMBER: Final = frozenset({"account.suspended"})
"""Kinds that concern everybody in the account."""
TEST_KIND: Final = "webhook.test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that happened, for every address of whom it concerns."""

    kind: str
    """The action it tells of, as in the audit log: `reset.minted`."""
    account_id: str
    owner_id: str
    """The owner of the key; where it is about no key, the person it happened to."""
    key_id: str
    detail: Mapping[str, str]
    actor_id: str = ""
    """Who did it: a key, a user, or `system`."""
    address: str = ""
    """The network address it was done from, where one is known."""


def is_personal(kind: str) -> bool:
    """Whether it is told to the one person alone, and to no owner of an account."""
    return kind.partition(".")[0] not in SHARED
