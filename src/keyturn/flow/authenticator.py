"""Second factors of a person: enrol, list, rename, remove, show (K2, R11).

Only the person does any of it, in a session that has lately seen proof again; a key never speaks for one (R40).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from keyturn.core import authenticator as factor
from keyturn.core.actor import Actor, Channel
from keyturn.core.authenticator import CHALLENGE_LASTS, Authenticator, Challenge, Purpose, SessionProof, Shown
from keyturn.core.instant import later
from keyturn.core.notice import Notice
from keyturn.core.proof import PASSKEY, PASSWORD, RECOVERY_CODE, SECOND_FACTORS, TOTP
from keyturn.core.refusal import (
    AuthenticatorRefused,
    NotFound,
    PasskeysUnavailable,
    PersonRequired,
    ProofRequired,
    Refusal,
)
from keyturn.core.secret import SecretText
from keyturn.flow.evidence import done, refused, tell
from keyturn.ports import Factors, Forge, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class TotpEnrolment:
    """An app's secret, shown this once; it proves nothing until a first code confirms it."""

    authenticator: Authenticator
    secret: SecretText
    uri: SecretText


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """A second factor that proves something from now on; with the first one comes a set of recovery codes."""

    authenticator: Authenticator
    recovery_codes: Sequence[SecretText] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What a person has enrolled."""

    authenticators: Sequence[Authenticator]
    recovery_codes_left: int


# What others ask


def enrolled(tx: Transaction, user_id: str) -> frozenset[str]:
    """The kinds of second factor that this person can show."""
    return factor.enrolled(tx.authenticators(user_id), recovery_codes=tx.count_recovery_codes(user_id))


def check(
    tx: Transaction,
    *,
    user_id: str,
    shown: Shown,
    session: str,
    factors: Factors,
    purpose: Purpose = Purpose.SIGN_IN,
    subject_id: str = "",
) -> str | Refusal:
    """The kind of the second factor that was shown, which is used up with it; or the one refusal for a wrong one."""
    if shown.kind == PASSKEY and factors.no_passkeys:
        return PasskeysUnavailable(reason=factors.no_passkeys)
    used: bool
    if shown.kind == RECOVERY_CODE:
        used = _use_recovery_code(tx, user_id, shown.code, factors)
    elif shown.kind == PASSKEY:
        used = _use_passkey(tx, user_id, shown, session, factors, purpose, subject_id)
    else:
        used = shown.kind == TOTP and _use_totp(tx, user_id, shown.code, factors)
    return shown.kind if used else AuthenticatorRefused()


def ask_passkey(
    tx: Transaction, *, user_id: str, session: str, factors: Factors, purpose: Purpose, subject_id: str = ""
) -> Mapping[str, Any] | Refusal:
    """What the browser is to ask a passkey: a challenge for one purpose in one session, which its first use takes."""
    known = [one.credential_id for one in _passkeys(tx, user_id) if one.credential_id is not None]
    if factors.no_passkeys:
        return PasskeysUnavailable(reason=factors.no_passkeys)
    if not known:
        return NotFound()
    challenge = _put_challenge(tx, user_id, session, factors, purpose, subject_id)
    return factors.to_get(challenge=challenge, known=known)


def ask_again(tx: Transaction, *, actor: Actor, factors: Factors) -> Mapping[str, Any] | Refusal:
    """The same for whoever is signed in, to show again who is there."""
    refusal = _check_person(actor)
    asked = refusal or ask_passkey(
        tx, user_id=actor.user_id, session=actor.session, factors=factors, purpose=Purpose.SESSION
    )
    if isinstance(asked, Refusal):
        return refused(tx, actor, "session.asked", asked, subject_id=actor.session)
    return asked


def show_again(
    tx: Transaction, *, actor: Actor, shown: Shown, matched_password: str, factors: Factors
) -> SessionProof | Refusal:
    """Show once more who is there, in a session that is signed in already.

    `matched_password` is the stored form that the shown password was found to match, or empty.
    """
    if refusal := _check_person(actor):
        return refused(tx, actor, "session.proven", refusal, subject_id=actor.session)
    if shown.kind == PASSWORD:
        right = bool(matched_password) and tx.password_of(actor.user_id) == matched_password
        kind: str | Refusal = PASSWORD if right else AuthenticatorRefused()
    else:
        kind = check(
            tx, user_id=actor.user_id, shown=shown, session=actor.session, factors=factors, purpose=Purpose.SESSION
        )
    if isinstance(kind, Refusal):
        return refused(tx, actor, "session.proven", kind, subject_id=actor.session)
    proof = SessionProof(kind=kind, at=tx.now)
    tx.note_session_proof(actor.session, proof)
    detail = {"proof": kind}
    done(tx, actor, "session.proven", account_id=actor.account_id, subject_id=actor.session, detail=detail)
    return proof


def wanted_again(tx: Transaction, *, actor: Actor) -> tuple[str, ...]:
    """What the person is to show again before they may change their second factors; empty where they just have."""
    refusal = check_recent(tx, actor)
    return refusal.missing if refusal else ()


def check_recent(tx: Transaction, actor: Actor) -> ProofRequired | None:
    """Whether whoever is signed in has lately shown again who they are; if not, what would do."""
    return factor.check_recent(tx.session_proofs(actor.session), enrolled(tx, actor.user_id), now=tx.now)


# What a person does with their own


def listing(tx: Transaction, *, actor: Actor) -> Listed | Refusal:
    """What the person has enrolled and confirmed."""
    if refusal := _check_person(actor):
        return refusal
    confirmed = [one for one in tx.authenticators(actor.user_id) if one.confirmed_at is not None]
    return Listed(authenticators=confirmed, recovery_codes_left=tx.count_recovery_codes(actor.user_id))


def enrol_totp(tx: Transaction, *, actor: Actor, name: str, forge: Forge, factors: Factors) -> TotpEnrolment | Refusal:
    """Begin with a TOTP app: its secret, shown this once.  One begun earlier and never confirmed makes room."""
    if refusal := _check_change(tx, actor, adds=True):
        return refused(tx, actor, "authenticator.begun", refusal, subject_id=actor.user_id)
    for one in tx.authenticators(actor.user_id):
        if one.confirmed_at is None:
            tx.remove_authenticator(one.id)
    user = tx.user(actor.user_id)
    assert user is not None  # noqa: S101  # a foreign key holds it
    begun = Authenticator(id=forge.id("aut"), user_id=user.id, kind=TOTP, name=name, made_at=tx.now)
    tx.insert_authenticator(begun)
    done(tx, actor, "authenticator.begun", account_id=actor.account_id, subject_id=begun.id, detail={"kind": TOTP})
    return TotpEnrolment(
        authenticator=begun,
        secret=factors.totp_secret(begun.id),
        uri=factors.totp_uri(begun.id, user_name=user.email),
    )


def confirm_totp(
    tx: Transaction, *, actor: Actor, authenticator_id: str, code: str, factors: Factors
) -> Enrolled | Refusal:
    """Show a first code of the app; from now on it is a second factor."""
    refusal = _check_change(tx, actor, adds=True)
    one = None if refusal else _own(tx, actor, authenticator_id)
    if one is None:
        return refused(tx, actor, "authenticator.enrolled", refusal or NotFound(), subject_id=authenticator_id)
    confirmed = factor.confirm(one, factors.totp_step(one.id, code, now=tx.now), now=tx.now)
    if isinstance(confirmed, Refusal):
        return refused(tx, actor, "authenticator.enrolled", confirmed, subject_id=one.id)
    codes = _first_codes(tx, actor, factors)
    tx.save_authenticator(confirmed)
    return _enrolled(tx, actor, confirmed, codes)


def begin_passkey(tx: Transaction, *, actor: Actor, factors: Factors) -> Mapping[str, Any] | Refusal:
    """What the browser is to ask of a new passkey."""
    refusal = _check_change(tx, actor, adds=True)
    if refusal is None and factors.no_passkeys:
        refusal = PasskeysUnavailable(reason=factors.no_passkeys)
    if refusal is not None:
        return refused(tx, actor, "authenticator.begun", refusal, subject_id=actor.user_id)
    user = tx.user(actor.user_id)
    assert user is not None  # noqa: S101  # a foreign key holds it
    known = [one.credential_id for one in _passkeys(tx, user.id) if one.credential_id is not None]
    challenge = _put_challenge(tx, user.id, actor.session, factors, Purpose.ENROL, "")
    return factors.to_create(user, challenge=challenge, known=known)


def enrol_passkey(
    tx: Transaction, *, actor: Actor, name: str, credential: Mapping[str, Any], forge: Forge, factors: Factors
) -> Enrolled | Refusal:
    """Take a new passkey, which has signed the challenge of this session."""
    refusal = _check_change(tx, actor, adds=True)
    if refusal is None and factors.no_passkeys:
        refusal = PasskeysUnavailable(reason=factors.no_passkeys)
    if refusal is not None:
        return refused(tx, actor, "authenticator.enrolled", refusal, subject_id=actor.user_id)
    challenge = _taken(tx, actor.user_id, actor.session, credential, factors, Purpose.ENROL, "")
    made = factors.created(credential, challenge=challenge) if challenge else None
    if made is None or tx.has_passkey(made.credential_id):
        return refused(tx, actor, "authenticator.enrolled", AuthenticatorRefused(), subject_id=actor.user_id)
    passkey = Authenticator(
        id=forge.id("aut"),
        user_id=actor.user_id,
        kind=PASSKEY,
        name=name,
        made_at=tx.now,
        confirmed_at=tx.now,
        credential_id=made.credential_id,
        public_key=made.public_key,
        sign_count=made.sign_count,
    )
    codes = _first_codes(tx, actor, factors)
    tx.insert_authenticator(passkey)
    return _enrolled(tx, actor, passkey, codes)


def rename(tx: Transaction, *, actor: Actor, authenticator_id: str, name: str) -> Authenticator | Refusal:
    """Call it something else."""
    refusal = _check_person(actor)
    one = None if refusal else _own(tx, actor, authenticator_id)
    if one is None:
        return refused(tx, actor, "authenticator.renamed", refusal or NotFound(), subject_id=authenticator_id)
    renamed = replace(one, name=name)
    tx.save_authenticator(renamed)
    done(tx, actor, "authenticator.renamed", account_id=actor.account_id, subject_id=one.id, detail={"kind": one.kind})
    return renamed


def remove(tx: Transaction, *, actor: Actor, authenticator_id: str) -> Authenticator | Refusal:
    """Take one away; with the last one go the recovery codes, which stand for one."""
    refusal = _check_change(tx, actor)
    one = None if refusal else _own(tx, actor, authenticator_id)
    if one is None:
        return refused(tx, actor, "authenticator.removed", refusal or NotFound(), subject_id=authenticator_id)
    tx.remove_authenticator(one.id)
    if not enrolled(tx, actor.user_id) & SECOND_FACTORS:
        tx.put_recovery_codes(actor.user_id, ())
    _tell(tx, actor, "authenticator.removed", one)
    return one


def new_recovery_codes(tx: Transaction, *, actor: Actor, factors: Factors) -> Sequence[SecretText] | Refusal:
    """Another set, shown this once; the earlier one is worth nothing any more."""
    refusal = _check_change(tx, actor)
    if refusal is None and not enrolled(tx, actor.user_id) & SECOND_FACTORS:
        refusal = NotFound()  # there is no second factor that they could stand for
    if refusal is not None:
        return refused(tx, actor, "recovery_codes.made", refusal, subject_id=actor.user_id)
    codes = _put_codes(tx, actor, factors)
    detail = {"codes": str(len(codes))}
    done(tx, actor, "recovery_codes.made", account_id=actor.account_id, subject_id=actor.user_id, detail=detail)
    _tell_person(tx, actor, "recovery_codes.made", detail)
    return codes


# Shared steps


def _check_person(actor: Actor) -> Refusal | None:
    signed_in = actor.channel is Channel.PERSON and actor.session and not actor.through
    return None if signed_in else PersonRequired()


def _check_change(tx: Transaction, actor: Actor, *, adds: bool = False) -> Refusal | None:
    """Whether the person may change their second factors now; one change of one person's at a time."""
    if refusal := _check_person(actor):
        return refusal
    tx.lock_owner(actor.user_id)
    if refusal := check_recent(tx, actor):
        return refusal
    return factor.check_room(tx.authenticators(actor.user_id)) if adds else None


