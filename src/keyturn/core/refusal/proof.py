"""Refused for what was to be proved, and what it is proved with."""

from dataclasses import dataclass
from typing import ClassVar

from keyturn.core.refusal.refusal import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactorRequired(Refusal):
    """The password was right; show one of the enrolled second factors with it (RFC 9470)."""

    kind: ClassVar[str] = "second_factor_required"
    status: ClassVar[int] = 401
    title: ClassVar[str] = "Signing in takes your second factor as well."
    enrolled: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRefused(Refusal):
    """A proof was wrong.  Which part was wrong is not told."""

    kind: ClassVar[str] = "proof_refused"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The proof was not accepted."
    attempts_left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRequired(Refusal):
    """R22: lifting a suspension takes the full proof that a reset would take."""

    kind: ClassVar[str] = "proof_required"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "This takes full proof of who asks."
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticatorRefused(Refusal):
    """A code or a passkey was wrong, late or used before.  Which of these is not told."""

    kind: ClassVar[str] = "authenticator_refused"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The code or passkey was not accepted."


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactorNotEnrolled(Refusal):
    """The policy wants a second factor of somebody who has none; any of `wanted` opens a way."""

    kind: ClassVar[str] = "second_factor_not_enrolled"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "This takes a second factor, and you have enrolled none that will do; enrol one first."
    wanted: tuple[str, ...]
    policy: str
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TooManyAuthenticators(Refusal):
    kind: ClassVar[str] = "too_many_authenticators"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "There are as many authenticators as one person may have; remove one first."
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptchaAway(Refusal):
    """The CAPTCHA's service is away, so that proof cannot be had; nothing was counted."""

    kind: ClassVar[str] = "captcha_unavailable"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "The CAPTCHA cannot be checked now; try again, or prove it another way."


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeysUnavailable(Refusal):
    """Passkeys need the extra `passkeys`, and an address with a name that they can be bound to."""

    kind: ClassVar[str] = "passkeys_unavailable"
    status: ClassVar[int] = 501
    title: ClassVar[str] = "This server cannot use passkeys."
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptchaRequired(Refusal):
    """Too many have tried to sign in as this user: show with the next try that a CAPTCHA was solved (K8)."""

    kind: ClassVar[str] = "captcha_required"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "Solve a CAPTCHA and try again with it."


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordRefused(Refusal):
    """What was shown as the present password is not it."""

    kind: ClassVar[str] = "password_refused"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The present password was wrong."


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordUnfit(Refusal):
    """`too_short`, `too_long`, `common`, `pattern`, or `known_words`: names that everybody knows of this person."""

    kind: ClassVar[str] = "password_unfit"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "That password is too short, too long or too easily guessed; choose another one."
    reason: str
    least: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofNotWanted(Refusal):
    kind: ClassVar[str] = "proof_not_wanted"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "A proof of this kind does not help this reset."
    missing: tuple[str, ...]
