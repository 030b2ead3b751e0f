"""The pages about people, in Chromium: by keyboard, with and without a script, for every eye (K1, K2)."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.axe import findings
from tests.browser import LOOKS, Chromium, Kind, Reader, Visit
from tests.web.house import PASSPHRASE, House

pytestmark = pytest.mark.needs("chromium")

PATHS = ("/account", "/account/security", "/account/sessions", "/accounts")


def enter(visit: Visit, email: str) -> None:
    """By the keyboard alone."""
    visit.page.goto("/")
    expect(visit.page.locator("#user")).to_be_focused()
    visit.page.keyboard.type(email)
    visit.page.keyboard.press("Tab")
    visit.page.keyboard.type(PASSPHRASE)
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_url(lambda url: not url.endswith("/"))


def look_well(page: Page, story: str) -> None:
    found = findings(page)
    assert not found.violations, (story, found.violations)
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1], (story, wide)


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_every_page_can_be_used_by_everybody(chromium: Chromium, house: House, look: Reader) -> None:
    _, email = house.user(name="Maria-Magdalena von Hohenlohe-Langenburg-Schillingsfürst")
    with chromium.visit(house.url, look) as visit:
        page = visit.page
        page.goto("/")
        look_well(page, "sign-in")
        page.get_by_label("User name or e-mail").fill(email)
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        look_well(page, "wrong password")
        enter(visit, email)
        for path in PATHS:
            page.goto(path)
            look_well(page, path)
        page.goto("/account/security")
        page.get_by_label("Your password, again").fill(PASSPHRASE)
        page.get_by_role("button", name="Continue").click()
        look_well(page, "security, open")
        page.get_by_role("button", name="Add an authenticator app").click()
        look_well(page, "totp")
    app, _ = house.totp(email)
    with chromium.visit(house.url, look) as visit:
        page = visit.page
        enter(visit, email)
        look_well(page, "second step")
        page.get_by_label("Code from your authenticator app").fill("000000")
        page.get_by_role("button", name="Continue").first.click()
        expect(page.locator("#totp-error")).to_be_visible()
        look_well(page, "second step, wrong")
        page.get_by_label("Code from your authenticator app").fill(app.now())
        page.get_by_role("button", name="Continue").first.click()
        page.goto("/account/security")
        look_well(page, "security with a factor")


@pytest.fixture
def passkeys(chromium: Chromium, house: House) -> Iterator[tuple[Visit, str]]:
    """Somebody with a device for passkeys, on the security page, who has just shown their password."""
    _, email = house.user()
    with chromium.visit(house.url) as visit:
        visit.authenticator()
        enter(visit, email)
        visit.page.goto("/account/security")
        visit.page.get_by_label("Your password, again").fill(PASSPHRASE)
        visit.page.keyboard.press("Enter")
        expect(visit.page.get_by_role("button", name="Add a passkey")).to_be_visible()
        yield visit, email


def test_k2_a_passkey_is_made_and_signs_its_owner_in(passkeys: tuple[Visit, str]) -> None:
    visit, email = passkeys
    page = visit.page
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes", exact=True)).to_be_visible()
    expect(page.locator("#codes li")).to_have_count(10)
    page.get_by_role("button", name="I have stored them").click()
    expect(page.get_by_text("10 codes are left")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out")).to_be_visible()
    enter(visit, email)
    page.get_by_role("button", name="Use your passkey").click()
    page.wait_for_url("**/keys")


def test_a_passkey_that_does_not_answer_leaves_the_person_where_they_are(passkeys: tuple[Visit, str]) -> None:
    visit, _ = passkeys
    page = visit.page
    page.evaluate("() => { navigator.credentials.create = () => Promise.reject(new DOMException('no')); }")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_text("No passkey was made")).to_be_visible()
    expect(page.get_by_role("button", name="Add a passkey")).to_be_enabled()


def test_k8_the_captcha_solves_itself_and_a_known_browser_is_not_asked(chromium: Chromium, house: House) -> None:
    _, email = house.user()
    known = house.person()
    known.sign_in(email, PASSPHRASE)
    known.submit("/sign-out")
    for _ in range(6):
        house.person().sign_in(email, "wrong")
    for look in (Reader(), Reader(phone=True, dark=True, locale="de-DE")):
        with chromium.visit(house.url, look) as visit:
            page = visit.page
            enter(visit, email)
            widget = page.locator("altcha-widget")
            expect(widget).to_contain_text({"en-GB": "Done", "de-DE": "Erledigt"}[look.locale])
            look_well(page, f"captcha, {look}")
            page.locator("#password").fill(PASSPHRASE)
            page.locator("form[action='/sign-in'] button").click()
            page.wait_for_url("**/keys")
    assert known.sign_in(email, PASSPHRASE).path == "/keys"


def test_without_a_script_everything_but_passkeys_works(chromium: Chromium, house: House) -> None:
    _, email = house.user()
    app, _ = house.totp(email)
    with chromium.visit(house.url, Reader(javascript=False)) as visit:
        page = visit.page
        page.goto("/")
        page.get_by_label("User name or e-mail").fill(email)
        page.get_by_label("Password").fill(PASSPHRASE)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_label("Code from your authenticator app").fill(app.now())
        page.get_by_role("button", name="Continue").first.click()
        page.wait_for_url("**/keys")
        page.goto("/account/security")
        expect(page.get_by_role("heading", name="First confirm that it is you")).to_be_visible()
        page.goto("/account/sessions")
        expect(page.get_by_text("this one")).to_be_visible()


def test_what_the_policy_forbids_is_forbidden_on_our_pages(chromium: Chromium, house: House) -> None:
    _, email = house.user()
    with chromium.visit(house.url) as visit:
        enter(visit, email)
        visit.page.goto("/account/security")
        visit.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=document.title=1>')")
        visit.page.wait_for_load_state("networkidle")
        assert visit.heard(Kind.POLICY)
        visit.heard(Kind.ANSWER)
        assert visit.page.title() != "1"
