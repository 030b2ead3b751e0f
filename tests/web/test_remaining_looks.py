"""The pages that stand apart, in every look: recovery codes, mailed proofs, an address to confirm, mails, 404."""

from collections.abc import Iterator

import pyotp
import pytest
from playwright.sync_api import expect

from tests.browser import EACH_LOOK, Chromium, Reader, follow
from tests.web.house import PASSPHRASE, House, opened
from tests.web.test_account_in_chromium import look_well

pytestmark = pytest.mark.needs("chromium")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server that shows its mails."""
    folder = tmp_path_factory.mktemp("looks")
    config = folder / "keyturn.toml"
    config.write_text("show_mails = true\n")
    with opened(folder / "data", flags=("--config", str(config))) as house:
        yield house


@pytest.mark.parametrize("look", EACH_LOOK)
def test_the_pages_that_stand_apart_can_be_used_by_everybody(chromium: Chromium, demo: House, look: Reader) -> None:
    """R51: the robot here is a real browser, which opens the link and presses its button without the cookie."""
    account = demo.account()
    user, email = demo.user(account)
    key = demo.server.create(name="order router", account_id=account, owner_id=user)
    with chromium.visit(demo.url, look) as visit:
        page = visit.page
        page.goto("/")
        page.get_by_label("User name or e-mail").fill(email)
        page.get_by_label("Password").fill(PASSPHRASE)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.wait_for_url("**/keys")
        page.goto(f"/keys/{key['id']}/reset?reason=routine")
        page.get_by_role("button", name="Reset API Key").click()
        page.wait_for_url("**/resets/*")
        reset = page.url
        follow(page.get_by_role("button", name="Mail me a link"))
        expect(page.get_by_role("status")).to_contain_text(email)
        look_well(page, "waiting for the link")
        link = demo.link(email, "Prove your reset")
        with chromium.visit(demo.url, look) as elsewhere:
            elsewhere.page.goto(link)
            look_well(elsewhere.page, "a mailed proof, elsewhere")
            for button in elsewhere.page.locator("main button").all():
                follow(button)
            assert "kt_live_" not in elsewhere.page.content()
        page.goto(link)
        look_well(page, "a mailed proof")
        follow(page.locator("main form button[type=submit]"))
        page.goto(reset)
        expect(page.locator("main")).to_contain_text("a link we mail you given")
        page.goto("/demo/mails")
        look_well(page, "mails")
        follow(page.locator("main a[href^='/demo/mails/']").first)
        look_well(page, "a mail")
        page.goto("/account/security")
        page.get_by_label("Your password, again").fill(PASSPHRASE)
        follow(page.get_by_role("button", name="Continue"))
        follow(page.get_by_role("button", name="Add an authenticator app"))
        app = pyotp.TOTP(page.locator("code.secret").inner_text().replace(" ", ""))
        page.get_by_label("Code from your authenticator app").fill(app.now())
        follow(page.locator("main form button.main"))
        expect(page.locator("#codes")).to_be_visible()
        look_well(page, "recovery codes")


@pytest.mark.parametrize("look", EACH_LOOK)
def test_an_address_is_confirmed_by_everybody_who_reads_its_mails(
    chromium: Chromium, demo: House, look: Reader
) -> None:
    """R50: before its button, after it, and behind a link that has nothing left to do."""
    person = demo.signed_in()
    person.submit("/account/proof", at="/account/notices", password=PASSPHRASE)
    further = f"further{next(demo.numbers)}.with.a.rather.long.name@subsidiary.of.a.customer.example.com"  # no hyphen
    person.submit("/account/notices/addresses", at="/account/notices", email=further)
    link = demo.link(further, "Confirm this address")
    with chromium.visit(demo.url, look) as visit:
        page = visit.page
        page.goto(link)
        expect(page.get_by_role("heading", name="Confirm this address")).to_be_visible()
        look_well(page, "an address to confirm")
        follow(page.get_by_role("button", name="It is mine: confirm it"))
        expect(page.get_by_role("heading", name="Address confirmed")).to_be_visible()
        look_well(page, "an address confirmed")
        page.goto(link)
        expect(page.get_by_role("heading", name="This link leads nowhere any more")).to_be_visible()
        look_well(page, "an address confirmed before")


@pytest.mark.parametrize("language", ["en-GB", "de-DE"])
def test_nothing_of_the_list_is_cut_off_at_any_width(chromium: Chromium, demo: House, language: str) -> None:
    """Also in a frame, which is as wide as its page likes; a card cuts off what does not fit into it."""
    account = demo.account()
    user, email = demo.user(account)
    for name in ("order router", "x" * 200, "Auswertung der Handelsbestätigungen im Nachtlauf (Rechenzentrum Süd)"):
        demo.server.create(name=name, account_id=account, owner_id=user)
    with chromium.visit(demo.url, Reader(locale=language)) as visit:
        page = visit.page
        page.goto("/")
        page.locator("#user").fill(email)
        page.locator("#password").fill(PASSPHRASE)
        page.locator("form[action='/sign-in'] button").click()
        page.wait_for_url("**/keys")
        keys = page.locator(".card.table")
        for width in (320, 390, 600, 896, 897, 1000, 1119, 1120, 1280, 1920):
            page.set_viewport_size({"width": width, "height": 900})
            assert keys.evaluate("one => one.scrollWidth <= one.clientWidth"), width
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width


@pytest.mark.parametrize("look", EACH_LOOK)
def test_what_is_not_there_says_so_to_everybody(chromium: Chromium, demo: House, look: Reader) -> None:
    with chromium.visit(demo.url, look) as visit:
        visit.page.goto("/nowhere")
        expect(visit.page.get_by_role("alert")).to_contain_text("There is no such thing here")
        look_well(visit.page, "not found")
        follow(visit.page.get_by_role("link", name="Go to keyturn"))
        expect(visit.page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
