"""Signing in and out: a person's sessions from the first proof to the last, and who speaks through one.

A token is shown once, to the browser or program that signed in.
It changes at every rise of privilege; the one before is nobody's from then on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from keyturn.core import session as sessions
from keyturn.core.account import OWN_KEYS_ONLY, RIGHTS, STAFF_RIGHTS, Member, User
from keyturn.core.actor import Actor, Channel, stranger
from keyturn.core.authenticator import Shown
from keyturn.core.captcha import Solved
from keyturn.core.portal import its_rights
from keyturn.core.proof import PASSWORD
from keyturn.core.refusal import (
    AuthenticatorRefused,
    NotFound,
    ProofRefused,
    Refusal,
    SecondFactorRequired,
    Unauthenticated,
)
from keyturn.core.session import Device, Session, SessionKind, SessionStage, Spans, Visitor
from keyturn.flow import authenticator, throttle
from keyturn.flow.credential import rests_on_good_word
from keyturn.flow.evidence import done, refused, tell
from keyturn.flow.throttle import Attempt
from keyturn.ports import Authenticators, Forge, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A session and its new token, which is here and nowhere else."""

    session: Session
    token: str
    device_token: str = ""
    """A new token for this browser to be known by next time; empty where it has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A session whose second step is still to come, and with what it may be taken."""

    session: Session
    user: User
    enrolled: frozenset[str]


def named(tx: Transaction, user: str) -> User | None:
    """Whom somebody means who signs in with that user name or e-mail address."""
    text = user.strip().lower()
    return tx.user_by_email(text) if "@" in text else tx.user_by_username(text)


def ask(tx: Transaction, *, user: str, visitor: Visitor, captcha: Solved | None, forge: Forge) -> str | Refusal:
    """Before the password is reckoned with: its stored form, or empty for one who has none, or is none.

    A try that comes too early is turned away here.  That leaves no record, for nothing was looked at: whoever sends
    them by the thousand is not to fill the log.  The failure that brought the delay about has its record.
    """
    found = named(tx, user)
    attempt = throttle.of_stranger(tx, forge, user=found, typed=user, visitor=visitor, captcha=captcha)
    return throttle.look(tx, attempt) or tx.password_of(found.id if found else "")


def sign_in(
    tx: Transaction,
    *,
    user: str,
    matched_password: str,
    account_id: str | None,
    visitor: Visitor,
    spans: Spans,
    forge: Forge,
    captcha: Solved | None = None,
    earlier: bytes | None = None,
) -> SignedIn | Refusal:
    """Open a session for a user whose password matched; where a second factor is enrolled, one that waits for it.

    `matched_password` is the stored form that the shown password was found to match, or empty; it was checked outside,
    for Argon2 is too slow to hold a transaction for.  `earlier` is the token that the browser still shows: it ends.
    """
    first = _first_step(tx, user, matched_password, account_id, visitor, captcha, forge)
    if isinstance(first, Refusal):
        return first
    member, attempt = first
    answer = begin(tx, member, how=PASSWORD, visitor=visitor, spans=spans, forge=forge, earlier=earlier)
    if answer.session.stage is SessionStage.OPEN:
        throttle.succeeded(tx, attempt)
    return answer


def sign_in_at_once(
    tx: Transaction,
    *,
    user: str,
    matched_password: str,
    account_id: str | None,
    second: Shown | None,
    visitor: Visitor,
    spans: Spans,
    forge: Forge,
    authenticators: Authenticators,
    captcha: Solved | None = None,
) -> SignedIn | Refusal:
    """The same in one call, for programs: what is enrolled is shown with the password, or the answer names it."""
    first = _first_step(tx, user, matched_password, account_id, visitor, captcha, forge)
    if isinstance(first, Refusal):
        return first
    member, attempt = first
    enrolled = authenticator.enrolled(tx, member.user_id)
    kind: str | Refusal = ""
    if enrolled and second is None:
        kind = SecondFactorRequired(enrolled=tuple(sorted(enrolled)))
    elif enrolled and second is not None:
        attempt = throttle.of_second_step(forge, attempt, user_id=member.user_id)
        kind = throttle.check(tx, attempt) or authenticator.check(
            tx, user_id=member.user_id, shown=second, session="", authenticators=authenticators
        )
    if isinstance(kind, Refusal):
        if isinstance(kind, AuthenticatorRefused):
            throttle.failed(tx, attempt)
        who = stranger(visitor.address)
        return refused(tx, who, "session.started", kind, subject_id=member.user_id, account_id=member.account_id)
    throttle.succeeded(tx, attempt)
    how = (PASSWORD, kind) if kind else (PASSWORD,)
    return _begin(tx, member, how=how, second_factor=False, visitor=visitor, spans=spans, forge=forge)


