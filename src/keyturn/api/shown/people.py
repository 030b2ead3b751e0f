"""Accounts, people, members and invitations, as the API shows them."""

from collections.abc import Sequence

from keyturn.api.shown.wire import Wire, when
from keyturn.core.account import Account, Member, User
from keyturn.core.address import Address
from keyturn.core.invitation import Invitation
from keyturn.flow.member import Removed


def user(one: User, members: Sequence[Member]) -> Wire:
    """A person and where they belong."""
    return {
        "id": one.id,
        "email": one.email,
        "name": one.name,
        "username": one.username or None,
        "language": one.language or None,
        "time_zone": one.time_zone or None,
        "created_at": when(one.created_at),
        "memberships": [membership(each) for each in members],
    }


def membership(one: Member) -> Wire:
    """A user's part in an account."""
    return {"account_id": one.account_id, "role": one.role.value}


def member(one: Member, user: User) -> Wire:
    """The same with who they are."""
    return membership(one) | {"user_id": user.id, "email": user.email, "name": user.name}


def removed_member(one: Removed) -> Wire:
    """Who is no member any more, and what became of their keys."""
    return {
        "account_id": one.member.account_id,
        "user_id": one.member.user_id,
        "handed_over": [each.id for each in one.handed_over],
        "suspended": [each.id for each in one.suspended],
    }


def address(one: Address) -> Wire:
    """A further address of a person."""
    return {
        "id": one.id,
        "email": one.email,
        "made_at": when(one.made_at),
        "confirmed_at": when(one.confirmed_at),
    }


def invitation(one: Invitation) -> Wire:
    """An invitation, without its link."""
    return {
        "id": one.id,
        "account_id": one.account_id,
        "email": one.email,
        "role": one.role.value,
        "invited_by": one.invited_by,
        "made_at": when(one.made_at),
        "ends_at": when(one.ends_at),
        "ended_at": when(one.ended_at),
    }


def account(one: Account) -> Wire:
    """An account."""
    return {
        "id": one.id,
        "name": one.name,
        "created_at": when(one.created_at),
        "policy": one.policy or None,
        "floor": one.floor or None,
        "reset_allowlist": list(one.reset_allowlist),
        "max_keys_per_user": one.max_keys_per_user,
    }
