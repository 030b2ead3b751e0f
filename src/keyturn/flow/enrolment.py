"""Second factors of a person: enrol, list, rename, remove (K2, R11).

Only the person does any of it, in a session that has lately seen proof again; a key never speaks for one (R40).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from keyturn.core import authenticator as factor
from keyturn.core.actor import Actor
from keyturn.core.authenticator import Authenticator, Purpose, SessionProof
from keyturn.core.consequence import Cause
from keyturn.core.proof import PASSKEY, SECOND_FACTORS, TOTP
from keyturn.core.refusal import AuthenticatorRefused, NotFound, PasskeysUnavailable, Refusal
from keyturn.core.secret import SecretText
from keyturn.flow import consequence
from keyturn.flow.authenticator import enrolled, passkeys, put_challenge, taken
from keyturn.flow.evidence import done, refused, tell
from keyturn.flow.session_proof import check_change, check_person
from keyturn.ports.authenticators import Authenticators
from keyturn.ports.forge import Forge
from keyturn.ports.transaction import Transaction


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


def listing(tx: Transaction, *, actor: Actor) -> Listed | Refusal:
    """What the person has enrolled and confirmed."""
    if refusal := check_person(actor):
        return refusal
    confirmed = [one for one in tx.authenticators(actor.user_id) if one.confirmed_at is not None]
    return Listed(authenticators=confirmed, recovery_codes_left=tx.count_recovery_codes(actor.user_id))


def enrol_totp(
    tx: Transaction, *, actor: Actor, name: str, forge: Forge, authenticators: Authenticators
) -> TotpEnrolment | Refusal:
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
        secret=authenticators.totp_secret(begun.id),
        uri=authenticators.totp_uri(begun.id, user_name=user.email),
    )


def confirm_totp(
    tx: Transaction, *, actor: Actor, authenticator_id: str, code: str, authenticators: Authenticators
) -> Enrolled | Refusal:
    """Show a first code of the app; from now on it is a second factor."""
    refusal = _check_change(tx, actor, adds=True)
    one = None if refusal else _own(tx, actor, authenticator_id)
    if one is None:
        return refused(tx, actor, "authenticator.enrolled", refusal or NotFound(), subject_id=authenticator_id)
    confirmed = factor.confirm(one, authenticators.totp_step(one.id, code, now=tx.now), now=tx.now)
    if isinstance(confirmed, Refusal):
        return refused(tx, actor, "authenticator.enrolled", confirmed, subject_id=one.id)
    codes = _first_codes(tx, actor, authenticators)
    tx.save_authenticator(confirmed)
    return _enrolled(tx, actor, confirmed, codes)


def begin_passkey(tx: Transaction, *, actor: Actor, authenticators: Authenticators) -> Mapping[str, Any] | Refusal:
    """What the browser is to ask of a new passkey."""
    refusal = _check_change(tx, actor, adds=True)
    if refusal is None and authenticators.no_passkeys:
        refusal = PasskeysUnavailable(reason=authenticators.no_passkeys)
    if refusal is not None:
        return refused(tx, actor, "authenticator.begun", refusal, subject_id=actor.user_id)
    user = tx.user(actor.user_id)
    assert user is not None  # noqa: S101  # a foreign key holds it
    known = [one.credential_id for one in passkeys(tx, user.id) if one.credential_id is not None]
    challenge = put_challenge(tx, user.id, actor.session, authenticators, Purpose.ENROL, "")
    return authenticators.to_create(user, challenge=challenge, known=known)


def enrol_passkey(
    tx: Transaction,
    *,
    actor: Actor,
    name: str,
    credential: Mapping[str, Any],
    forge: Forge,
    authenticators: Authenticators,
) -> Enrolled | Refusal:
    """Take a new passkey, which has signed the challenge of this session."""
    refusal = _check_change(tx, actor, adds=True)
    if refusal is None and authenticators.no_passkeys:
        refusal = PasskeysUnavailable(reason=authenticators.no_passkeys)
    if refusal is not None:
        return refused(tx, actor, "authenticator.enrolled", refusal, subject_id=actor.user_id)
    challenge = taken(tx, actor.user_id, actor.session, credential, authenticators, Purpose.ENROL, "")
    made = authenticators.created(credential, challenge=challenge) if challenge else None
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
    codes = _first_codes(tx, actor, authenticators)
    tx.insert_authenticator(passkey)
    return _enrolled(tx, actor, passkey, codes)


def rename(tx: Transaction, *, actor: Actor, authenticator_id: str, name: str) -> Authenticator | Refusal:
    """Call it something else."""
    refusal = check_person(actor)
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
    _changed(tx, actor, "authenticator.removed", one)
    return one


def new_recovery_codes(
    tx: Transaction, *, actor: Actor, authenticators: Authenticators
) -> Sequence[SecretText] | Refusal:
    """Another set, shown this once; the earlier one is worth nothing any more."""
    refusal = _check_change(tx, actor)
    if refusal is None and not enrolled(tx, actor.user_id) & SECOND_FACTORS:
        refusal = NotFound()  # there is no second factor that they could stand for
    if refusal is not None:
        return refused(tx, actor, "recovery_codes.made", refusal, subject_id=actor.user_id)
    codes = _put_codes(tx, actor, authenticators)
    detail = {"codes": str(len(codes))}
    done(tx, actor, "recovery_codes.made", account_id=actor.account_id, subject_id=actor.user_id, detail=detail)
    _tell_person(tx, actor, "recovery_codes.made", detail)
    consequence.after_account_change(tx, actor=actor, user_id=actor.user_id, cause=Cause.AUTHENTICATOR_CHANGED)
    return codes


# Shared steps


def _check_change(tx: Transaction, actor: Actor, *, adds: bool = False) -> Refusal | None:
    """Whether the person may change their second factors now."""
    if refusal := check_change(tx, actor):
        return refusal
    return factor.check_room(tx.authenticators(actor.user_id)) if adds else None


def _own(tx: Transaction, actor: Actor, authenticator_id: str) -> Authenticator | None:
    mine = tx.authenticators(actor.user_id, lock=True)
    return next((one for one in mine if one.id == authenticator_id), None)


def _first_codes(tx: Transaction, actor: Actor, authenticators: Authenticators) -> Sequence[SecretText]:
    """A set of recovery codes with the first second factor; nothing with a later one."""
    return () if enrolled(tx, actor.user_id) & SECOND_FACTORS else _put_codes(tx, actor, authenticators)


def _put_codes(tx: Transaction, actor: Actor, authenticators: Authenticators) -> Sequence[SecretText]:
    codes = authenticators.new_recovery_codes()
    tx.put_recovery_codes(actor.user_id, [authenticators.recovery_digest(actor.user_id, one.reveal) for one in codes])
    return codes


def _enrolled(tx: Transaction, actor: Actor, one: Authenticator, codes: Sequence[SecretText]) -> Enrolled:
    # Whoever enrols it has just shown it: another one may follow without showing it again.
    tx.note_session_proof(actor.session, SessionProof(kind=one.kind, at=tx.now))
    _changed(tx, actor, "authenticator.enrolled", one)
    return Enrolled(authenticator=one, recovery_codes=codes)


def _changed(tx: Transaction, actor: Actor, action: str, one: Authenticator) -> None:
    """Write it down, tell of it, and let the policies of the person's keys hold what they want held (R30)."""
    detail = {"kind": one.kind, "name": one.name}
    done(tx, actor, action, account_id=actor.account_id, subject_id=one.id, detail=detail)
    _tell_person(tx, actor, action, detail)
    user = tx.user(actor.user_id)
    assert user is not None  # noqa: S101  # a foreign key holds it
    tx.save_user(replace(user, changed_at=tx.now))
    consequence.after_account_change(tx, actor=actor, user_id=user.id, cause=Cause.AUTHENTICATOR_CHANGED)


def _tell_person(tx: Transaction, actor: Actor, kind: str, detail: Mapping[str, str]) -> None:
    tell(tx, actor, kind, account_id=actor.account_id, owner_id=actor.user_id, detail=detail)
