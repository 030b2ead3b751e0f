"""Mailed links: each opens one page for one purpose, and does nothing until a button on that page posts (R51).

A link is never consumed by GET or HEAD, for scanners open links.
Where it was asked for in a browser, only that browser may use it (pitfall 21).
The token itself is stored nowhere: it is worked out from the pepper and the link's id when a mail is written.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final

from keyturn.core.instant import Instant
from keyturn.core.refusal import LinkSpent, NotFound, Refusal, WrongBrowser


class LinkKind(Enum):
    """What a link is for."""

    PROOF = "proof"
    """One proof of a reset, in the browser that asked for it (R11)."""
    INVITATION = "invitation"
    PASSWORD = "password"  # noqa: S105  # the name of a purpose
    """A forgotten password."""
    ADDRESS = "address"
    """That an address belongs to its user."""
    NOT_ME = "not_me"
    """*This was not me*: suspends, and can do nothing else (R50)."""


LASTS: Final = {
    LinkKind.PROOF: timedelta(minutes=10),
    LinkKind.INVITATION: timedelta(days=7),
    LinkKind.PASSWORD: timedelta(minutes=30),
    LinkKind.ADDRESS: timedelta(days=1),
    LinkKind.NOT_ME: timedelta(days=30),
}
MOST_PROOF_LINKS: Final = 5
"""So many links are mailed for one reset; each ends the one before."""
MANY_TIMES: Final = frozenset({LinkKind.NOT_ME})
"""Suspending twice is suspending: these are not spent by use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One mailed link, without its token."""

    id: str
    kind: LinkKind
    made_at: Instant
    ends_at: Instant
    user_id: str = ""
    account_id: str = ""
    subject_id: str = ""
    """What it is about: a reset, a key, an account."""
    session: str = ""
    """The browser that asked; empty where any browser will do."""
    email: str = ""
    """The address it was mailed to."""
    used_at: Instant | None = None


def check_link(link: Link | None, kind: LinkKind, *, session: str, now: Instant) -> Refusal | None:
    """Why the link may not be used for that now, or None."""
    if link is None or link.kind is not kind:
        return NotFound()
    if link.used_at is not None or now >= link.ends_at:
        return LinkSpent()
    if link.session and link.session != session:
        return WrongBrowser()
    return None
