"""Invitations: who may become what of an account, until when, and at whose word."""

from dataclasses import dataclass
from typing import Final

from keyturn.core.account import Role
from keyturn.core.instant import Instant
from keyturn.core.refusal import LinkSpent, Refusal

MOST_OPEN: Final = 100
"""Per account; each is a mail to somebody who never asked for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """An invitation to one address.  Its link is mailed and stands nowhere."""

    id: str
    account_id: str
    email: str
    role: Role
    invited_by: str
    """The key or person whose word it is."""
    made_at: Instant
    ends_at: Instant
    ended_at: Instant | None = None
    """When it was accepted, withdrawn or replaced by another one."""
    accepted_by: str = ""
    """The user who accepted it."""


def is_open(invitation: Invitation, now: Instant) -> bool:
    """Whether it can still be accepted."""
    return invitation.ended_at is None and now < invitation.ends_at


def check_open(invitation: Invitation | None, now: Instant) -> Refusal | None:
    """Why it cannot be accepted any more, or None."""
    return None if invitation is not None and is_open(invitation, now) else LinkSpent()
