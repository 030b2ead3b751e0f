"""F5 on the handover page: who has confirmed, live, while a verifier does not answer."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.attached import attached
from tests.browser import Chromium, follow
from tests.web.desk import Desk, sign_in

pytestmark = pytest.mark.needs("chromium")


@pytest.fixture
def patient(desk: Desk) -> Desk:
    """With leases that last longer than a busy machine takes for two pages."""
    terms = desk.server.call("/v1/fleet/terms", {"lease_ms": 15_000, "margin_ms": 50}, method="PUT")
    assert terms.status == 200, terms.text
    return desk


def test_f5_the_handover_shows_who_has_confirmed_while_a_lease_runs_out(
    patient: Desk, chromium: Chromium, tmp_path: Path
) -> None:
    desk = patient
    key = desk.key("fenced")
    credential = tmp_path / "verifier.key"
    credential.write_text(desk.server.create(permissions=["keyturn.attach"])["secret"])
    with attached(desk.url, credential) as verifier, chromium.visit(desk.url) as visit:
        page = visit.page
        sign_in(page)
        page.goto(f"/keys/{key['id']}/reset?reason=routine&grace=1h")
        follow(page.get_by_role("button", name="Reset API Key", exact=True))
        page.get_by_label("Password").fill("a long enough passphrase")
        follow(page.get_by_role("button", name="Continue"))
        verifier.freeze()
        follow(page.get_by_role("button", name="Make the new secret"))
        follow(page.get_by_role("button", name="Yes, I have stored it"))
        receipt = page.get_by_role("region", name="Receipt")
        expect(receipt).to_contain_text("1 of 2 verifiers have confirmed")
        expect(receipt).to_contain_text("the last lease ends in")
        # Nobody loads the page again: its lease is over, so there is nobody left to wait for.
        expect(receipt).to_contain_text("confirmed by one verifier", timeout=90_000)
        expect(receipt).to_contain_text("one more was silent; its lease has ended")
        expect(receipt).not_to_contain_text("the last lease")
        with attached(desk.url, credential, name="stale", on_lapse="stale:1h"):
            page.reload()
            expect(receipt).to_contain_text("not confirmed a verifier answers from memory without a lease")
