"""Portals: made by an operator's credential, opened once, by the person it speaks of (K1 to K3, R51)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from keyturn.core import portal as portals
from keyturn.core.account import Account, Member, Role
from keyturn.core.actor import Actor, Channel, stranger
from keyturn.core.instant import Instant, later
from keyturn.core.permission import RIGHT_ACCOUNTS_WRITE, RIGHT_ADMIN
from keyturn.core.portal import Portal
from keyturn.core.proof import Proof, vouched
from keyturn.core.refusal import (
    CredentialRequired,
    InvalidField,
    NotFound,
    PermissionMissing,
    Refusal,
    VouchingForbidden,
)
from keyturn.core.session import Session, SessionKind, Visitor
from keyturn.flow import session as sessions
from keyturn.flow.evidence import done, refused
from keyturn.flow.policy import effective
from keyturn.ports.forge import Forge
from keyturn.ports.transaction import Transaction

MINTED: Final = "portal.minted"
OPENED: Final = "portal.opened"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalWish:
    """For whom a portal is to be, and what the operator has seen that person show."""

    account_id: str
    user_id: str | None
    proofs: Sequence[tuple[str, Instant]]
    embed_origin: str
    return_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Minted:
    """A portal, the token of its link, which is here and nowhere else, and which proofs count as things stand."""

    portal: Portal
    token: str
    counting: Sequence[Proof]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unopened:
    """What the page of a link says before anything is posted."""

    portal: Portal
    operator: str
    account: Account
    user_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The session that a portal has become, and its token, which is here and nowhere else."""

    portal: Portal
    session: Session
    token: str


def mint(tx: Transaction, *, actor: Actor, wish: PortalWish, origins: Sequence[str], forge: Forge) -> Minted | Refusal:
    """Make a link for one member of one account.  `origins` are those that portals may be framed by or lead back to."""
    account = tx.account(wish.account_id)
    if account is None or not actor.may(RIGHT_ACCOUNTS_WRITE, wish.account_id):
        foreign = wish.account_id != actor.account_id
        refusal: Refusal = NotFound() if foreign else PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
        return refused(tx, actor, MINTED, refusal, subject_id=wish.account_id)
    said = portals.read_vouched(wish.proofs, now=tx.now)
    member = _member(tx, wish)
    checked = _check_actor(tx, actor, account) or _check_addresses(wish, origins)
    for answer in (checked, member, said):
        if isinstance(answer, Refusal):
            return refused(tx, actor, MINTED, answer, subject_id=account.id, account_id=account.id)
    assert isinstance(member, Member)  # noqa: S101  # the loop above has told otherwise
    assert not isinstance(said, InvalidField)  # noqa: S101  # as above
    in_force = effective(tx, account, "")
    if said and in_force.policy.vouching == "forbidden":
        forbidden = VouchingForbidden(policy=in_force.source("vouching"))
        return refused(tx, actor, MINTED, forbidden, subject_id=account.id, account_id=account.id)
    portal = Portal(
        id=forge.id("prt"),
        account_id=account.id,
        user_id=member.user_id,
        by=actor.id,
        by_version=actor.secret_version,
        made_at=tx.now,
        ends_at=later(tx.now, portals.OPENS_WITHIN),
        vouched=said,
        embed_origin=wish.embed_origin,
        return_url=wish.return_url,
    )
    token, digest = forge.portal_token()
    tx.insert_portal(portal, digest=digest)
    detail = {"user": portal.user_id} | {f"vouched_{kind}": at for kind, at in said.items()}
    if portal.embed_origin:
        detail["embed_origin"] = portal.embed_origin
    done(tx, actor, MINTED, account_id=account.id, subject_id=portal.id, detail=detail)
    lasts = in_force.policy.proof_lasts
    proofs = vouched(said, by=actor.id, session="", now=tx.now)
    return Minted(portal=portal, token=token, counting=[one for one in proofs if one.is_fresh(tx.now, lasts)])


