"""Signing in with a provider: a real one on the loopback, with every flaw it can have, and a browser without script."""

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from playwright.sync_api import expect

from tests.browser import Chromium, Reader
from tests.oidc_provider import ADA, CLIENT, SECRET, Flaw, Person, Provider
from tests.web import house as houses
from tests.web.house import PASSPHRASE, House
from tests.web.person import Page
from tests.web.person import Person as Browser

BOB = Person(subject="77", name="Bob", email="bob@example.test")
CAROL = Person(subject="99", name="Carol", email="carol@example.test")
DORA = Person(subject="dora", name="Dora", email="dora@example.test", email_verified=False)
START = "/sign-in/oidc/test"
WRONG = "Signing in with the provider did not work"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider(ADA, BOB, CAROL, DORA) as made:
        yield made


@pytest.fixture(scope="module")
def place(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("oidc")
    secret = folder / "secret"
    secret.write_text(SECRET + "\n")
    config = folder / "keyturn.toml"
    named = f'issuer = "{provider.issuer}"\nclient_id = "{CLIENT}"\nclient_secret_file = "{secret}"\n'
    config.write_text(
        f'[[oidc]]\nname = "test"\nlabel = "Test House"\n{named}\n'
        f'[[oidc]]\nname = "trusted"\nlabel = "Trusted House"\ntrust_email = true\n{named}'
    )
    with houses.opened(folder / "data", flags=("--config", str(config))) as opened:
        for name in ("test", "trusted"):
            provider.redirects.add(f"{opened.url}/sign-in/oidc/{name}/callback")
        yield opened


@pytest.fixture(autouse=True)
def _sound(provider: Provider) -> Iterator[None]:
    yield
    provider.flaw = Flaw.NONE


def off(page: Page) -> str:
    """Where the page that goes on by itself leads."""
    found = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', page.html)
    assert found, page.html
    return unescape(found[1])


def there(address: str, subject: str) -> str:
    """Click through the provider's page as somebody with an account there; where it leads back to."""
    fields = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    answer = httpx2.post(address.partition("?")[0], data=fields | {"subject": subject}, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def begin(browser: Browser, start: str = START) -> str:
    browser.see("/")
    return off(browser.submit(start))


def sign_in(place: House, subject: str = ADA.subject, start: str = START) -> Browser:
    browser = place.person()
    browser.see(there(begin(browser, start), subject))
    return browser


def connected(place: House, person: Person) -> tuple[Browser, str]:
    """Somebody who has connected that person's account at the provider."""
    _, email = place.user()
    browser = place.person()
    browser.sign_in(email, PASSPHRASE)
    browser.submit("/account/proof", at="/account/security", password=PASSPHRASE)
    address = off(browser.submit("/account/security/identities/test"))
    page = browser.see(there(address, person.subject))
    assert (page.path, page.status) == ("/account/security?done=connected", 200), page.text
    return browser, email


@pytest.fixture(scope="module")
def ada(place: House) -> str:
    """The address of the user whom Ada's account belongs to."""
    return connected(place, ADA)[1]


def test_whoever_connected_an_account_signs_in_with_it(place: House, ada: str) -> None:
    browser = sign_in(place)
    assert (browser.page.path, browser.page.status) == ("/keys", 200)
    assert browser.session
    page = browser.see("/account/security")
    assert "Test House" in page.text
    assert ADA.email in page.text
    assert place.link(ada, "Another way to sign in").startswith("/links/")  # its owner is told


FLAWS = [one for one in Flaw if one not in (Flaw.NONE, Flaw.OTHER_SUBJECT)]


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.name)
def test_no_word_is_believed_that_is_not_the_provider_s_for_us_now(
    place: House, ada: str, provider: Provider, flaw: Flaw
) -> None:
    provider.flaw = flaw
    browser = sign_in(place)
    assert browser.page.status == 403
    assert WRONG in browser.page.text
    assert not browser.session


def test_what_is_said_elsewhere_of_somebody_else_changes_nothing(place: House, ada: str, provider: Provider) -> None:
    provider.flaw = Flaw.OTHER_SUBJECT  # of the user information, which nobody asks for
    assert sign_in(place).page.path == "/keys"


def test_whose_account_nobody_connected_is_nobody(place: House, ada: str) -> None:
    browser = sign_in(place, BOB.subject)
    assert browser.page.status == 403
    assert "Nobody here is known" in browser.page.text
    assert not browser.session


def test_an_address_that_the_provider_verified_is_enough_only_where_the_setting_says_so(place: House) -> None:
    account = place.account()
    wish = {"email": BOB.email, "name": "Bob", "role": "owner", "account_id": account}
    assert place.server.call("/v1/users", wish).status == 201  # without a password
    assert "Nobody here is known" in sign_in(place, BOB.subject).page.text
    assert sign_in(place, BOB.subject, "/sign-in/oidc/trusted").page.path == "/keys"
    assert sign_in(place, BOB.subject).page.path == "/keys"  # from now on he is known by issuer and subject


def test_a_code_is_bound_to_the_browser_that_began_and_used_once(place: House, ada: str) -> None:
    browser, thief = place.person(), place.person()
    back = there(begin(browser), ADA.subject)
    thief.see("/")
    assert thief.see(back).status == 403  # signing somebody in as another is an attack too
    assert not thief.session
    assert browser.see(back).path == "/keys"
    assert WRONG in place.person().see(back).text
    browser.submit("/sign-out", at="/keys")
    assert browser.see(back).status == 403
    assert not browser.session


def test_a_state_of_one_provider_is_none_of_another(place: House, ada: str) -> None:
    browser = place.person()
    back = there(begin(browser), ADA.subject).replace("/oidc/test/", "/oidc/trusted/")
    assert browser.see(back).status == 403
    assert not browser.session


@pytest.mark.parametrize("query", ["", "?code=x", "?state=x", "?state=oid_x.y&code=x", "?error=access_denied&state=x"])
def test_a_callback_that_nobody_began_leads_nowhere(place: House, query: str) -> None:
    browser = place.person()
    browser.see("/")
    page = browser.see(f"{START}/callback{query}")
    assert page.status == 403
    assert WRONG in page.text


def test_who_refuses_at_the_provider_comes_back_to_the_door(place: House, ada: str) -> None:
    browser = place.person()
    assert WRONG in browser.see(there(begin(browser), "")).text
    assert browser.page.has_form("/sign-in")


def test_k2_a_second_factor_is_asked_for_all_the_same(place: House) -> None:
    _, email = connected(place, CAROL)
    app, _ = place.totp(email)
    browser = sign_in(place, CAROL.subject)
    assert browser.page.path == "/sign-in/second"
    assert browser.see("/keys").path != "/keys"
    assert browser.submit("/sign-in/second", at="/sign-in/second", totp=app.now()).path == "/keys"


def test_nobody_connects_an_account_that_is_somebody_s(place: House, ada: str) -> None:
    _, email = place.user()
    browser = place.person()
    browser.sign_in(email, PASSPHRASE)
    browser.submit("/account/proof", at="/account/security", password=PASSPHRASE)
    page = browser.see(there(off(browser.submit("/account/security/identities/test")), ADA.subject))
    assert "Somebody signs in with that account" in page.text


def test_it_takes_a_recent_proof_to_connect_and_to_disconnect(place: House) -> None:
    _, email = place.user()
    browser = place.person()
    browser.sign_in(email, PASSPHRASE)
    page = browser.see("/account/security")
    assert not page.has_form("/account/security/identities/test")
    refused = browser.post("/account/security/identities/test", {"csrf": browser.csrf})
    assert refused.status == 403
    gone = browser.post("/account/security/identities/remove", {"csrf": browser.csrf, "issuer": "x", "subject": "y"})
    assert gone.status == 403


def test_a_stranger_s_form_begins_nothing(place: House) -> None:
    browser = place.person()
    browser.see("/")
    assert browser.post(START, {"csrf": "none"}).status == 403
    assert browser.post("/sign-in/oidc/none", {"csrf": browser.csrf}).status in (403, 404)


def test_a_provider_that_is_away_keeps_nobody_from_the_password(place: House, provider: Provider) -> None:
    _, email = place.user()
    browser = place.person()
    begun = begin(browser)
    provider.stop()
    try:
        back = f"{START}/callback?{urlsplit(begun).query}&code=x"
        assert browser.see(back).status == 503
        assert browser.sign_in(email, PASSPHRASE).path == "/keys"
    finally:
        provider.start()


def test_the_secret_and_the_code_are_nowhere_in_the_log(place: House, ada: str) -> None:
    browser = place.person()
    back = there(begin(browser), ADA.subject)
    browser.see(back)
    code = parse_qs(urlsplit(back).query)["code"][0]
    assert SECRET not in place.server.said
    assert code not in place.server.said


def test_an_invitation_is_accepted_with_a_provider_and_no_password(place: House) -> None:
    account = place.account()
    _, owner = place.user(account)
    token = place.server.call("/v1/sessions", {"user": owner, "password": PASSPHRASE}).body["token"]
    invited = place.server.call(f"/v1/accounts/{account}/invitations", {"email": DORA.email}, key=token)
    assert invited.status == 201
    link = place.link(DORA.email, "Invitation")
    browser = place.person()
    browser.see(link)
    page = browser.see(there(off(browser.submit(START)), DORA.subject))
    assert (page.path, page.status) == ("/keys", 200)
    members = place.server.call(f"/v1/accounts/{account}/members", key=token).body["items"]
    assert DORA.email in {one["email"] for one in members}
    assert place.person().see(link).status == 410
    assert sign_in(place, DORA.subject).page.path == "/keys"
    assert place.person().sign_in(DORA.email, PASSPHRASE).path != "/keys"  # there is no password to guess


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
def test_a_real_browser_goes_there_and_back(chromium: Chromium, place: House, ada: str, javascript: bool) -> None:  # noqa: FBT001  # a parameter
    with chromium.visit(place.url, Reader(javascript=javascript)) as visit:
        page = visit.page
        page.goto("/")
        page.get_by_role("button", name="Sign in with Test House").click()
        page.get_by_role("button", name=f"Sign in as {ADA.name}").click()
        expect(page.get_by_role("heading", name="API Keys")).to_be_visible()
        assert page.url == f"{place.url}/keys"
