"""Members of accounts: invited, added, given another role, removed.

Nobody makes or changes anybody mightier than themselves, and an account keeps an owner.
Every new membership goes through `add`: the account's keys meet what their policies say (K15).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from keyturn.core.account import RIGHTS, STAFF_RIGHTS, STAFF_ROLES, Account, Member, Role, User, key_limit
from keyturn.core.actor import Actor, Channel
from keyturn.core.key import Key, Suspension
from keyturn.core.notice import Notice
from keyturn.core.permission import RIGHT_ACCOUNTS_READ, RIGHT_ACCOUNTS_WRITE, RIGHT_ADMIN
from keyturn.core.refusal import (
    AlreadyMember,
    InvalidField,
    KeyLimitReached,
    LastOwner,
    NotFound,
    PermissionMissing,
    Refusal,
    WiderThanActor,
)
from keyturn.flow.authenticator import check_recent
from keyturn.flow.consequence import after_member_added
from keyturn.flow.evidence import done, done_to_key, refused
from keyturn.flow.key import end_open_reset
from keyturn.flow.policy import effective, floors
from keyturn.ports.forge import Forge
from keyturn.ports.transaction import Transaction

OWNER_LEFT = "owner_left"
"""Why a key is suspended whose owner is no member any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """A member who is none any more, and what became of their keys."""

    member: Member
    handed_over: Sequence[Key]
    suspended: Sequence[Key]


def add(tx: Transaction, *, actor: Actor, member: Member, forge: Forge) -> None:
    """Add a member: the one way in which that is done.  Whoever calls it has recorded what it is part of."""
    tx.insert_member(member)
    _tell(tx, actor, "member.added", member)
    after_member_added(tx, actor=actor, member=member, forge=forge)


def add_known(
    tx: Transaction, *, actor: Actor, account_id: str, user_id: str, role: Role, forge: Forge
) -> Member | Refusal:
    """Add somebody who is a user already: for the operator, who knows everybody.  Others invite."""
    refusal = _check_account(tx, actor, account_id) or check_role(tx, actor, account_id, role)
    if refusal is None and not actor.in_deployment_account:
        refusal = PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
    if refusal is None and tx.user(user_id) is None:
        refusal = NotFound()
    if refusal is None and tx.members(account_id=account_id, user_id=user_id):
        refusal = AlreadyMember()
    if refusal is not None:
        return refused(
            tx, actor, "member.added", refusal, subject_id=user_id, account_id=_recorded(actor, account_id, refusal)
        )
    member = Member(account_id=account_id, user_id=user_id, role=role)
    done(tx, actor, "member.added", account_id=account_id, subject_id=user_id, detail={"role": role.value})
    add(tx, actor=actor, member=member, forge=forge)
    return member


def listing(tx: Transaction, *, actor: Actor, account_id: str) -> Sequence[tuple[Member, User]] | Refusal:
    """The members of an account, to whoever may read it, and to its members."""
    if not actor.may(RIGHT_ACCOUNTS_READ, account_id):
        return NotFound() if account_id != actor.account_id else PermissionMissing(needed=RIGHT_ACCOUNTS_READ)
    found = [(one, tx.user(one.user_id)) for one in tx.members(account_id=account_id)]
    return sorted(((one, user) for one, user in found if user), key=lambda pair: pair[1].email)


def edit(tx: Transaction, *, actor: Actor, account_id: str, user_id: str, role: Role) -> Member | Refusal:
    """Give a member another role; their sessions for that account end, for what they may do has changed."""
    member = _find(tx, actor, account_id, user_id)
    refusal = member if isinstance(member, Refusal) else _check_edit(tx, actor, member, role)
    if isinstance(member, Refusal) or refusal is not None:
        problem = refusal or NotFound()
        recorded = _recorded(actor, account_id, problem)
        return refused(tx, actor, "member.edited", problem, subject_id=user_id, account_id=recorded)
    if member.role is role:
        return member
    edited = replace(member, role=role)
    tx.save_member(edited)
    tx.end_sessions(user_id=user_id, account_id=account_id)
    detail = {"role": role.value, "before": member.role.value}
    done(tx, actor, "member.edited", account_id=account_id, subject_id=user_id, detail=detail)
    _tell(tx, actor, "member.edited", edited)
    _withdraw_invitations(tx, actor, edited)
    return edited


