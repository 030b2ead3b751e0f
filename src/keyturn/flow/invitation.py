"""Invitations by mail: made, listed, withdrawn, and accepted by whoever the mail reached."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from keyturn.core import invitation as invitations
from keyturn.core.account import Account, Member, Role, User
from keyturn.core.actor import Actor, Channel, reader, stranger
from keyturn.core.instant import later
from keyturn.core.invitation import MOST_OPEN, Invitation
from keyturn.core.letter import Letter
from keyturn.core.link import LASTS, Link, LinkKind, check_link
from keyturn.core.password import Fitted
from keyturn.core.permission import RIGHT_ACCOUNTS_READ, RIGHT_ACCOUNTS_WRITE
from keyturn.core.refusal import (
    AlreadyMember,
    NameTaken,
    NotFound,
    PermissionMissing,
    PersonRequired,
    Refusal,
    TooManyInvitations,
)
from keyturn.core.session import Spans, Visitor
from keyturn.flow import member as members
from keyturn.flow import sign_in, throttle
from keyturn.flow.evidence import done, refused
from keyturn.flow.session import SignedIn
from keyturn.ports.forge import Forge
from keyturn.ports.transaction import Transaction

INVITED = "invitation"
"""How a session began that follows from an accepted invitation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a mailed invitation says before anything is posted."""

    invitation: Invitation
    account: Account
    invited_by: str
    """The name of whose word it is, where it is a person's."""
    is_user: bool
    """Whether the address is a user's already, who signs in to accept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """Who somebody wants to be who accepts an invitation and is no user yet."""

    name: str
    username: str
    password: Fitted
    language: str = ""


def invite(
    tx: Transaction, *, actor: Actor, account_id: str, email: str, role: Role, language: str, forge: Forge
) -> Invitation | Refusal:
    """Mail an invitation; one that is open for the same address ends."""
    account = tx.account(account_id, lock=True)
    refusal: Refusal | None = None
    if account is None or not actor.may(RIGHT_ACCOUNTS_WRITE, account_id):
        foreign = account_id != actor.account_id
        refusal = NotFound() if foreign else PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
    opened = () if refusal else tx.invitations(account_id)
    refusal = refusal or members.check_role(tx, actor, account_id, role) or _check_address(tx, account_id, email)
    if refusal is None and len([one for one in opened if one.email != email]) >= MOST_OPEN:
        refusal = TooManyInvitations(limit=MOST_OPEN)
    letters = throttle.of_letter(forge, kind=LinkKind.INVITATION, to=email, account_id=account_id)
    refusal = refusal or throttle.check(tx, letters)
    if refusal is not None or account is None:
        problem = refusal or NotFound()
        recorded = actor.account_id if isinstance(problem, NotFound) else account_id
        return refused(tx, actor, "invitation.made", problem, subject_id=account_id, account_id=recorded)
    throttle.failed(tx, letters)
    for one in opened:
        if one.email == email:
            _end(tx, one)
    made = Invitation(
        id=forge.id("inv"),
        account_id=account_id,
        email=email,
        role=role,
        invited_by=actor.user_id if actor.channel is Channel.PERSON else actor.id,
        made_at=tx.now,
        ends_at=later(tx.now, LASTS[LinkKind.INVITATION]),
    )
    tx.insert_invitation(made)
    link = Link(
        id=forge.id("lnk"),
        kind=LinkKind.INVITATION,
        made_at=tx.now,
        ends_at=made.ends_at,
        account_id=account_id,
        subject_id=made.id,
        email=email,
    )
    _text, digest = forge.link_token(link.id)
    tx.insert_link(link, digest=digest)
    detail = {"account": account.name, "by": _name(tx, made), "role": role.value}
    tx.send(Letter(kind="invitation", to=email, language=language, link_id=link.id, detail=detail))
    done(tx, actor, "invitation.made", account_id=account_id, subject_id=made.id, detail={"role": role.value})
    return made


def listing(tx: Transaction, *, actor: Actor, account_id: str) -> Sequence[Invitation] | Refusal:
    """Those that can still be accepted."""
    if not actor.may(RIGHT_ACCOUNTS_READ, account_id):
        return NotFound() if account_id != actor.account_id else PermissionMissing(needed=RIGHT_ACCOUNTS_READ)
    return tx.invitations(account_id)


def withdraw(tx: Transaction, *, actor: Actor, account_id: str, invitation_id: str) -> Invitation | Refusal:
    """Take one back."""
    found = tx.invitation(invitation_id, lock=True)
    refusal: Refusal | None = None
    if found is None or found.account_id != account_id or not actor.may(RIGHT_ACCOUNTS_READ, account_id):
        refusal = NotFound()
    elif not actor.may(RIGHT_ACCOUNTS_WRITE, account_id):
        refusal = PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
    elif not invitations.is_open(found, tx.now):
        refusal = invitations.check_open(found, tx.now)
    if refusal is not None or found is None:
        problem = refusal or NotFound()
        recorded = actor.account_id if isinstance(problem, NotFound) else account_id
        return refused(tx, actor, "invitation.withdrawn", problem, subject_id=invitation_id, account_id=recorded)
    done(tx, actor, "invitation.withdrawn", account_id=account_id, subject_id=found.id)
    return _end(tx, found)


def opened(tx: Transaction, digest: bytes) -> Opened | Refusal:
    """What the link of that token says; it is not used by being looked at."""
    found = _find(tx, digest)
    if isinstance(found, Refusal):
        return found
    _link, invitation = found
    account = tx.account(invitation.account_id)
    assert account is not None  # noqa: S101  # a foreign key holds it
    is_user = tx.user_by_email(invitation.email) is not None
    return Opened(invitation=invitation, account=account, invited_by=_name(tx, invitation), is_user=is_user)


def accept_anew(
    tx: Transaction,
    *,
    digest: bytes,
    newcomer: Newcomer,
    visitor: Visitor,
    spans: Spans,
    forge: Forge,
    how: str = INVITED,
) -> SignedIn | Refusal:
    """Become a user and a member, and be signed in: the mail has shown whose address it is."""
    who = stranger(visitor.address)
    found = _find(tx, digest, lock=True)
    if isinstance(found, Refusal):
        return refused(tx, who, "invitation.accepted", found, subject_id="")
    link, invitation = found
    refusal: Refusal | None = None
    if tx.user_by_email(invitation.email) is not None:
        refusal = NameTaken(field="email")  # whoever has that address signs in and joins
    elif newcomer.username and tx.user_by_username(newcomer.username) is not None:
        refusal = NameTaken(field="username")
    elif isinstance(newcomer.password, Refusal):
        refusal = newcomer.password
    if refusal is not None or isinstance(newcomer.password, Refusal):
        problem = refusal or NotFound()
        account_id = invitation.account_id
        return refused(tx, who, "invitation.accepted", problem, subject_id=invitation.id, account_id=account_id)
    user = User(
        id=forge.id("usr"),
        email=invitation.email,
        name=newcomer.name,
        username=newcomer.username,
        language=newcomer.language,
        created_at=tx.now,
    )
    tx.insert_user(user, password=newcomer.password)
    joined = _join(tx, reader(user.id, visitor.address), link, invitation, user.id, forge)
    return sign_in.begin(tx, joined, how=how, visitor=visitor, spans=spans, forge=forge)


def join(tx: Transaction, *, actor: Actor, digest: bytes, forge: Forge) -> Member | Refusal:
    """Accept an invitation as the user who is signed in."""
    found = _find(tx, digest, lock=True)
    refusal: Refusal | None = found if isinstance(found, Refusal) else None
    if refusal is None and not actor.signed_in:
        refusal = PersonRequired()
    if isinstance(found, Refusal) or refusal is not None:
        return refused(tx, actor, "invitation.accepted", refusal or NotFound(), subject_id="")
    link, invitation = found
    if tx.members(account_id=invitation.account_id, user_id=actor.user_id):
        return refused(tx, actor, "invitation.accepted", AlreadyMember(), subject_id=invitation.id)
    return _join(tx, actor, link, invitation, actor.user_id, forge)


def _join(tx: Transaction, actor: Actor, link: Link, invitation: Invitation, user_id: str, forge: Forge) -> Member:
    tx.spend_link(link)
    tx.save_invitation(replace(invitation, ended_at=tx.now, accepted_by=user_id))
    member = Member(account_id=invitation.account_id, user_id=user_id, role=invitation.role)
    detail = {"role": member.role.value, "user": user_id}
    done(tx, actor, "invitation.accepted", account_id=member.account_id, subject_id=invitation.id, detail=detail)
    members.add(tx, actor=actor, member=member, forge=forge)
    return member


def _find(tx: Transaction, digest: bytes, *, lock: bool = False) -> tuple[Link, Invitation] | Refusal:
    """The link and its invitation, where both still hold."""
    link = tx.link(digest, lock=lock)
    refusal = check_link(link, LinkKind.INVITATION, session="", now=tx.now)
    if refusal is not None or link is None:
        return refusal or NotFound()
    invitation = tx.invitation(link.subject_id, lock=lock)
    refusal = invitations.check_open(invitation, tx.now)
    return refusal or NotFound() if refusal is not None or invitation is None else (link, invitation)


def _check_address(tx: Transaction, account_id: str, email: str) -> Refusal | None:
    user = tx.user_by_email(email)
    if user is not None and tx.members(account_id=account_id, user_id=user.id):
        return AlreadyMember()
    return None


def _end(tx: Transaction, invitation: Invitation) -> Invitation:
    ended = replace(invitation, ended_at=tx.now)
    tx.save_invitation(ended)
    return ended


def _name(tx: Transaction, invitation: Invitation) -> str:
    user = tx.user(invitation.invited_by)
    return user.name if user else ""
