"""What of a provider's word is believed (OIDC Core 3.1.3.7), and which providers can be named."""

from datetime import datetime
from typing import Any

import pytest

from keyturn.core.instant import EPOCH, Instant
from keyturn.core.oidc import ALGORITHMS, Identity, is_safe_url, parse_provider, read_identity

T0 = Instant(datetime.fromisoformat("2030-01-01T00:00:00+00:00"))
NOW = int((T0 - EPOCH).total_seconds())
ISSUER = "https://id.example.com"
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": "keyturn",
    "sub": "248289761001",
    "nonce": "n",
    "iat": NOW,
    "exp": NOW + 3600,
    "email": "Ada@example.com",
    "email_verified": True,
    "name": "Ada",
}


def read(claims: dict[str, Any]) -> Identity | None:
    return read_identity(claims, issuer=ISSUER, client_id="keyturn", nonce="n", now=T0)


def test_a_word_for_us_is_believed() -> None:
    ada = Identity(issuer=ISSUER, subject="248289761001", email="ada@example.com", email_verified=True, name="Ada")
    assert read(CLAIMS) == ada
    assert read(CLAIMS | {"aud": ["keyturn"], "azp": "keyturn", "iat": NOW - 599.5, "nbf": NOW + 60}) == ada
    assert read({name: CLAIMS[name] for name in ("iss", "aud", "sub", "nonce", "iat", "exp")}) == Identity(
        issuer=ISSUER, subject="248289761001"
    )
    odd = read(CLAIMS | {"email": ["x"], "name": 7, "email_verified": "true"})
    assert odd == Identity(issuer=ISSUER, subject="248289761001")


WRONG: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://id.example.org"},
    "an issuer with more": {"iss": ISSUER + "/"},
    "another audience": {"aud": "other"},
    "one audience of several": {"aud": ["keyturn", "other"]},
    "no audience": {"aud": []},
    "made for another party": {"azp": "other"},
    "another nonce": {"nonce": "m"},
    "no nonce": {"nonce": None},
    "a nonce that is none": {"nonce": 7},
    "nobody": {"sub": ""},
    "a subject that is none": {"sub": 7},
    "a subject without end": {"sub": "x" * 256},
    "expired": {"exp": NOW - 121},
    "without end": {"exp": None},
    "an end that is none": {"exp": "never"},
    "an end that is true": {"exp": True},
    "issued tomorrow": {"iat": NOW + 86400},
    "issued before this was begun": {"iat": NOW - 601},
    "never issued": {"iat": None},
    "not yet": {"nbf": NOW + 3600},
    "no beginning": {"nbf": "now"},
}


@pytest.mark.parametrize("story", WRONG)
def test_any_other_word_is_not(story: str) -> None:
    assert read(CLAIMS | WRONG[story]) is None


def test_no_algorithm_is_taken_that_a_published_key_could_forge() -> None:
    assert not {one for one in ALGORITHMS if one.startswith("HS") or one.lower() == "none"}


PLAIN = {"name": "corp", "issuer": ISSUER, "client_id": "keyturn", "client_secret_file": "secret"}


def test_a_provider_is_named_in_the_settings() -> None:
    corp = parse_provider(PLAIN)
    assert (corp.name, corp.label, corp.trust_email) == ("corp", "Corp", False)
    assert parse_provider(PLAIN | {"label": "Our own", "trust_email": True}).label == "Our own"


@pytest.mark.parametrize(
    "change",
    [
        {"secret": "x"},
        {"name": "Corp!"},
        {"name": ""},
        {"client_id": 7},
        {"client_secret_file": ""},
        {"issuer": "http://id.example.com"},
        {"issuer": "https://id.example.com?x=1"},
        {"issuer": "ftp://id.example.com"},
        {"trust_email": "yes"},
    ],
)
def test_a_provider_that_cannot_be_used_says_why(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_provider(PLAIN | change)


def test_only_what_nobody_on_the_way_can_change_is_asked() -> None:
    safe = ("https://id.example.com/x?y", "http://127.0.0.1:80/x", "http://localhost", "http://[::1]:9/")
    unsafe = ("http://id.example.com", "http://localhost.example.com", "https://a b", "javascript:alert(1)", None, 7)
    assert all(is_safe_url(one) for one in safe)
    assert not any(is_safe_url(one) for one in unsafe)
    assert not is_safe_url("https://" + "x" * 2000)
