"""A small real OpenID Connect provider on the loopback, whose sign-in page a browser clicks through.

It does the authorization code flow with PKCE for one client, and can be told to have one flaw in what it answers.
"""

import base64
import hashlib
import hmac
import html
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, Literal
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import ECKey, KeyParameters, RSAKey

from tests.loopback import Loopback, Reply, Request

CLIENT: Final = "keyturn"
SECRET: Final = "client-secret"
_HOUR: Final = 3600
Algorithm = Literal["RS256", "ES256"]


class Flaw(Enum):
    """What is wrong with its answers."""

    NONE = auto()
    NO_STATE = auto()
    OTHER_STATE = auto()
    NO_NONCE = auto()
    OTHER_NONCE = auto()
    OTHER_AUDIENCE = auto()
    OTHER_ISSUER = auto()
    EXPIRED = auto()
    UNSIGNED = auto()
    """`alg` is `none`."""
    OTHER_KEY = auto()
    """Signed with a key that it never published, under the name of the one it did."""
    PUBLIC_KEY_AS_SECRET = auto()
    """`alg` is HS256, and the secret is what anybody can read of the published key."""
    OTHER_SUBJECT = auto()
    """The user information is about somebody else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody with an account there."""

    subject: str
    name: str
    email: str
    email_verified: bool = True

    @property
    def claims(self) -> dict[str, Any]:
        """What it says about them."""
        return {
            "sub": self.subject,
            "name": self.name,
            "email": self.email,
            "email_verified": self.email_verified,
        }


ADA: Final = Person(subject="248289761001", name="Ada", email="ada@example.test")


