"""README's pictures, taken of a real server; `KEYTURN_WRITE_IMAGES=1` puts them where README shows them from."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests import screenshots
from tests.browser import Chromium, Reader, follow
from tests.web.desk import PASSWORD, Desk, sign_in

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.needs("chromium")


def test_the_pictures_of_readme_are_of_pages_that_are_there(desk: Desk, chromium: Chromium) -> None:
    programs = {"market data": "market:read", "nightly report": "*:read", "order router": "orders:write"}
    keys = {name: desk.key(name, permissions=[held]) for name, held in programs.items()}
    for name, agent, address in (
        ("order router", "order-router/2.1", "192.0.2.10"),
        ("market data", "feed/5.0", "198.51.100.7"),
    ):
        desk.server.verdict(keys[name]["secret"], ip=address, context={"user_agent": agent})
    with chromium.visit(desk.url, Reader(timezone="Europe/Berlin")) as visit:
        page = visit.page
        sign_in(page)
        follow(page.get_by_role("button", name="Suspend: nightly report"))
        page.goto("/keys")
        expect(page.get_by_role("row", name="order router")).to_be_visible()
        assert screenshots.image(page, "keys")
        page.goto(f"/keys/{keys['order router']['id']}/reset?reason=routine&grace=24h")
        follow(page.get_by_role("button", name="Reset API Key"))
        page.get_by_label("Password").fill(PASSWORD)
        follow(page.get_by_role("button", name="Continue"))
        follow(page.get_by_role("button", name="Make the new secret"))
        follow(page.get_by_role("button", name="Yes, I have stored it"))
        for agent, address in (("order-router/2.1", "192.0.2.10"), ("backfill/0.9", "203.0.113.24")):
            desk.server.verdict(keys["order router"]["secret"], ip=address, context={"user_agent": agent})
        expect(page.locator("#live")).to_contain_text("backfill/0.9")
        page.goto(page.url.partition("?")[0])
        assert screenshots.image(page, "handover")


def test_readme_shows_pictures_that_are_there() -> None:
    readme = (ROOT / "README.md").read_text()
    for name in ("keys", "handover"):
        picture = f"docs/images/{name}.png"
        assert f"]({picture})" in readme
        assert (ROOT / picture).read_bytes().startswith(b"\x89PNG")
