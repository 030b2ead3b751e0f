"""The pages about people, in Chromium: by keyboard, with and without a script, for every eye (K1, K2)."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.axe import findings
from tests.browser import EACH_LOOK, Chromium, Kind, Reader, Visit, follow
from tests.web.house import PASSPHRASE, House

pytestmark = pytest.mark.needs("chromium")

PATHS = (
    "/account",
    "/account/members",
    "/account/security",
    "/account/sessions",
    "/account/allowlists",
    "/account/notices",
    "/account/webhooks",
    "/accounts",
)
LONG = "Maria-Magdalena von Hohenlohe-Langenburg-Schillingsfürst"


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
    wide = page.evaluate("document.documentElement.scrollWidth")  # a phone's innerWidth grows with what is too wide
    assert wide <= page.viewport_size["width"], (story, wide)  # type: ignore[index]  # it has one


@pytest.mark.parametrize("look", EACH_LOOK)
def test_every_page_can_be_used_by_everybody(chromium: Chromium, house: House, look: Reader) -> None:
    account = house.account()
    user, email = house.user(account, name=LONG)
    house.join(house.account(name="Another customer"), user)
    house.server.create(name="a key with a rather long name, as keys have", account_id=account, owner_id=user)
    with chromium.visit(house.url, look) as visit:
        page = visit.page
        page.goto("/")
        look_well(page, "sign-in")
        page.get_by_label("User name or e-mail").fill(email)
        page.get_by_label("Password").fill("wrong")
        follow(page.get_by_role("button", name="Sign in"))
        look_well(page, "wrong password")
        enter(visit, email)
        for path in PATHS:
            page.goto(path)
            look_well(page, path)
        page.goto(f"/account/members/{user}")
        look_well(page, "a member")
        page.goto("/account/members")
        page.get_by_label("E-mail").fill("somebody.with.a.long.address@subsidiary.of.a.customer.example.com")
        follow(page.get_by_role("button", name="Mail the invitation"))
        expect(page.get_by_role("heading", name="Invited")).to_be_visible()
        look_well(page, "invited")
        page.goto("/account/security")
        page.get_by_label("Your password, again").fill("wrong")
        follow(page.get_by_role("button", name="Continue"))
        look_well(page, "again, wrong")
        page.get_by_label("Your password, again").fill(PASSPHRASE)
        follow(page.get_by_role("button", name="Continue"))
        expect(page.get_by_role("button", name="Add an authenticator app")).to_be_visible()
        look_well(page, "security, open")
        page.goto("/account/notices")
        look_well(page, "notices, open")
        page.get_by_label("Another address").fill(f"further.address.of.{user}@subsidiary.of.a.customer.example.com")
        follow(page.get_by_role("button", name="Add it"))
        expect(page.get_by_role("status")).to_be_visible()
        look_well(page, "notices, one address waits")
        page.goto("/account/webhooks")
        page.get_by_label("Address").fill("https://hooks.example.com/a/rather/long/path/" + "x" * 80)
        follow(page.get_by_role("button", name="Add a webhook"))
        expect(page.locator("#secret")).to_be_visible()
        look_well(page, "a webhook's secret")
        follow(page.get_by_role("button", name="Yes, I have stored it"))
        look_well(page, "webhooks")
        page.goto("/account/security")
        follow(page.get_by_role("button", name="Add an authenticator app"))
        look_well(page, "totp")
    app, _ = house.totp(email)
    with chromium.visit(house.url, look) as visit:
        page = visit.page
        enter(visit, email)
        look_well(page, "second step")
        page.get_by_label("Code from your authenticator app").fill("000000")
        follow(page.get_by_role("button", name="Continue").first)
        expect(page.locator("#totp-error")).to_be_visible()
        look_well(page, "second step, wrong")
        expect(page.locator("#totp")).to_be_focused()
        page.get_by_text("Use a recovery code").click()
        page.get_by_label("Recovery code").fill("none")
        follow(page.get_by_role("button", name="Continue").last)
        expect(page.locator("#recovery_code-error")).to_be_visible()
        expect(page.locator("#recovery_code")).to_be_focused()
        look_well(page, "second step, wrong recovery code")
        page.get_by_label("Code from your authenticator app").fill(app.now())
        follow(page.get_by_role("button", name="Continue").first)
        page.goto("/account/security")
        look_well(page, "security with a factor")


@pytest.mark.parametrize("look", EACH_LOOK)
def test_every_page_behind_a_link_can_be_used_by_everybody(chromium: Chromium, house: House, look: Reader) -> None:
    account = house.account()
    user, email = house.user(account, name=LONG)
    house.server.create(name="order router", account_id=account, owner_id=user)
    newcomer = f"new{next(house.numbers)}@example.com"
    house.server.call(f"/v1/accounts/{account}/invitations", {"email": newcomer, "role": "member"})
    house.totp(email)
    stopped, invitation = house.link(email, "New API key"), house.link(newcomer, "Invitation to")
    person = house.link(email, "Second factor added")
    with chromium.visit(house.url, look) as visit:
        page = visit.page
        page.goto("/forgot")
        look_well(page, "forgot")
        page.get_by_label("User name or e-mail").fill(email)
        follow(page.get_by_role("button", name="Mail me a link"))
        expect(page.get_by_text("a mail is on its way")).to_be_visible()
        look_well(page, "forgot, sent")
        page.goto(house.link(email, "Set a new password"))
        look_well(page, "new password")
        page.get_by_label("New password").fill("short")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_label("New password")).to_have_attribute("type", "text")
        follow(page.get_by_role("button", name="Set the new password"))
        look_well(page, "new password, wrong")
        page.goto(person)
        look_well(page, "not me, everything")
        page.goto(stopped)
        follow(page.get_by_role("button", name="Suspend the key"))
        expect(page.locator("#sure-error")).to_be_visible()
        look_well(page, "not me, unsure")
        page.get_by_label("I did not do this").check()
        follow(page.get_by_role("button", name="Suspend the key"))
        expect(page.get_by_text("The key is stopped")).to_be_visible()
        look_well(page, "not me, stopped")
        page.goto(invitation)
        look_well(page, "invitation")
        page.get_by_label("Your name").fill("N")
        page.get_by_label("New password").fill("short")
        follow(page.get_by_role("button", name="Join"))
        expect(page.locator("#new_password-error")).to_be_visible()
        look_well(page, "invitation, wrong")
        page.goto("/links/nowhere")
        look_well(page, "nowhere")


@pytest.fixture
def passkeys(chromium: Chromium, house: House) -> Iterator[tuple[Visit, str]]:
    """Somebody with a device for passkeys, on the security page, who has just shown their password."""
    _, email = house.user()
    with chromium.visit(house.url) as visit:
        visit.authenticator()
        enter(visit, email)
        visit.page.goto("/account/security")
        visit.page.get_by_label("Your password, again").fill(PASSPHRASE)
        with visit.page.expect_navigation():
            visit.page.keyboard.press("Enter")
        expect(visit.page.get_by_role("button", name="Add a passkey")).to_be_visible()
        yield visit, email


def test_k2_a_passkey_is_made_and_signs_its_owner_in(passkeys: tuple[Visit, str]) -> None:
    visit, email = passkeys
    page = visit.page
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes", exact=True)).to_be_visible()
    expect(page.locator("#codes li")).to_have_count(10)
    follow(page.get_by_role("button", name="I have stored them"))
    expect(page.get_by_text("10 codes are left")).to_be_visible()
    follow(page.get_by_role("button", name="Sign out"))
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
        follow(page.get_by_role("button", name="Sign in"))
        page.get_by_label("Code from your authenticator app").fill(app.now())
        follow(page.get_by_role("button", name="Continue").first)
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
        with (
            visit.page.expect_response("**/account/x"),
            visit.page.expect_console_message(lambda said: "securitypolicyviolation" in said.text),
        ):
            visit.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=document.title=1>')")
        assert visit.heard(Kind.POLICY)
        visit.heard(Kind.ANSWER)
        assert visit.page.title() != "1"
