"""The pages that stand apart: recovery codes, a mailed proof here and elsewhere, the mails of a demo; in every look."""

from collections.abc import Iterator

import pyotp
import pytest
from playwright.sync_api import expect

from tests.browser import LOOKS, Chromium, Reader
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


@pytest.mark.parametrize("look", LOOKS, ids=str)
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
        page.get_by_role("button", name="Mail me a link").click()
        expect(page.get_by_role("status")).to_contain_text(email)
        look_well(page, "waiting for the link")
        link = demo.link(email, "Prove your reset")
        with chromium.visit(demo.url, look) as elsewhere:
            elsewhere.page.goto(link)
            look_well(elsewhere.page, "a mailed proof, elsewhere")
            for button in elsewhere.page.locator("main button").all():
                button.click()
            assert "kt_live_" not in elsewhere.page.content()
        page.goto(link)
        look_well(page, "a mailed proof")
        page.locator("main form button[type=submit]").click()
        page.goto(reset)
        expect(page.locator("main")).to_contain_text("a link we mail you given")
        page.goto("/demo/mails")
        look_well(page, "mails")
        page.locator("main a[href^='/demo/mails/']").first.click()
        look_well(page, "a mail")
        page.goto("/account/security")
        page.get_by_label("Your password, again").fill(PASSPHRASE)
        page.get_by_role("button", name="Continue").click()
        page.get_by_role("button", name="Add an authenticator app").click()
        app = pyotp.TOTP(page.locator("code.secret").inner_text().replace(" ", ""))
        page.get_by_label("Code from your authenticator app").fill(app.now())
        page.locator("main form button.main").click()
        expect(page.locator("#codes")).to_be_visible()
        look_well(page, "recovery codes")
