"""Second factors of a person: what is enrolled, what was used up, and what a change of them takes (K2, R11).

A TOTP secret is worked out from the authenticator's id and stored nowhere; a code and every earlier one is used once.
A passkey's challenge is the server's, for one purpose in one session, and is taken away by its first use.
A recovery code stands for a second factor and is spent.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum
from typing import Any, Final

from keyturn.core.instant import Instant, later
from keyturn.core.proof import PASSKEY, PASSWORD, RECOVERY_CODE, SECOND_FACTORS, TOTP
from keyturn.core.refusal import AuthenticatorRefused, ProofRequired, Refusal, TooManyAuthenticators

TOTP_SECONDS: Final = 30
TOTP_DIGITS: Final = 6
TOTP_WINDOW: Final = 1
"""How many steps before and after the present one a code may come from: clocks differ."""
TOTP_SECRET_BYTES: Final = 20
"""As RFC 4226 recommends for SHA-1."""
RECOVERY_CODES: Final = 10
RECOVERY_CHARS: Final = 16
"""80 random bits: too many to guess, few enough to type."""
MOST_AUTHENTICATORS: Final = 20
ENROLMENT_LASTS: Final = timedelta(minutes=30)
CHALLENGE_LASTS: Final = timedelta(minutes=5)
RECENT: Final = timedelta(minutes=10)
_MISREAD: Final = str.maketrans("018", "OIB", " -\t")


class Purpose(Enum):
    """What a passkey's challenge was made for."""

    ENROL = "enrol"
    SIGN_IN = "sign_in"
    SESSION = "session"
    """Once more in a session that is signed in, before something that takes a recent proof."""
    RESET = "reset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticator:
    """One enrolled second factor: a TOTP app or a passkey."""

    id: str
    user_id: str
    kind: str
    name: str
    made_at: Instant
    confirmed_at: Instant | None = None
    """Since when it proves anything: a TOTP app shows a first code before that."""
    last_used_at: Instant | None = None
    step: int = -1
    """TOTP: the newest time step a code was used of; it and every earlier one are used up."""
    credential_id: bytes | None = None
    public_key: bytes = b""
    sign_count: int = 0
    """Passkey: its own count of uses, where it keeps one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a passkey is to sign, without the challenge itself: a digest of that is stored."""

    purpose: Purpose
    user_id: str
    session: str
    subject_id: str
    """The reset it is for, or empty."""
    ends_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A second factor as somebody shows it."""

    kind: str
    code: str = field(default="", repr=False)
    credential: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """A passkey's answer, in the JSON form of WebAuthn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionProof:
    """Something shown again in a session that was signed in already."""

    kind: str
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPasskey:
    """What a passkey says of itself when it is made."""

    credential_id: bytes
    public_key: bytes
    sign_count: int


def enrolled(authenticators: Iterable[Authenticator], *, recovery_codes: int) -> frozenset[str]:
    """The kinds of second factor that this person can show."""
    kinds = frozenset(one.kind for one in authenticators if one.confirmed_at is not None)
    return kinds | {RECOVERY_CODE} if kinds and recovery_codes else kinds


def check_room(authenticators: Iterable[Authenticator]) -> Refusal | None:
    """Whether one more would be too many."""
    confirmed = sum(one.confirmed_at is not None for one in authenticators)
    return TooManyAuthenticators(limit=MOST_AUTHENTICATORS) if confirmed >= MOST_AUTHENTICATORS else None


def confirm(one: Authenticator, step: int | None, *, now: Instant) -> Authenticator | Refusal:
    """A first code shows that the app holds the secret: from now on it proves something."""
    late = now >= later(one.made_at, ENROLMENT_LASTS)
    if one.kind != TOTP or one.confirmed_at is not None or late or step is None:
        return AuthenticatorRefused()
    return replace(one, confirmed_at=now, step=step)


def use_step(one: Authenticator, step: int | None, *, now: Instant) -> Authenticator | None:
    """The authenticator with that time step and every earlier one used up; None where they are already."""
    if one.kind != TOTP or one.confirmed_at is None or step is None or step <= one.step:
        return None
    return replace(one, step=step, last_used_at=now)


def use_count(one: Authenticator, count: int, *, now: Instant) -> Authenticator | None:
    """The passkey with its own count brought forward; None where it went back: then there are two of it."""
    counting = bool(one.sign_count or count)
    if one.kind != PASSKEY or (counting and count <= one.sign_count):
        return None
    return replace(one, sign_count=count, last_used_at=now)


def answers(
    challenge: Challenge | None, purpose: Purpose, *, user_id: str, session: str, subject_id: str, now: Instant
) -> bool:
    """Whether the challenge was made for exactly that, here and lately."""
    if challenge is None or now >= challenge.ends_at:
        return False
    asked = (challenge.purpose, challenge.user_id, challenge.session, challenge.subject_id)
    return asked == (purpose, user_id, session, subject_id)


def check_recent(proofs: Iterable[SessionProof], kinds: frozenset[str], *, now: Instant) -> ProofRequired | None:
    """Whether the person in this session has lately shown again who they are; if not, what would do.

    Whoever has a second factor shows one: else a stolen session and a known password would be enough to take it away.
    """
    enough = kinds if kinds & SECOND_FACTORS else frozenset({PASSWORD})
    if any(one.kind in enough and now - one.at < RECENT for one in proofs):
        return None
    return ProofRequired(missing=tuple(sorted(enough)))


def read_code(text: str) -> str:
    """A recovery code as it was typed, without what people add, and with the digits it has none of read as letters."""
    return text.upper().translate(_MISREAD)


def read_totp(text: str) -> str:
    """A TOTP code as it was typed; empty for what is none."""
    digits = text.replace(" ", "")
    return digits if len(digits) == TOTP_DIGITS and digits.isascii() and digits.isdigit() else ""