def _own(tx: Transaction, actor: Actor, authenticator_id: str) -> Authenticator | None:
    mine = tx.authenticators(actor.user_id, lock=True)
    return next((one for one in mine if one.id == authenticator_id), None)


def _passkeys(tx: Transaction, user_id: str, *, lock: bool = False) -> Sequence[Authenticator]:
    return [one for one in tx.authenticators(user_id, lock=lock) if one.kind == PASSKEY]


def _use_recovery_code(tx: Transaction, user_id: str, code: str, factors: Factors) -> bool:
    stands_for_one = bool(enrolled(tx, user_id) & SECOND_FACTORS)
    if not stands_for_one or not tx.spend_recovery_code(user_id, factors.recovery_digest(user_id, code)):
        return False
    detail = {"left": str(tx.count_recovery_codes(user_id))}
    kind = "recovery_codes.used"
    tx.tell(Notice(kind=kind, account_id="", owner_id=user_id, key_id="", detail=detail, actor_id=user_id))
    return True


def _use_totp(tx: Transaction, user_id: str, code: str, factors: Factors) -> bool:
    for one in tx.authenticators(user_id, lock=True):
        if one.kind == TOTP:
            used = factor.use_step(one, factors.totp_step(one.id, code, now=tx.now), now=tx.now)
            if used is not None:
                tx.save_authenticator(used)
                return True
    return False