def begin(
    tx: Transaction,
    member: Member,
    *,
    how: str,
    visitor: Visitor,
    spans: Spans,
    forge: Forge,
    earlier: bytes | None = None,
) -> SignedIn:
    """A session for a member whose first proof was right: their password, or the word of an OIDC provider."""
    if earlier is not None:
        sign_out(tx, digest=earlier, address=visitor.address)
    second_factor = bool(authenticator.enrolled(tx, member.user_id))
    return _begin(tx, member, how=(how,), second_factor=second_factor, visitor=visitor, spans=spans, forge=forge)


def waiting(tx: Transaction, digest: bytes) -> Waiting | None:
    """The session of that token whose second step is still to come, or None."""
    session = tx.session(digest)
    if session is None or not sessions.awaits_second_factor(session, tx.now):
        return None
    user = tx.user(session.user_id)
    assert user is not None  # noqa: S101  # a foreign key holds it
    return Waiting(session=session, user=user, enrolled=authenticator.enrolled(tx, user.id))


def second_step(
    tx: Transaction,
    *,
    digest: bytes,
    second: Shown,
    visitor: Visitor,
    spans: Spans,
    forge: Forge,
    authenticators: Authenticators,
) -> SignedIn | Refusal:
    """Show the second factor; the session opens under another token."""
    seen = tx.session(digest)
    if seen is None or not sessions.awaits_second_factor(seen, tx.now):
        return refused(tx, stranger(visitor.address), "session.opened", Unauthenticated(), subject_id="")
    user = tx.user(seen.user_id)
    attempt = throttle.of_stranger(tx, forge, user=user, typed="", visitor=visitor, captcha=None)
    attempt = throttle.of_second_step(forge, attempt, user_id=seen.user_id)
    held = throttle.check(tx, attempt)
    session = tx.session(digest, lock=True)  # after the counters, as everywhere
    if session is None or not sessions.awaits_second_factor(session, tx.now):
        return refused(tx, stranger(visitor.address), "session.opened", Unauthenticated(), subject_id="")
    kind = held or authenticator.check(
        tx, user_id=session.user_id, shown=second, session=session.id, authenticators=authenticators
    )
    if isinstance(kind, Refusal):
        if isinstance(kind, AuthenticatorRefused):
            throttle.failed(tx, attempt)
        return _refused_step(tx, session, visitor, kind)
    throttle.succeeded(tx, attempt)
    opened = sessions.opened(session, how=kind, spans=spans, now=tx.now)
    token, digest = forge.token()
    tx.save_session(opened, digest=digest)
    actor, detail = person(tx, opened, address=visitor.address), {"how": kind}
    done(tx, actor, "session.opened", account_id=opened.account_id, subject_id=opened.id, detail=detail)
    return _arrived(tx, SignedIn(session=opened, token=token), visitor, forge)


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


def _begin(
    tx: Transaction,
    member: Member,
    *,
    how: tuple[str, ...],
    second_factor: bool,
    visitor: Visitor,
    spans: Spans,
    forge: Forge,
) -> SignedIn:
    token, digest = forge.token()
    session = sessions.begin(
        forge.id("ses"),
        user_id=member.user_id,
        account_id=member.account_id,
        role=member.role,
        how=how,
        second_factor=second_factor,
        visitor=visitor,
        spans=spans,
        now=tx.now,
    )
    tx.insert_session(session, digest=digest)
    actor = person(tx, session, address=visitor.address)
    detail = {"how": "+".join(how), "stage": session.stage.value}
    done(tx, actor, "session.started", account_id=session.account_id, subject_id=session.id, detail=detail)
    return _arrived(tx, SignedIn(session=session, token=token), visitor, forge)