def remove(
    tx: Transaction, *, actor: Actor, account_id: str, user_id: str, keys_to: str | None = None
) -> Removed | Refusal:
    """Take a member out of an account; anybody may leave.  Their sessions for it end.

    Their keys stay with the account: they go to the member `keys_to` names, and are suspended where nobody is named,
    for a key without a person who answers for it is nobody's to look after.
    """
    member = _find(tx, actor, account_id, user_id)
    refusal: Refusal | None = member if isinstance(member, Refusal) else _check_remove(tx, actor, member)
    account = tx.account(account_id)
    live = tx.live_keys([user_id], account_id=account_id, lock=True) if refusal is None else ()
    if refusal is None and keys_to is not None and account is not None:
        refusal = _check_heir(tx, actor, account, keys_to, live)
    if isinstance(member, Refusal) or refusal is not None:
        problem = refusal or NotFound()
        recorded = _recorded(actor, account_id, problem)
        return refused(tx, actor, "member.removed", problem, subject_id=user_id, account_id=recorded)
    tx.remove_member(member)
    tx.end_sessions(user_id=user_id, account_id=account_id)
    detail = {"role": member.role.value, "keys_to": keys_to or "", "keys": str(len(live))}
    done(tx, actor, "member.removed", account_id=account_id, subject_id=user_id, detail=detail)
    _tell(tx, actor, "member.removed", member)
    _withdraw_invitations(tx, actor, member)
    if keys_to is not None:
        return Removed(member=member, handed_over=[_hand_over(tx, actor, one, keys_to) for one in live], suspended=())
    return Removed(member=member, handed_over=(), suspended=[_suspend(tx, actor, one) for one in live])


# What others ask


def beyond_role(tx: Transaction, actor: Actor, account_id: str, role: Role) -> tuple[str, ...]:
    """What the role would let a person do that the actor may not."""
    if actor.in_deployment_account and RIGHT_ADMIN in actor.permissions:
        return ()
    if account_id != tx.deployment_account_id:
        return actor.beyond(RIGHTS[role])
    if account_id != actor.account_id:
        return (RIGHT_ADMIN,)
    return actor.beyond((*RIGHTS[role], *STAFF_RIGHTS.get(role, ())))


def check_role(tx: Transaction, actor: Actor, account_id: str, role: Role) -> Refusal | None:
    """Why the actor may not give somebody that role in the account, or None."""
    if role in STAFF_ROLES and account_id != tx.deployment_account_id:
        return InvalidField(field="role", reason="a role of the operator's own account")
    beyond = beyond_role(tx, actor, account_id, role)
    if beyond:
        return WiderThanActor(beyond=beyond)
    # Whoever manages the account resets its keys: with no more than somebody's open session nobody becomes that.
    return check_recent(tx, actor) if actor.channel is Channel.PERSON and role not in _HARMLESS else None


def check_administers(tx: Transaction, actor: Actor, user_id: str) -> Refusal | None:
    """Why the actor may not act in that user's place; it takes the right over every account the user belongs to.

    A person may not: what they do to themselves comes with its proofs, and for others an operator's credential does it.
    Nor may a customer's own key: whoever has no more than a session makes one, and would be that person by it.
    """
    members = tx.members(user_id=user_id)
    if not any(actor.may(RIGHT_ACCOUNTS_READ, one.account_id) for one in members):
        return NotFound()
    is_operator = actor.channel is not Channel.PERSON and actor.in_deployment_account
    if not is_operator or not all(actor.may(RIGHT_ACCOUNTS_WRITE, one.account_id) for one in members):
        return PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
    if beyond := tuple(right for one in members for right in beyond_role(tx, actor, one.account_id, one.role)):
        return WiderThanActor(beyond=beyond)
    return None


# Shared steps

_HARMLESS = frozenset({Role.MEMBER, Role.AUDITOR})
"""Roles that reach no key but its member's own."""


def _check_account(tx: Transaction, actor: Actor, account_id: str) -> Refusal | None:
    if tx.account(account_id, lock=True) is None or not actor.may(RIGHT_ACCOUNTS_WRITE, account_id):
        return NotFound() if account_id != actor.account_id else PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
    return None