def look(tx: Transaction, *, digest: bytes) -> Unopened | Refusal:
    """What a link would open; looking changes nothing (R51)."""
    portal = tx.portal(digest)
    credential = tx.key(portal.by) if portal else None
    refusal = portals.may_open(portal, credential, framed_by="", now=tx.now)
    if refusal is not None or portal is None:
        return refusal or NotFound()
    operator, account = tx.account(tx.deployment_account_id), tx.account(portal.account_id)
    user = tx.user(portal.user_id)
    assert operator is not None  # noqa: S101  # made at bootstrap
    assert account is not None  # noqa: S101  # a foreign key holds it
    assert user is not None  # noqa: S101  # as above
    return Unopened(portal=portal, operator=operator.name, account=account, user_name=user.name or user.email)


def open_(
    tx: Transaction,
    *,
    digest: bytes,
    framed_by: str,
    visitor: Visitor,
    idle: timedelta,
    forge: Forge,
    earlier: bytes | None = None,
) -> Opened | Refusal:
    """Open a link, once.  `framed_by` is the origin whose page posted it, or empty where a page of ours did.

    `earlier` is the token that the browser still shows: that session ends.
    """
    portal = tx.portal(digest, lock=True)
    who = stranger(visitor.address)
    credential = tx.key(portal.by) if portal else None
    refusal = portals.may_open(portal, credential, framed_by=framed_by, now=tx.now)
    of_account = tx.members(account_id=portal.account_id, user_id=portal.user_id) if portal else ()
    member = next(iter(of_account), None)
    if refusal is not None or portal is None or member is None:
        subject, account_id = (portal.id, portal.account_id) if portal else ("", "")
        return refused(tx, who, OPENED, refusal or NotFound(), subject_id=subject, account_id=account_id)
    if earlier is not None:
        sessions.sign_out(tx, digest=earlier, address=visitor.address)
    portal, session = portals.opened(portal, forge.id("ses"), role=member.role, visitor=visitor, idle=idle, now=tx.now)
    token, digest = forge.token()
    tx.save_portal(portal)
    tx.insert_session(session, digest=digest)
    detail = {"session": session.id} | ({"framed_by": framed_by} if framed_by else {})
    person = sessions.person(tx, session, address=visitor.address)
    done(tx, person, OPENED, account_id=portal.account_id, subject_id=portal.id, detail=detail)
    return Opened(portal=portal, session=session, token=token)


def of_token(tx: Transaction, digest: bytes) -> Portal | None:
    """The portal that became the session of that token, also one that is over: its last page says so."""
    session = tx.session(digest)
    if session is None or session.kind is not SessionKind.PORTAL:
        return None
    return tx.portal_of(session.id)


def _check_actor(tx: Transaction, actor: Actor, account: Account) -> Refusal | None:
    if actor.channel is not Channel.MACHINE:
        return CredentialRequired()
    if not actor.in_deployment_account:
        # A customer's own key must not speak for the customer's people.
        return PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
    if account.id == tx.deployment_account_id and not actor.may(RIGHT_ADMIN, account.id):
        # The operator's own people hold the keys to everything.
        return PermissionMissing(needed=RIGHT_ADMIN)
    return None


def _check_addresses(wish: PortalWish, origins: Sequence[str]) -> InvalidField | None:
    if wish.embed_origin and wish.embed_origin not in origins:
        return InvalidField(field="embed_origin", reason="not one of the setting portal_origins")
    if wish.return_url and portals.origin_of(wish.return_url) not in origins:
        return InvalidField(field="return_url", reason="its origin is not one of the setting portal_origins")
    return None


def _member(tx: Transaction, wish: PortalWish) -> Member | InvalidField:
    members = tx.members(account_id=wish.account_id)
    if wish.user_id is None:
        owners = [one for one in members if one.role is Role.OWNER]
        if len(owners) != 1:
            # Which of several owners is meant is the operator's to say: what is done in a portal goes on their record.
            found = "several owners" if owners else "no owner"
            return InvalidField(field="user_id", reason=f"the account has {found}; name a member")
        return owners[0]
    named = next((one for one in members if one.user_id == wish.user_id), None)
    return named or InvalidField(field="user_id", reason="no member of the account")
