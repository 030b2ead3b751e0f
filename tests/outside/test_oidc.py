"""What a provider publishes is kept, fetched anew within bounds, and asked for at safe addresses only (pitfall 22)."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from keyturn.core.instant import Instant
from keyturn.core.oidc import OidcProvider
from keyturn.outside import clock, oidc
from keyturn.outside.clock import Tick
from keyturn.outside.oidc import OidcClient
from keyturn.ports.oidc import ProviderUnavailable
from tests.loopback import Loopback, Reply
from tests.oidc_provider import ADA, CLIENT, SECRET, Algorithm, Flaw, Provider

REDIRECT = "http://localhost/callback"
VERIFIER = "v" * 43
CHALLENGE = "7w_YNF9DSfIdPf_pRjSq646_kPr-2-o9NAl16JGghdM"


class Ticks:
    """The boot-time clock, turned by the test."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> Tick:
        return Tick(self.at)


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> Ticks:
    made = Ticks()
    monkeypatch.setattr(clock, "tick", made)
    return made


@pytest.fixture(params=["RS256", "ES256"])
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    algorithm: Algorithm = request.param
    with Provider(ADA, algorithm=algorithm) as made:
        made.redirects.add(REDIRECT)
        yield made


def client_of(provider: Provider, secret: str = SECRET) -> OidcClient:
    named = OidcProvider(
        name="test", issuer=provider.issuer, client_id=CLIENT, client_secret_file="", label="Test House"
    )
    return OidcClient(named, secret)


def code_of(client: OidcClient) -> str:
    """A code that the provider gives to a browser in which Ada signs in."""
    address = client.address(state="s", nonce="n", challenge=CHALLENGE, redirect_uri=REDIRECT)
    asked = httpx2.URL(address)
    back = httpx2.post(asked.copy_with(query=None), data=dict(asked.params) | {"subject": ADA.subject})
    return str(httpx2.URL(back.headers["location"]).params["code"])


def redeem(client: OidcClient, code: str, now: Instant | None = None) -> str | None:
    found = client.redeem(
        code, verifier=VERIFIER, nonce="n", redirect_uri=REDIRECT, now=clock.now() if now is None else now
    )
    return found.subject if found else None


def test_a_code_is_redeemed_once_with_its_verifier(provider: Provider, ticks: Ticks) -> None:
    client = client_of(provider)
    code = code_of(client)
    assert redeem(client, code) == ADA.subject
    assert redeem(client, code) is None
    assert client.redeem(code_of(client), verifier="w" * 43, nonce="n", redirect_uri=REDIRECT, now=clock.now()) is None
    assert redeem(client_of(provider, "not the secret"), code_of(client)) is None


def test_pitfall_22_unknown_keys_are_fetched_anew_once_a_minute(provider: Provider, ticks: Ticks) -> None:
    client = client_of(provider)
    assert redeem(client, code_of(client)) == ADA.subject

    def fetched() -> int:
        return sum(one.path == "/jwks" for one in provider.heard)

    provider.flaw = Flaw.OTHER_KEY
    for _ in range(3):
        assert redeem(client, code_of(client)) is None
    assert fetched() == 1
    provider.flaw = Flaw.NONE
    provider.turn_key()
    assert redeem(client, code_of(client)) is None
    assert fetched() == 1
    ticks.at += 61
    assert redeem(client, code_of(client)) == ADA.subject
    assert fetched() == 2
    ticks.at += 3601
    assert redeem(client, code_of(client)) == ADA.subject
    assert fetched() == 3


CONFIGURATION = "/.well-known/openid-configuration"


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "https://id.example.com"},
        {"token_endpoint": "http://id.example.com/token"},
        {"jwks_uri": None},
        {"authorization_endpoint": "javascript:alert(1)"},
    ],
)
def test_a_configuration_that_leads_elsewhere_is_not_followed(change: dict[str, str | None], ticks: Ticks) -> None:
    with Loopback(lambda _request: Reply(body={})) as other:
        whole = {
            "issuer": other.url,
            "authorization_endpoint": f"{other.url}/a",
            "token_endpoint": f"{other.url}/t",
            "jwks_uri": f"{other.url}/k",
        }
        named = OidcProvider(name="x", issuer=other.url, client_id="x", client_secret_file="", label="X")
        other.then(Reply(body=whole | change))
        with pytest.raises(ProviderUnavailable):
            OidcClient(named, "s").address(state="s", nonce="n", challenge="c", redirect_uri=REDIRECT)


@pytest.mark.parametrize(
    "reply",
    [Reply(status=302, headers={"Location": "https://example.com/"}), Reply(status=500), Reply(body="x" * 300_000)],
)
def test_an_answer_that_is_none_is_an_outage(reply: Reply, ticks: Ticks) -> None:
    with Loopback(lambda _request: reply) as other:
        named = OidcProvider(name="x", issuer=other.url, client_id="x", client_secret_file="", label="X")
        client = OidcClient(named, "s")
        with pytest.raises(ProviderUnavailable):
            client.address(state="s", nonce="n", challenge="c", redirect_uri=REDIRECT)
        assert {one.path for one in other.heard} == {CONFIGURATION}
    with pytest.raises(ProviderUnavailable):
        client.address(state="s", nonce="n", challenge="c", redirect_uri=REDIRECT)


def test_the_client_s_secret_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    named = OidcProvider(
        name="x", issuer="https://id.example.com", client_id="x", client_secret_file=str(file), label="X"
    )
    with pytest.raises(OSError, match="secret"):
        oidc.load([named])
    file.write_text("\n")
    with pytest.raises(ValueError, match="empty"):
        oidc.load([named])
    file.write_text("s3cret\n")
    assert set(oidc.load([named])) == {"x"}
    assert "s3cret" not in repr(oidc.load([named])["x"])
