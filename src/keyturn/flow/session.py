"""A person's sessions once they have begun: who speaks through one, what it changes into, how it ends.

A token is shown once, to the browser or program that signed in.
It changes at every rise of privilege; the one before is nobody's from then on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from keyturn.core import session as sessions
from keyturn.core.account import OWN_KEYS_ONLY, RIGHTS, STAFF_RIGHTS, Member
from keyturn.core.actor import Actor, Channel
from keyturn.core.portal import its_rights
from keyturn.core.refusal import (
    NotFound,
    Refusal,
)
from keyturn.core.session import Session, SessionKind, Spans
from keyturn.flow.credential import rests_on_good_word
from keyturn.flow.evidence import done, refused
from keyturn.ports.forge import Forge
from keyturn.ports.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A session and its new token, which is here and nowhere else."""

    session: Session
    token: str
    device_token: str = ""
    """A new token for this browser to be known by next time; empty where it has one."""


def whose(
    tx: Transaction, digest: bytes, *, address: str | None, kind: SessionKind = SessionKind.PERSON
) -> Actor | None:
    """The person behind the token of an open session of that kind, or None.

    It ends with the membership and the role that it began with, also where it began while those were being changed.
    """
    session = tx.session(digest)
    if session is None or session.kind is not kind or not sessions.is_open(session, tx.now):
        return None
    if Member(account_id=session.account_id, user_id=session.user_id, role=session.role) not in tx.members(
        account_id=session.account_id, user_id=session.user_id
    ):
        return None
    actor = person(tx, session, address=address)
    return actor if rests_on_good_word(tx, actor) else None


def is_due(tx: Transaction, digest: bytes) -> bool:
    """Whether the use of that session is to be written down again."""
    session = tx.session(digest)
    return session is not None and sessions.is_open(session, tx.now) and sessions.is_due(session, tx.now)


def seen(tx: Transaction, digest: bytes, *, spans: Spans) -> None:
    """Write down that the session is in use, which puts its idle end off."""
    session = tx.session(digest, lock=True)
    if session is not None and sessions.is_open(session, tx.now) and sessions.is_due(session, tx.now):
        tx.save_session(sessions.seen(session, spans=spans, now=tx.now))


def person(tx: Transaction, session: Session, *, address: str | None) -> Actor:
    """A signed-in user as an actor, or one who came through an operator's portal: they reach their own keys only."""
    portal = tx.portal_of(session.id) if session.kind is SessionKind.PORTAL else None
    in_deployment_account = session.account_id == tx.deployment_account_id and portal is None
    for_customers = STAFF_RIGHTS.get(session.role, ()) if in_deployment_account else ()
    return Actor(
        id=session.user_id,
        channel=Channel.PERSON,
        account_id=session.account_id,
        user_id=session.user_id,
        permissions=its_rights(session.role) if portal else (*RIGHTS[session.role], *for_customers),
        in_deployment_account=in_deployment_account,
        own_keys_only=session.role in OWN_KEYS_ONLY or portal is not None,
        address=address,
        secret_version=session.version,
        session=session.id,
        through=portal.by if portal else "",
    )


def rotate(tx: Transaction, *, actor: Actor, forge: Forge) -> SignedIn | Refusal:
    """Another token for the actor's own session, as part of a step after which it may do more."""
    session = _own(tx, actor)
    return NotFound() if session is None else _rotated(tx, session, forge)


def choose_account(tx: Transaction, *, actor: Actor, account_id: str, forge: Forge) -> SignedIn | Refusal:
    """Speak for another account that the user is a member of, in the same session under another token."""
    session = _own(tx, actor)
    member = next(iter(tx.members(account_id=account_id, user_id=actor.user_id)), None)
    if session is None or member is None or actor.through:
        return refused(tx, actor, "session.account_chosen", NotFound(), subject_id=actor.session)
    done(tx, actor, "session.account_chosen", account_id=account_id, subject_id=session.id)
    return _rotated(tx, replace(session, account_id=account_id, role=member.role), forge)


def listing(tx: Transaction, *, actor: Actor) -> Sequence[Session]:
    """The actor's own sessions that are on, the one used last first."""
    return tx.sessions_of(actor.user_id) if actor.session else ()


def end(tx: Transaction, *, actor: Actor, session_id: str) -> int | Refusal:
    """End one of the actor's own sessions, also the one they speak through."""
    session = tx.session_by_id(session_id, lock=True)
    if session is None or session.user_id != actor.user_id or not actor.session:
        return refused(tx, actor, "session.ended", NotFound(), subject_id=session_id)
    done(tx, actor, "session.ended", account_id=session.account_id, subject_id=session.id)
    return tx.end_sessions(session_id=session.id)


def end_others(tx: Transaction, *, actor: Actor) -> int | Refusal:
    """End every session of the actor but the one they speak through; answers how many."""
    if not actor.session:
        return refused(tx, actor, "session.others_ended", NotFound(), subject_id="")
    count = tx.end_sessions(user_id=actor.user_id, but=actor.session)
    detail = {"sessions": str(count)}
    done(tx, actor, "session.others_ended", account_id=actor.account_id, subject_id=actor.user_id, detail=detail)
    return count


def sign_out(tx: Transaction, *, digest: bytes, address: str | None) -> None:
    """End the session of that token, also one that still waits for its second step."""
    session = tx.session(digest, lock=True)
    if session is None:
        return
    tx.end_sessions(session_id=session.id)
    done(
        tx,
        person(tx, session, address=address),
        "session.ended",
        account_id=session.account_id,
        subject_id=session.id,
    )


def _rotated(tx: Transaction, session: Session, forge: Forge) -> SignedIn:
    token, digest = forge.token()
    rotated = sessions.rotated(session)
    tx.save_session(rotated, digest=digest)
    return SignedIn(session=rotated, token=token)


def _own(tx: Transaction, actor: Actor) -> Session | None:
    session = tx.session_by_id(actor.session, lock=True) if actor.session else None
    return session if session is not None and session.user_id == actor.user_id else None