def _first_step(
    tx: Transaction,
    user: str,
    matched_password: str,
    account_id: str | None,
    visitor: Visitor,
    captcha: Solved | None,
    forge: Forge,
) -> tuple[Member, Attempt] | Refusal:
    """The membership a session begins with; one answer and one record whatever was wrong.

    What was typed as the name is not written down, for it may be a password.
    """
    found = named(tx, user)
    user_id = found.id if found else ""  # nobody has that id: the same is asked of the store, whoever was meant
    of_user = tx.members(user_id=user_id)
    member = next((one for one in of_user if account_id in (None, one.account_id)), None)
    attempt = throttle.of_stranger(tx, forge, user=found, typed=user, visitor=visitor, captcha=captcha)
    refusal = throttle.check(tx, attempt)
    if refusal is None:
        tx.lock_owner(user_id)  # a change of the password comes before, or ends the session that begins here
        stored = tx.password_of(user_id)
        if member is not None and matched_password and matched_password == stored:
            return member, attempt
        throttle.failed(tx, attempt)
        refusal = Unauthenticated()
    return refused(
        tx,
        stranger(visitor.address),
        "session.started",
        refusal,
        subject_id=user_id,
        account_id=of_user[0].account_id if of_user else "",
    )


def _refused_step(tx: Transaction, session: Session, visitor: Visitor, refusal: Refusal) -> Refusal:
    """Count a second factor that was wrong; one that cannot be shown here at all counts for nothing."""
    actor = person(tx, session, address=visitor.address)
    if isinstance(refusal, AuthenticatorRefused):
        counted, left = sessions.count_refused_step(session)
        refusal = ProofRefused(attempts_left=left)
        if counted is None:
            tx.end_sessions(session_id=session.id)
        else:
            tx.save_session(counted)
    return refused(tx, actor, "session.opened", refusal, subject_id=session.id)


def _arrived(tx: Transaction, answer: SignedIn, visitor: Visitor, forge: Forge) -> SignedIn:
    """The same, known from now on; its owner is told of a sign-in from a browser that was not known before (R50)."""
    session = answer.session
    if session.stage is SessionStage.OPEN and _device(tx, visitor, session.user_id) is None:
        who = person(tx, session, address=visitor.address)
        detail = {"user_agent": session.user_agent}
        tell(tx, who, "session.started", account_id=session.account_id, owner_id=session.user_id, detail=detail)
    return known(tx, answer, visitor, forge)


def _device(tx: Transaction, visitor: Visitor, user_id: str) -> Device | None:
    """The browser that shows itself, where it is one of that user's."""
    device = tx.device(visitor.device) if visitor.device else None
    return device if device is not None and device.user_id == user_id else None


def known(tx: Transaction, answer: SignedIn, visitor: Visitor, forge: Forge) -> SignedIn:
    """The same with a token for this browser, once the session is open, unless it shows a good one."""
    session = answer.session
    if session.stage is not SessionStage.OPEN:
        return answer
    device = _device(tx, visitor, session.user_id)
    if device is not None:
        tx.save_device(replace(device, seen_at=tx.now))
        return answer
    return replace(answer, device_token=new_device(tx, session.user_id, forge)) if visitor.remember else answer


def new_device(tx: Transaction, user_id: str, forge: Forge) -> str:
    """The token of one more browser of that user."""
    token, digest = forge.device_token()
    made = Device(id=forge.id("dev"), user_id=user_id, made_at=tx.now, seen_at=tx.now)
    tx.insert_device(made, digest=digest)
    return token


def _rotated(tx: Transaction, session: Session, forge: Forge) -> SignedIn:
    token, digest = forge.token()
    rotated = sessions.rotated(session)
    tx.save_session(rotated, digest=digest)
    return SignedIn(session=rotated, token=token)


def _own(tx: Transaction, actor: Actor) -> Session | None:
    session = tx.session_by_id(actor.session, lock=True) if actor.session else None
    return session if session is not None and session.user_id == actor.user_id else None
