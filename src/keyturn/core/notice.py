"""What the owner is told, as a row of the same transaction (R50, R51).  No notice ever holds a secret."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that happened to a key, for every address of its owner and of the account's owners."""

    kind: str
    """The action it tells of, as in the audit log: `reset.minted`."""
    account_id: str
    owner_id: str
    key_id: str
    detail: Mapping[str, str]
