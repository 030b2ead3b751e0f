"""A CAPTCHA that was solved: what is kept of it so that it counts once (K2)."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from keyturn.core.instant import Instant

ALTCHA: Final = "altcha"
"""Proof of work, made and checked here, without anybody else."""
SERVICES: Final = ("turnstile", "hcaptcha", "recaptcha")
FIELDS: Final = {
    ALTCHA: "altcha",
    "turnstile": "cf-turnstile-response",
    "hcaptcha": "h-captcha-response",
    "recaptcha": "g-recaptcha-response",
}
"""In which field of a form each one's widget puts its answer."""
LASTS: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """One right answer, not yet spent."""

    digest: bytes
    """Of the challenge, not of the answer: one challenge may have several right answers."""
    ends_at: Instant
    """When it is worth nothing any more, spent or not."""
