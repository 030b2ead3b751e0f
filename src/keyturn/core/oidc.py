"""Signing in with somebody else's word: OpenID Connect providers, and what of their word is believed.

Who somebody is is told by issuer and subject alone.  An address is only something said of them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from hmac import compare_digest
from typing import Any, Final

from keyturn.core.instant import EPOCH, Instant

TRY_LASTS: Final = timedelta(minutes=10)
ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "Ed25519",
    "EdDSA",
)
"""Only such that a published key checks and cannot make: never `none`, never a shared secret."""
_SKEW: Final = timedelta(minutes=2)
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?", re.ASCII)
_URL: Final = re.compile(r"https://[!-~]+|http://(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?(?:/[!-~]*)?", re.ASCII)
_LONGEST_SUBJECT: Final = 255
_LONGEST: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcProvider:
    """One provider, as the settings name it."""

    name: str
    """Part of the address that it sends people back to."""
    issuer: str
    client_id: str
    client_secret_file: str
    label: str
    """What its button says."""
    trust_email: bool = False
    """Whether whoever it says has verified a user's address is that user: then it can speak for each of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Somebody as a provider knows them."""

    issuer: str
    subject: str
    email: str = ""
    email_verified: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcTry:
    """One sign-in under way at a provider, in one browser, used once."""

    id: str
    provider: str
    ends_at: Instant
    user_id: str = ""
    """Who connects it to their account; empty where somebody signs in."""
    session: str = ""
    link_digest: bytes = b""
    """Of the invitation that is accepted with it, or empty."""


def parse_provider(plain: Mapping[str, Any]) -> OidcProvider:
    """Read one from the settings.  Raises ValueError with a sentence for a person."""
    known = set(OidcProvider.__slots__)
    if unknown := sorted(plain.keys() - known):
        raise ValueError(f"there is no {unknown[0]!r} in a provider")
    texts = {name: plain.get(name, "") for name in known - {"trust_email"}}
    if bad := sorted(name for name, value in texts.items() if not isinstance(value, str)):
        raise ValueError(f"{bad[0]} is a text")
    if missing := sorted(name for name in ("name", "issuer", "client_id", "client_secret_file") if not texts[name]):
        raise ValueError(f"a provider needs {missing[0]}")
    if not _NAME.fullmatch(texts["name"]):
        raise ValueError("the name of a provider has 1 to 32 of a-z, 0-9 and hyphens")
    if not is_safe_url(texts["issuer"]) or set(texts["issuer"]) & set("?#"):
        raise ValueError("an issuer is an https:// address without query")
    trust = plain.get("trust_email", False)
    if not isinstance(trust, bool):
        raise ValueError("trust_email is true or false")  # noqa: TRY004  # one kind of error for every bad value
    return OidcProvider(trust_email=trust, **texts | {"label": texts["label"] or texts["name"].title()})


def is_safe_url(url: object) -> bool:
    """Whether nobody on the way can read or change what is asked there: https, or this very machine."""
    return isinstance(url, str) and len(url) <= _LONGEST and _URL.fullmatch(url) is not None


def read_identity(
    claims: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str, now: Instant
) -> Identity | None:
    """Whom an ID token speaks of whose signature is right (OIDC Core 3.1.3.7); None where it is not for us."""
    subject, audience = claims.get("sub"), claims.get("aud")
    said = claims.get("nonce")
    right = (
        claims.get("iss") == issuer
        and audience in (client_id, [client_id])
        and claims.get("azp", client_id) == client_id
        and isinstance(said, str)
        and compare_digest(said.encode(), nonce.encode())
        and isinstance(subject, str)
        and 0 < len(subject) <= _LONGEST_SUBJECT
        and _is_in_time(claims, now)
    )
    if not right:
        return None
    email, name = claims.get("email", ""), claims.get("name", "")
    return Identity(
        issuer=issuer,
        subject=str(subject),
        email=email.lower() if isinstance(email, str) else "",
        email_verified=claims.get("email_verified") is True,
        name=name if isinstance(name, str) else "",
    )


def _is_in_time(claims: Mapping[str, Any], now: Instant) -> bool:
    moments = [claims.get(name) for name in ("iat", "exp")]
    begins = claims.get("nbf", 0)
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in (*moments, begins)):
        return False
    issued, ends = moments
    at = (now - EPOCH).total_seconds()
    skew = _SKEW.total_seconds()
    oldest = at - TRY_LASTS.total_seconds()
    return bool(oldest <= issued <= at + skew and at < ends + skew and begins <= at + skew)  # type: ignore[operator]  # numbers: seen above
