"""Second factors as they are shown: checked, and used up with that, whoever asks (K2, R11)."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from keyturn.core import authenticator as factor
from keyturn.core.actor import Actor
from keyturn.core.authenticator import CHALLENGE_LASTS, Authenticator, Challenge, Purpose, Shown
from keyturn.core.instant import later
from keyturn.core.notice import Notice
from keyturn.core.proof import PASSKEY, RECOVERY_CODE, TOTP
from keyturn.core.refusal import AuthenticatorRefused, NotFound, PasskeysUnavailable, ProofRequired, Refusal
from keyturn.ports.authenticators import Authenticators
from keyturn.ports.transaction import Transaction


def enrolled(tx: Transaction, user_id: str) -> frozenset[str]:
    """The kinds of second factor that this person can show."""
    return factor.enrolled(tx.authenticators(user_id), recovery_codes=tx.count_recovery_codes(user_id))


def check_recent(tx: Transaction, actor: Actor) -> ProofRequired | None:
    """Whether whoever is signed in has lately shown again who they are; if not, what would do."""
    return factor.check_recent(tx.session_proofs(actor.session), enrolled(tx, actor.user_id), now=tx.now)


def check(
    tx: Transaction,
    *,
    user_id: str,
    shown: Shown,
    session: str,
    authenticators: Authenticators,
    purpose: Purpose = Purpose.SIGN_IN,
    subject_id: str = "",
) -> str | Refusal:
    """The kind of the second factor that was shown, which is used up with it; or the one refusal for a wrong one."""
    if shown.kind == PASSKEY and authenticators.no_passkeys:
        return PasskeysUnavailable(reason=authenticators.no_passkeys)
    used: bool
    if shown.kind == RECOVERY_CODE:
        used = _use_recovery_code(tx, user_id, shown.code, authenticators)
    elif shown.kind == PASSKEY:
        used = _use_passkey(tx, user_id, shown, session, authenticators, purpose, subject_id)
    else:
        used = shown.kind == TOTP and _use_totp(tx, user_id, shown.code, authenticators)
    return shown.kind if used else AuthenticatorRefused()


def ask_passkey(
    tx: Transaction,
    *,
    user_id: str,
    session: str,
    authenticators: Authenticators,
    purpose: Purpose,
    subject_id: str = "",
) -> Mapping[str, Any] | Refusal:
    """What the browser is to ask a passkey: a challenge for one purpose in one session, which its first use takes."""
    known = [one.credential_id for one in passkeys(tx, user_id) if one.credential_id is not None]
    if authenticators.no_passkeys:
        return PasskeysUnavailable(reason=authenticators.no_passkeys)
    if not known:
        return NotFound()
    challenge = put_challenge(tx, user_id, session, authenticators, purpose, subject_id)
    return authenticators.to_get(challenge=challenge, known=known)


def passkeys(tx: Transaction, user_id: str, *, lock: bool = False) -> Sequence[Authenticator]:
    """The passkeys of a person."""
    return [one for one in tx.authenticators(user_id, lock=lock) if one.kind == PASSKEY]


def _use_recovery_code(tx: Transaction, user_id: str, code: str, authenticators: Authenticators) -> bool:
    # There are none without a second factor: they go with the last one.
    if not any(tx.spend_recovery_code(user_id, one) for one in authenticators.recovery_digests(user_id, code)):
        return False
    detail = {"left": str(tx.count_recovery_codes(user_id))}
    kind = "recovery_codes.used"
    tx.tell(Notice(kind=kind, account_id="", owner_id=user_id, key_id="", detail=detail, actor_id=user_id))
    return True


def _use_totp(tx: Transaction, user_id: str, code: str, authenticators: Authenticators) -> bool:
    for one in tx.authenticators(user_id, lock=True):
        if one.kind == TOTP:
            used = factor.use_step(one, authenticators.totp_step(one.id, code, now=tx.now), now=tx.now)
            if used is not None:
                tx.save_authenticator(used)
                return True
    return False


def _use_passkey(
    tx: Transaction,
    user_id: str,
    shown: Shown,
    session: str,
    authenticators: Authenticators,
    purpose: Purpose,
    subject_id: str,
) -> bool:
    challenge = taken(tx, user_id, session, shown.credential, authenticators, purpose, subject_id)
    if not challenge:
        return False
    known = passkeys(tx, user_id, lock=True)
    counted = authenticators.count_shown(shown.credential, challenge=challenge, passkeys=known)
    used = factor.use_count(counted[0], counted[1], now=tx.now) if counted else None
    if used is None:
        return False
    tx.save_authenticator(used)
    return True


def put_challenge(
    tx: Transaction, user_id: str, session: str, authenticators: Authenticators, purpose: Purpose, subject_id: str
) -> bytes:
    """A new challenge for a passkey, of which a digest is kept."""
    challenge = authenticators.new_challenge()
    ends_at = later(tx.now, CHALLENGE_LASTS)
    row = Challenge(purpose=purpose, user_id=user_id, session=session, subject_id=subject_id, ends_at=ends_at)
    tx.put_challenge(row, digest=sha256(challenge).digest())
    return challenge


def taken(
    tx: Transaction,
    user_id: str,
    session: str,
    credential: Mapping[str, Any],
    authenticators: Authenticators,
    purpose: Purpose,
    subject_id: str,
) -> bytes:
    """The challenge that was signed, taken away by this use; empty where it was made for something else, or is gone."""
    challenge = authenticators.challenge_in(credential)
    row = tx.take_challenge(sha256(challenge).digest())
    right = factor.answers(row, purpose, user_id=user_id, session=session, subject_id=subject_id, now=tx.now)
    return challenge if right else b""