def _use_passkey(
    tx: Transaction,
    user_id: str,
    shown: Shown,
    session: str,
    factors: Factors,
    purpose: Purpose,
    subject_id: str,
) -> bool:
    challenge = _taken(tx, user_id, session, shown.credential, factors, purpose, subject_id)
    if not challenge:
        return False
    passkeys = _passkeys(tx, user_id, lock=True)
    counted = factors.count_shown(shown.credential, challenge=challenge, passkeys=passkeys)
    used = factor.use_count(counted[0], counted[1], now=tx.now) if counted else None
    if used is None:
        return False
    tx.save_authenticator(used)
    return True


def _put_challenge(
    tx: Transaction, user_id: str, session: str, factors: Factors, purpose: Purpose, subject_id: str
) -> bytes:
    challenge = factors.new_challenge()
    ends_at = later(tx.now, CHALLENGE_LASTS)
    row = Challenge(purpose=purpose, user_id=user_id, session=session, subject_id=subject_id, ends_at=ends_at)
    tx.put_challenge(row, digest=sha256(challenge).digest())
    return challenge


def _taken(
    tx: Transaction,
    user_id: str,
    session: str,
    credential: Mapping[str, Any],
    factors: Factors,
    purpose: Purpose,
    subject_id: str,
) -> bytes:
    """The challenge that was signed, taken away by this use; empty where it was made for something else, or is gone."""
    challenge = factors.challenge_in(credential)
    row = tx.take_challenge(sha256(challenge).digest())
    right = factor.answers(row, purpose, user_id=user_id, session=session, subject_id=subject_id, now=tx.now)
    return challenge if right else b""


