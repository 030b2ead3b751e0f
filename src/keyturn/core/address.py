"""Further addresses of a person, at which they are told of what happens (R50); one signs in with the first one only.

An address is told at once it is confirmed by a mailed link.  One that is removed is told for another week, so that
whoever takes over a session cannot silence its owner.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from keyturn.core.instant import Instant, later

MOST_ADDRESSES: Final = 5
STILL_TOLD: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One further address."""

    id: str
    user_id: str
    email: str
    made_at: Instant
    confirmed_at: Instant | None = None
    removed_at: Instant | None = None


def is_told(address: Address, now: Instant) -> bool:
    """Whether notices go there."""
    if address.confirmed_at is None:
        return False
    return address.removed_at is None or now < later(address.removed_at, STILL_TOLD)


def parse_email(text: str) -> str:
    """The canonical form of an address.  Raises ValueError with a sentence for a person."""
    local, at, domain = text.partition("@")
    plain = text.isprintable() and not any(one.isspace() for one in text)
    if not (local and at and domain) or "@" in domain or not plain or len(text) > 320:  # RFC 3696
        msg = "an e-mail address such as name@example.com"
        raise ValueError(msg)
    return text.lower()
