"""Who is there, once more, in a session that is signed in already: before what takes a recent proof (R11)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keyturn.core import authenticator as factor
from keyturn.core.actor import Actor
from keyturn.core.authenticator import Purpose, SessionProof, Shown
from keyturn.core.proof import PASSWORD
from keyturn.core.refusal import AuthenticatorRefused, PersonRequired, Refusal
from keyturn.flow import session, throttle
from keyturn.flow.authenticator import ask_passkey as ask_for_purpose
from keyturn.flow.authenticator import check, check_recent, enrolled
from keyturn.flow.evidence import done, refused
from keyturn.flow.session import SignedIn
from keyturn.ports.authenticators import Authenticators
from keyturn.ports.forge import Forge
from keyturn.ports.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAgain:
    """What was shown, and the session, which may do more now and so goes on under another token."""

    proof: SessionProof
    session: SignedIn


def check_person(actor: Actor) -> Refusal | None:
    """Whether this is somebody who has signed in here themselves: a key never speaks for one (R40)."""
    return None if actor.signed_in else PersonRequired()


def check_change(tx: Transaction, actor: Actor) -> Refusal | None:
    """Whether they may change now what they are known or told by, having lately shown who they are; one at a time."""
    if refusal := check_person(actor):
        return refusal
    tx.lock_owner(actor.user_id)
    return check_recent(tx, actor)


def wanted(tx: Transaction, *, actor: Actor) -> tuple[str, ...]:
    """What is to be shown again before a change of second factors, any of it; empty where it just was."""
    refusal = check_recent(tx, actor)
    return refusal.missing if refusal else ()


def ask_passkey(tx: Transaction, *, actor: Actor, authenticators: Authenticators) -> Mapping[str, Any] | Refusal:
    """What the browser is to ask a passkey."""
    asked = check_person(actor) or ask_for_purpose(
        tx, user_id=actor.user_id, session=actor.session, authenticators=authenticators, purpose=Purpose.SESSION
    )
    if isinstance(asked, Refusal):
        return refused(tx, actor, "session.asked", asked, subject_id=actor.session)
    return asked


def show(
    tx: Transaction, *, actor: Actor, shown: Shown, matched_password: str, forge: Forge, authenticators: Authenticators
) -> ShownAgain | Refusal:
    """Show it.  Wrong ones are counted for the session (K8).

    `matched_password` is the stored form that the shown password was found to match, or empty.
    """
    attempt = throttle.of_session(forge, actor)
    kind = (
        check_person(actor) or throttle.check(tx, attempt) or _check(tx, actor, shown, matched_password, authenticators)
    )
    if isinstance(kind, AuthenticatorRefused):
        throttle.failed(tx, attempt)
    if isinstance(kind, Refusal):
        return refused(tx, actor, "session.proven", kind, subject_id=actor.session)
    rotated = session.rotate(tx, actor=actor, forge=forge)
    if isinstance(rotated, Refusal):
        return refused(tx, actor, "session.proven", rotated, subject_id=actor.session)
    proof = SessionProof(kind=kind, at=tx.now)
    tx.note_session_proof(actor.session, proof)
    if factor.check_recent([proof], enrolled(tx, actor.user_id), now=tx.now) is None:
        # A password that is not enough by itself must not buy new guesses at what is missing.
        throttle.succeeded(tx, attempt)
    detail = {"proof": kind}
    done(tx, actor, "session.proven", account_id=actor.account_id, subject_id=actor.session, detail=detail)
    return ShownAgain(proof=proof, session=rotated)


def _check(
    tx: Transaction, actor: Actor, shown: Shown, matched_password: str, authenticators: Authenticators
) -> str | Refusal:
    if shown.kind == PASSWORD:
        right = bool(matched_password) and tx.password_of(actor.user_id) == matched_password
        return PASSWORD if right else AuthenticatorRefused()
    return check(
        tx,
        user_id=actor.user_id,
        shown=shown,
        session=actor.session,
        authenticators=authenticators,
        purpose=Purpose.SESSION,
    )