def _first_codes(tx: Transaction, actor: Actor, factors: Factors) -> Sequence[SecretText]:
    """A set of recovery codes with the first second factor; nothing with a later one."""
    return () if enrolled(tx, actor.user_id) & SECOND_FACTORS else _put_codes(tx, actor, factors)


def _put_codes(tx: Transaction, actor: Actor, factors: Factors) -> Sequence[SecretText]:
    codes = factors.new_recovery_codes()
    tx.put_recovery_codes(actor.user_id, [factors.recovery_digest(actor.user_id, one.reveal) for one in codes])
    return codes


def _enrolled(tx: Transaction, actor: Actor, one: Authenticator, codes: Sequence[SecretText]) -> Enrolled:
    # Whoever enrols it has just shown it: another one may follow without showing it again.
    tx.note_session_proof(actor.session, SessionProof(kind=one.kind, at=tx.now))
    _tell(tx, actor, "authenticator.enrolled", one)
    return Enrolled(authenticator=one, recovery_codes=codes)


def _tell(tx: Transaction, actor: Actor, action: str, one: Authenticator) -> None:
    detail = {"kind": one.kind, "name": one.name}
    done(tx, actor, action, account_id=actor.account_id, subject_id=one.id, detail=detail)
    _tell_person(tx, actor, action, detail)


def _tell_person(tx: Transaction, actor: Actor, kind: str, detail: Mapping[str, str]) -> None:
    tell(tx, actor, kind, account_id=actor.account_id, owner_id=actor.user_id, detail=detail)
