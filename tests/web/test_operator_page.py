"""The operator's page of the demo: another port, and so another origin, over plain HTTP on this machine."""

import http.client
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from playwright.sync_api import expect

from keyturn.demo.operator_page import HOST, OperatorPage
from keyturn.sdk.client import Client
from tests.axe import findings
from tests.browser import EACH_LOOK, Chromium, Kind, Reader
from tests.screenshots import keep
from tests.web import desk as desks
from tests.web.desk import MARIA, Desk, sign_in
from tests.web.test_portal import ask

pytestmark = pytest.mark.needs("chromium")


@pytest.fixture
def page_of() -> Iterator[OperatorPage]:
    made = OperatorPage()
    yield made
    made.close()


@pytest.fixture
def meridian(tmp_path: Path, page_of: OperatorPage) -> Iterator[Desk]:
    config = tmp_path / "keyturn.toml"
    config.write_text(f'portal_origins = ["{page_of.origin}"]\n')
    with desks.opened(tmp_path / "data", flags=("--config", str(config))) as desk:
        maria = desk.people[MARIA]["id"]
        with (
            Client(desk.url, key=desk.server.admin_key) as keyturn,
            page_of.shown(keyturn, account_id=desk.account_id, user_id=maria, name="Maria <Lind>"),
        ):
            yield desk


@pytest.mark.parametrize("look", EACH_LOOK)
def test_it_shows_maria_s_keys_and_is_told_of_a_reset(
    meridian: Desk, page_of: OperatorPage, chromium: Chromium, look: Reader, tmp_path: Path
) -> None:
    key = meridian.key()
    with chromium.visit(page_of.origin, look) as visit:
        page = visit.page
        page.goto("/")
        frame = page.frame_locator("keyturn-keys iframe")
        expect(frame.get_by_role("link", name="order router")).to_be_visible()
        keep(page, f"operator-page-{look}", tmp_path)
        assert not findings(page).violations
        ask(frame, "order router", "lost")
        frame.get_by_role("button", name="Make the new secret").press("Enter")
        expect(frame.locator("#secret")).to_be_visible()
        secret = frame.locator("#secret").inner_text()
        expect(page.get_by_role("status")).to_have_text(f"The page was told: reset {key['id']}")
        assert "<Lind>" not in page.content()
        assert all("sandbox" in one for one in visit.heard(Kind.CONSOLE))
    assert meridian.server.verdict(secret) == "valid"


def test_a_frame_of_the_same_host_leaves_the_dashboard_s_session_alone(
    meridian: Desk, page_of: OperatorPage, chromium: Chromium
) -> None:
    """Cookies do not know ports: both sessions come along with every request, each under its own name."""
    meridian.person("jonas@northwind.example", name="Jonas Weber", role="member")
    meridian.key("of Jonas", owner="jonas@northwind.example")
    meridian.key("of Maria")
    with chromium.visit(meridian.url) as visit:
        page = visit.page
        sign_in(page, "jonas@northwind.example")
        page.goto(page_of.origin)
        frame = page.frame_locator("keyturn-keys iframe")
        expect(frame.get_by_role("link", name="of Maria")).to_be_visible()
        assert frame.get_by_role("link", name="of Jonas").count() == 0
        page.goto(f"{meridian.url}/keys")
        expect(page.get_by_role("link", name="of Jonas")).to_be_visible()
        assert page.get_by_role("link", name="of Maria").count() == 0
        assert all("sandbox" in one for one in visit.heard(Kind.CONSOLE))


def get(page_of: OperatorPage, path: str = "/", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(HOST, int(page_of.origin.rpartition(":")[2]), timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_no_other_site_reads_a_link_from_it_and_without_a_server_it_says_so(
    meridian: Desk, page_of: OperatorPage
) -> None:
    assert "/portal/ktp_" in get(page_of)[1]
    assert get(page_of, Host="rebound.example")[0] == HTTPStatus.NOT_FOUND
    assert get(page_of, "/other")[0] == HTTPStatus.NOT_FOUND
    meridian.server.kill()
    status, said = get(page_of)
    assert (status, "no answer" in said) == (HTTPStatus.BAD_GATEWAY, True)
