"""Both kinds of CAPTCHA: the proof of work that a script can solve, and a service that is asked about an answer.

ALTCHA comes as its version 2 (`parameters` and `signature`), which version 3 of the widget solves too.  The service
speaks what Turnstile, hCaptcha and reCAPTCHA document alike: a form with secret, response and remoteip, answered with
JSON and status 200, whatever the verdict.
"""

import secrets
from collections.abc import Mapping
from typing import Any, Final

import altcha

from tests.loopback import Loopback, Reply, Request

UNAVAILABLE: Final = Reply(status=503)
SECRET: Final = "site-secret"
GARBAGE: Final = Reply(body="<h1>Sorry</h1>")


def solve(challenge: Mapping[str, Any]) -> str:
    """What the widget puts into the form once it is done."""
    asked = altcha.Challenge.from_dict(dict(challenge))
    solution = altcha.solve_challenge(asked)
    assert solution is not None, "too hard"
    return altcha.Payload(asked, solution).to_base64()


class SiteVerify(Loopback):
    """The service; its widget hands out a `response`, each good once."""

    def __init__(self) -> None:
        super().__init__(self._verify)
        self._given: dict[str, str] = {}

    @property
    def endpoint(self) -> str:
        """Where it is asked."""
        return f"{self.url}/siteverify"

    def response(self, *, hostname: str = "localhost") -> str:
        """What its widget gives to a person who has done what it asked, on a page of this host."""
        made = secrets.token_urlsafe(24)
        self._given[made] = hostname
        return made

    def _verify(self, request: Request) -> Reply:
        if (request.method, request.path) != ("POST", "/siteverify"):
            return Reply(status=404)
        form = request.form
        if not form.get("secret") or not form.get("response"):
            missing = "secret" if not form.get("secret") else "response"
            return _refused(f"missing-input-{missing}")
        if form["secret"] != SECRET:
            return _refused("invalid-input-secret")
        hostname = self._given.pop(form["response"], None)
        if hostname is None:
            return _refused("timeout-or-duplicate")
        answer = {"success": True, "challenge_ts": "2030-01-01T00:00:00Z", "hostname": hostname, "error-codes": []}
        return Reply(body=answer)


def _refused(code: str) -> Reply:
    return Reply(body={"success": False, "error-codes": [code]})