class Provider(Loopback):
    """The provider.  `redirects` has to name where the client lives before anybody can sign in."""

    def __init__(self, *people: Person, algorithm: Algorithm = "RS256") -> None:
        super().__init__(self._serve)
        self.flaw = Flaw.NONE
        self.redirects: set[str] = set()
        self._people = {person.subject: person for person in people or (ADA,)}
        self._algorithm = algorithm
        self._codes: dict[str, Mapping[str, str]] = {}
        self._tokens: dict[str, Person] = {}
        self._key = self._new_key()

    @property
    def issuer(self) -> str:
        """Its name."""
        return self.url

    def turn_key(self) -> None:
        """Sign with a new key from now on; the old one is published no more."""
        self._key = self._new_key()

    def _new_key(self) -> RSAKey | ECKey:
        named: KeyParameters = {"kid": secrets.token_hex(4), "use": "sig", "alg": self._algorithm}
        return RSAKey.generate_key(2048, named) if self._algorithm == "RS256" else ECKey.generate_key("P-256", named)

    def _serve(self, request: Request) -> Reply:
        match request.method, request.path:
            case "GET", "/.well-known/openid-configuration":
                return Reply(body=self._metadata())
            case "GET", "/jwks":
                return Reply(body={"keys": [self._key.as_dict(private=False)]})
            case "GET", "/authorize":
                return self._ask(request.query)
            case "POST", "/authorize":
                return self._send_back(request.form)
            case "POST", "/token":
                return self._redeem(request)
            case "GET", "/userinfo":
                return self._tell(request.headers.get("authorization", ""))
        return Reply(status=404)

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self._algorithm],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["openid", "email", "profile"],
        }

    # -- the browser

    def _wrong(self, asked: Mapping[str, str]) -> str:
        """What is wrong with an authorization request."""
        wanted = {"client_id": CLIENT, "response_type": "code", "code_challenge_method": "S256"}
        wrong = [name for name, value in wanted.items() if asked.get(name) != value]
        if asked.get("redirect_uri") not in self.redirects:
            wrong.append("redirect_uri")
        if "openid" not in asked.get("scope", "").split():
            wrong.append("scope")
        return ", ".join([*wrong, *(name for name in ("state", "nonce", "code_challenge") if not asked.get(name))])

    def _ask(self, asked: Mapping[str, str]) -> Reply:
        if wrong := self._wrong(asked):
            return Reply(status=400, body=f"<!doctype html><title>Refused</title><p>{wrong}")
        kept = "".join(
            f"<input type=hidden name='{html.escape(name)}' value='{html.escape(value)}'>"
            for name, value in asked.items()
        )
        buttons = "".join(
            f"<button name=subject value='{html.escape(person.subject)}'>Sign in as {html.escape(person.name)}</button>"
            for person in self._people.values()
        )
        return Reply(
            body=f"<!doctype html><title>Provider</title><form method=post>{kept}{buttons}"
            "<button name=subject value=''>Refuse</button></form>"
        )

    def _send_back(self, form: Mapping[str, str]) -> Reply:
        if wrong := self._wrong(form):
            return Reply(status=400, body=wrong)
        if form["subject"]:
            code = secrets.token_urlsafe(16)
            self._codes[code] = form
            told = {"code": code, "state": form["state"]}
        else:
            told = {"error": "access_denied", "state": form["state"]}
        if self.flaw is Flaw.NO_STATE:
            del told["state"]
        if self.flaw is Flaw.OTHER_STATE:
            told["state"] = secrets.token_urlsafe(16)
        return Reply(status=303, headers={"Location": f"{form['redirect_uri']}?{urlencode(told)}"})

    # -- the client

    def _redeem(self, request: Request) -> Reply:
        form = request.form
        if not _is_client(request.headers.get("authorization", ""), form):
            return Reply(status=401, body={"error": "invalid_client"})
        asked = self._codes.pop(form.get("code", ""), None)
        if (
            asked is None
            or form.get("grant_type") != "authorization_code"
            or form.get("redirect_uri") != asked["redirect_uri"]
            or _challenge(form.get("code_verifier", "")) != asked["code_challenge"]
        ):
            return Reply(status=400, body={"error": "invalid_grant"})
        person = self._people[asked["subject"]]
        access = secrets.token_urlsafe(16)
        self._tokens[access] = person
        return Reply(
            body={
                "access_token": access,
                "token_type": "Bearer",
                "expires_in": _HOUR,
                "id_token": self._id_token(person, asked["nonce"]),
            },
            headers={"Cache-Control": "no-store"},
        )

    def _tell(self, authorization: str) -> Reply:
        person = self._tokens.get(authorization.removeprefix("Bearer "))
        if person is None:
            return Reply(status=401, headers={"WWW-Authenticate": "Bearer"})
        return Reply(body=person.claims | ({"sub": "1"} if self.flaw is Flaw.OTHER_SUBJECT else {}))

    def _id_token(self, person: Person, nonce: str) -> str:
        now = int(time.time())
        claims = person.claims | {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + _HOUR,
            "auth_time": now,
            "nonce": nonce,
        }
        match self.flaw:
            case Flaw.NO_NONCE:
                del claims["nonce"]
            case Flaw.OTHER_NONCE:
                claims["nonce"] = secrets.token_urlsafe(16)
            case Flaw.OTHER_AUDIENCE:
                claims["aud"] = "another-client"
            case Flaw.OTHER_ISSUER:
                claims["iss"] = "https://accounts.example.test"
            case Flaw.EXPIRED:
                claims |= {"iat": now - 2 * _HOUR, "exp": now - _HOUR, "auth_time": now - 2 * _HOUR}
        return self._signed(claims)

    def _signed(self, claims: dict[str, Any]) -> str:
        header = {"alg": self._algorithm, "kid": self._key.kid}
        if self.flaw is Flaw.UNSIGNED:
            return f"{_unsigned(header | {'alg': 'none'}, claims)}."
        if self.flaw is Flaw.PUBLIC_KEY_AS_SECRET:
            forged = _unsigned(header | {"alg": "HS256"}, claims)
            return f"{forged}.{_base64(hmac.digest(self._key.as_pem(private=False), forged.encode(), 'sha256'))}"
        key = self._new_key() if self.flaw is Flaw.OTHER_KEY else self._key
        return jwt.encode(header, claims, key, algorithms=[self._algorithm])


def _is_client(authorization: str, form: Mapping[str, str]) -> bool:
    said = f"{form.get('client_id', '')}:{form.get('client_secret', '')}"
    if authorization.startswith("Basic "):
        said = base64.b64decode(authorization.removeprefix("Basic ")).decode()
    return hmac.compare_digest(said.encode(), f"{CLIENT}:{SECRET}".encode())


def _challenge(verifier: str) -> str:
    return _base64(hashlib.sha256(verifier.encode()).digest())


def _unsigned(*parts: Mapping[str, Any]) -> str:
    return ".".join(_base64(json.dumps(part).encode()) for part in parts)


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
