"""What is remembered of uses: of a watched secret, and of a key."""

from dataclasses import dataclass

from keyturn.core.instant import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """How often, and when last, a watched secret was used in one way (R33)."""

    key_number: int
    version: int
    address: str
    permission: str
    user_agent: str
    last_seen: Instant
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """How often, and when last, a key was used from one address for one thing by one program."""

    key_number: int
    address: str
    permission: str
    user_agent: str
    last_seen: Instant
    count: int
