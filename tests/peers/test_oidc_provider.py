"""The provider signs what it says, gives a code away once, and has exactly the flaw that it is told to have."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import KeySet

from tests.browser import Chromium
from tests.loopback import Loopback, Reply
from tests.oidc_provider import ADA, CLIENT, SECRET, Algorithm, Flaw, Person, Provider

BACK = "http://127.0.0.1:1/back"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
ASKED = {
    "client_id": CLIENT,
    "response_type": "code",
    "redirect_uri": BACK,
    "scope": "openid email",
    "state": "the-state",
    "nonce": "the-nonce",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as server:
        server.redirects.add(BACK)
        yield server


def _sign_in(provider: Provider, subject: str = ADA.subject) -> dict[str, str]:
    """What the browser brings back."""
    sent = httpx2.post(f"{provider.url}/authorize", data=ASKED | {"subject": subject})
    assert sent.status_code == 303, sent.text
    return dict(parse_qsl(urlsplit(sent.headers["location"]).query))


def _redeem(provider: Provider, code: str, *, secret: str = SECRET, **other: str) -> httpx2.Response:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": VERIFIER} | other
    return httpx2.post(f"{provider.url}/token", data=form, auth=(CLIENT, secret))


def _tokens(provider: Provider) -> dict[str, Any]:
    redeemed = _redeem(provider, _sign_in(provider)["code"])
    assert redeemed.status_code == 200, redeemed.text
    tokens: dict[str, Any] = redeemed.json()
    return tokens


def _claims(provider: Provider, algorithm: Algorithm = "RS256") -> dict[str, Any]:
    """What the ID token says, where its signature is right."""
    keys = KeySet.import_key_set(httpx2.get(f"{provider.url}/jwks").json())
    decoded = jwt.decode(_tokens(provider)["id_token"], keys, algorithms=[algorithm])
    return decoded.claims


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_what_it_signs_verifies_with_the_key_it_publishes(algorithm: Algorithm) -> None:
    with Provider(algorithm=algorithm) as provider:
        provider.redirects.add(BACK)
        claims = _claims(provider, algorithm)
        assert (claims["iss"], claims["aud"], claims["nonce"]) == (provider.issuer, CLIENT, "the-nonce")
        assert ADA.claims.items() <= claims.items()
        assert claims["exp"] - claims["iat"] == 3600
        before = httpx2.get(f"{provider.url}/jwks").json()
        provider.turn_key()
        assert httpx2.get(f"{provider.url}/jwks").json()["keys"][0]["kid"] != before["keys"][0]["kid"]
        assert _claims(provider, algorithm)


def test_it_says_where_everything_is(provider: Provider) -> None:
    said = httpx2.get(f"{provider.issuer}/.well-known/openid-configuration").json()
    assert said["issuer"] == provider.issuer
    for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"):
        assert httpx2.request("OPTIONS", said[name]).status_code == 404  # it is there, for another method
        assert said[name].startswith(provider.url)


def test_the_user_information_is_for_the_token(provider: Provider) -> None:
    def tell(token: str) -> httpx2.Response:
        return httpx2.get(f"{provider.url}/userinfo", headers={"Authorization": f"Bearer {token}"})

    token = _tokens(provider)["access_token"]
    assert tell(token).json() == ADA.claims
    assert tell("guessed").status_code == 401
    provider.flaw = Flaw.OTHER_SUBJECT
    assert tell(token).json()["sub"] != ADA.subject


def test_a_code_is_good_once_and_for_its_client(provider: Provider) -> None:
    code = _sign_in(provider)["code"]
    assert _redeem(provider, code, secret="guessed").status_code == 401
    assert _redeem(provider, code).status_code == 200
    assert _redeem(provider, code).json() == {"error": "invalid_grant"}
    for wrong in (
        {"code_verifier": "w" * 43},
        {"redirect_uri": "http://127.0.0.1:1/other"},
        {"grant_type": "password"},
    ):
        assert _redeem(provider, _sign_in(provider)["code"], **wrong).json() == {"error": "invalid_grant"}


@pytest.mark.parametrize("missing", ASKED)
def test_a_request_without_this_is_refused(provider: Provider, missing: str) -> None:
    asked = {name: value for name, value in ASKED.items() if name != missing}
    assert httpx2.get(f"{provider.url}/authorize", params=asked).status_code == 400
    assert httpx2.post(f"{provider.url}/authorize", data=asked | {"subject": ADA.subject}).status_code == 400


def test_whoever_refuses_is_sent_back_without_a_code(provider: Provider) -> None:
    assert _sign_in(provider, subject="") == {"error": "access_denied", "state": "the-state"}


CLAIMED = {
    Flaw.OTHER_NONCE: "nonce",
    Flaw.OTHER_AUDIENCE: "aud",
    Flaw.OTHER_ISSUER: "iss",
    Flaw.NO_NONCE: "nonce",
}


@pytest.mark.parametrize("flaw", CLAIMED, ids=lambda flaw: flaw.name)
def test_one_claim_is_wrong_and_the_signature_right(provider: Provider, flaw: Flaw) -> None:
    right = _claims(provider)
    provider.flaw = flaw
    wrong = _claims(provider)
    differs = {name for name in right if right[name] != wrong.get(name)} - {"iat", "exp", "auth_time"}
    assert differs == {CLAIMED[flaw]}


def test_an_expired_token_was_right_an_hour_ago(provider: Provider) -> None:
    provider.flaw = Flaw.EXPIRED
    claims = _claims(provider)
    with pytest.raises(JoseError, match="expired"):
        jwt.JWTClaimsRegistry().validate(claims)


FORGED = {Flaw.UNSIGNED: "none", Flaw.OTHER_KEY: "RS256", Flaw.PUBLIC_KEY_AS_SECRET: "HS256"}


@pytest.mark.parametrize("flaw", FORGED, ids=lambda flaw: flaw.name)
def test_the_claims_are_right_and_the_signature_is_not(provider: Provider, flaw: Flaw) -> None:
    provider.flaw = flaw
    with pytest.raises(BadSignatureError if flaw is Flaw.OTHER_KEY else JoseError):
        _claims(provider)
    header = _tokens(provider)["id_token"].split(".")[0]
    assert f'"{FORGED[flaw]}"' in base64.urlsafe_b64decode(header + "==").decode()


def test_the_state_is_left_out_or_another(provider: Provider) -> None:
    assert _sign_in(provider)["state"] == "the-state"
    provider.flaw = Flaw.NO_STATE
    assert "state" not in _sign_in(provider)
    provider.flaw = Flaw.OTHER_STATE
    assert _sign_in(provider)["state"] != "the-state"


@pytest.mark.needs("chromium")
def test_a_browser_clicks_through(chromium: Chromium) -> None:
    eve = Person(subject="2", name="Eve <b>", email="eve@example.test")
    with Loopback(lambda _: Reply(body="<title>back</title>")) as client, Provider(ADA, eve) as provider:
        provider.redirects.add(f"{client.url}/back")
        with chromium.visit() as visit:
            asked = ASKED | {"redirect_uri": f"{client.url}/back"}
            visit.page.goto(f"{provider.url}/authorize?{urlencode(asked)}")
            visit.page.get_by_role("button", name="Sign in as Eve <b>").click()
            visit.page.wait_for_url("**/back?*")
            back = client.heard[0].query
        assert back["state"] == "the-state"
        tokens = _redeem(provider, back["code"], redirect_uri=f"{client.url}/back").json()
        assert tokens["token_type"] == "Bearer"