def _find(tx: Transaction, actor: Actor, account_id: str, user_id: str) -> Member | Refusal:
    """A membership, with the account held: who is its last owner is asked of one at a time."""
    if tx.account(account_id, lock=True) is None:
        return NotFound()
    member = next(iter(tx.members(account_id=account_id, user_id=user_id)), None)
    leaves = actor.channel is Channel.PERSON and actor.user_id == user_id
    if member is None or not (leaves or actor.may(RIGHT_ACCOUNTS_READ, account_id)):
        return NotFound()
    return member


def _check_edit(tx: Transaction, actor: Actor, member: Member, role: Role) -> Refusal | None:
    if not actor.may(RIGHT_ACCOUNTS_WRITE, member.account_id):
        return PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
    held = beyond_role(tx, actor, member.account_id, member.role)
    if held:
        return WiderThanActor(beyond=held)
    return check_role(tx, actor, member.account_id, role) or (
        _check_owner_stays(tx, member) if role is not Role.OWNER else None
    )


def _check_remove(tx: Transaction, actor: Actor, member: Member) -> Refusal | None:
    leaves = actor.channel is Channel.PERSON and actor.user_id == member.user_id and not actor.through
    if not leaves:
        if not actor.may(RIGHT_ACCOUNTS_WRITE, member.account_id):
            return PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
        if beyond := beyond_role(tx, actor, member.account_id, member.role):
            return WiderThanActor(beyond=beyond)
    return _check_owner_stays(tx, member)


def _check_owner_stays(tx: Transaction, member: Member) -> Refusal | None:
    owners = {one.user_id for one in tx.members(account_id=member.account_id) if one.role is Role.OWNER}
    return LastOwner() if owners == {member.user_id} else None


def _check_heir(tx: Transaction, actor: Actor, account: Account, user_id: str, keys: Sequence[Key]) -> Refusal | None:
    """Whether that member may take the keys over: within their own limit (K10), by who may hand them out."""
    if user_id not in {one.user_id for one in tx.members(account_id=account.id)}:
        return InvalidField(field="keys_to", reason="no member of the account")
    if beyond := tuple(one for key in keys for one in actor.rights_beyond(key.permissions)):
        return WiderThanActor(beyond=beyond)
    tx.lock_owner(user_id)
    in_force = effective(tx, account, "")
    limit = key_limit(account, in_force.policy, floors(tx, account))
    if tx.count_live_keys(user_id) + len(keys) > limit:
        return KeyLimitReached(limit=limit, policy=in_force.source("max_keys_per_user"))
    return None


def _hand_over(tx: Transaction, actor: Actor, key: Key, owner_id: str) -> Key:
    end_open_reset(tx, actor, key)  # what the one before began is not the other one's
    handed = replace(key, owner_id=owner_id)
    tx.save_key(handed)
    done_to_key(tx, actor, "key.handed_over", handed, detail={"before": key.owner_id, "owner": owner_id})
    return handed


def _suspend(tx: Transaction, actor: Actor, key: Key) -> Key:
    if key.suspension is not None:
        return key
    held = replace(key, suspension=Suspension(at=tx.now, by=actor.id, reason=OWNER_LEFT))
    tx.save_key(held)
    done_to_key(tx, actor, "key.suspended", held, detail={"reason": OWNER_LEFT})
    return held


def _withdraw_invitations(tx: Transaction, actor: Actor, inviter: Member) -> None:
    """Nobody comes in at the word of somebody who has no say any more: it would be their own way back."""
    for one in tx.invitations(inviter.account_id):
        if one.invited_by == inviter.user_id:
            tx.save_invitation(replace(one, ended_at=tx.now))
            detail = {"reason": "inviter_changed"}
            done(tx, actor, "invitation.withdrawn", account_id=one.account_id, subject_id=one.id, detail=detail)


def _tell(tx: Transaction, actor: Actor, action: str, member: Member) -> None:
    tx.tell(
        Notice(
            kind=action,
            account_id=member.account_id,
            owner_id=member.user_id,
            key_id="",
            detail={"role": member.role.value},
            actor_id=actor.id,
            address=actor.address or "",
        )
    )


def _recorded(actor: Actor, account_id: str, refusal: Refusal) -> str:
    """In whose log a refused try stands: not in that of an account the actor may not know of."""
    return actor.account_id if isinstance(refusal, NotFound) else account_id
