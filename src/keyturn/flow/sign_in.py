"""Signing in, from the first proof to the session that it opens."""

from dataclasses import dataclass

from keyturn.core import session as sessions
from keyturn.core.account import Member, User
from keyturn.core.actor import stranger
from keyturn.core.authenticator import Shown
from keyturn.core.captcha import Solved
from keyturn.core.proof import PASSWORD
from keyturn.core.refusal import (
    AuthenticatorRefused,
    ProofRefused,
    Refusal,
    SecondFactorRequired,
    Unauthenticated,
)
from keyturn.core.session import Session, SessionStage, Spans, Visitor
from keyturn.flow import authenticator, device, throttle
from keyturn.flow.evidence import done, refused, tell
from keyturn.flow.session import SignedIn, person, sign_out
from keyturn.flow.throttle import Attempt
from keyturn.ports.authenticators import Authenticators
from keyturn.ports.forge import Forge
from keyturn.ports.transaction import Transaction


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
    if session.stage is SessionStage.OPEN and device.of(tx, visitor, session.user_id) is None:
        who = person(tx, session, address=visitor.address)
        detail = {"user_agent": session.user_agent}
        tell(tx, who, "session.started", account_id=session.account_id, owner_id=session.user_id, detail=detail)
    return device.known(tx, answer, visitor, forge)
