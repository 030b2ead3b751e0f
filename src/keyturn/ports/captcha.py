"""CAPTCHAs, set and checked."""

from collections.abc import Mapping
from typing import Any, Protocol

from keyturn.core.captcha import Solved
from keyturn.core.instant import Instant


class CaptchaUnavailable(Exception):  # noqa: N818  # the world broke; not an error of ours
    """The CAPTCHA's service says neither yes nor no.  Closed: that proof is not to be had, and nobody passes."""


class Captcha(Protocol):
    """Whether somebody is there who takes some trouble.  Its outage: `CaptchaUnavailable`, nobody passes."""

    @property
    def provider(self) -> str: ...
    @property
    def site_key(self) -> str: ...
    def challenge(self, *, now: Instant) -> Mapping[str, Any]: ...
    def check(self, answer: str, *, address: str | None, now: Instant) -> Solved | None:
        """What was solved, or None for a wrong answer.  It may ask a service, so never in a transaction."""
