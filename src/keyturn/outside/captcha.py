"""CAPTCHAs: ALTCHA made and checked here, or a service that is asked about each answer (K2)."""

import json
import secrets
from base64 import b64decode
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from keyturn.core.captcha import ALTCHA, LASTS, Solved
from keyturn.core.instant import Instant, from_micros, later, to_micros
from keyturn.ports.captcha import Captcha, CaptchaUnavailable
from keyturn.ports.forge import Forge
from keyturn.settings import Settings

if TYPE_CHECKING:
    import httpx2

_SECOND: Final = 1_000_000
_TIMEOUT_SECONDS: Final = 5.0
_LEAST_SCORE: Final = 0.5
_ENDPOINTS: Final = {
    "turnstile": "https://challenges.cloudflare.com/turnstile/v0/siteverify",
    "hcaptcha": "https://api.hcaptcha.com/siteverify",
    "recaptcha": "https://www.google.com/recaptcha/api/siteverify",
}


def load(settings: Settings, forge: Forge) -> Captcha:
    """The one that the settings name.  Raises OSError or ValueError where its secret cannot be read."""
    if settings.captcha_provider == ALTCHA:
        key = forge.derived("captcha", ALTCHA)
        return Altcha(key, difficulty=settings.captcha_difficulty)
    assert settings.captcha_secret_file is not None  # noqa: S101  # the settings have seen to it
    secret = settings.captcha_secret_file.read_text("utf-8").strip()
    if not secret:
        raise ValueError(f"{settings.captcha_secret_file} is empty")
    return SiteVerify(
        settings.captcha_provider,
        site_key=settings.captcha_site_key,
        secret=secret,
        host=urlsplit(settings.base_url).hostname or "",
        endpoint=settings.captcha_verify_url,
    )


class Altcha:
    """`ports.captcha.Captcha` on the `altcha` package: the browser looks for a number, and we know which."""

    provider = ALTCHA
    site_key = ""

    def __init__(self, key: bytes, *, difficulty: int) -> None:
        self._key = key
        self._difficulty = difficulty

    def challenge(self, *, now: Instant) -> Mapping[str, Any]:
        """What the widget takes: how to look, until when, and our signature under that."""
        import altcha

        # Never near the beginning: a lucky number would cost nothing.
        number = self._difficulty // 2 + secrets.randbelow(self._difficulty // 2 + 1)
        made = altcha.create_challenge(
            "SHA-256",
            1,
            counter=number,
            expires_at=to_micros(later(now, LASTS)) // _SECOND,
            hmac_secret=self._key,
            hmac_key_secret=self._key,
        )
        return made.to_dict()

    def check(self, answer: str, *, address: str | None, now: Instant) -> Solved | None:  # noqa: ARG002  # a service wants the address
        """The challenge that this answers rightly and in time, or None."""
        import altcha

        if not altcha.verify_solution(answer, self._key, hmac_key_secret=self._key).verified:
            return None
        challenge = json.loads(b64decode(answer))["challenge"]
        ends_at = from_micros(challenge["parameters"]["expiresAt"] * _SECOND)
        if now >= ends_at:
            return None
        return Solved(digest=sha256(challenge["signature"].encode()).digest(), ends_at=ends_at)


class SiteVerify:
    """`ports.captcha.Captcha` on Turnstile, hCaptcha or reCAPTCHA, which all take the same question."""

    def __init__(self, provider: str, *, site_key: str, secret: str, host: str, endpoint: str = "") -> None:
        self.provider = provider
        self.site_key = site_key
        self._secret = secret
        self._host = host
        self._endpoint = endpoint or _ENDPOINTS[provider]
        self._client: httpx2.Client | None = None

    def challenge(self, *, now: Instant) -> Mapping[str, Any]:  # noqa: ARG002  # the service makes its own
        """Nothing beyond the site key: the service's script asks the service."""
        return {}

    def check(self, answer: str, *, address: str | None, now: Instant) -> Solved | None:
        """Ask the service.  Raises CaptchaUnavailable where it does not say yes or no."""
        asked = {"secret": self._secret, "response": answer}
        if address is not None:
            asked["remoteip"] = address
        if not answer or not self._says_yes(self._ask(asked)):
            return None
        return Solved(digest=sha256(answer.encode()).digest(), ends_at=later(now, LASTS))

    def _ask(self, asked: Mapping[str, str]) -> Mapping[str, Any]:
        import httpx2

        if self._client is None:
            self._client = httpx2.Client(timeout=_TIMEOUT_SECONDS, follow_redirects=False)
        try:
            answer = self._client.post(self._endpoint, data=dict(asked))
            said = answer.json() if answer.status_code == httpx2.codes.OK else None
        except (httpx2.HTTPError, ValueError) as error:
            raise CaptchaUnavailable(type(error).__name__) from error
        if not isinstance(said, dict) or not isinstance(said.get("success"), bool):
            raise CaptchaUnavailable(f"status {answer.status_code}")
        return said

    def _says_yes(self, said: Mapping[str, Any]) -> bool:
        if not said["success"]:
            if {"missing-input-secret", "invalid-input-secret"} & set(said.get("error-codes") or ()):
                raise CaptchaUnavailable("the service does not know the secret")
            return False
        score = said.get("score", 1)
        elsewhere = self._host and said.get("hostname", self._host) != self._host
        return not elsewhere and isinstance(score, int | float) and score >= _LEAST_SCORE
