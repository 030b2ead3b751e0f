"""Portals in a browser: a link in a window, the element in a page of the operator's, and who else gets nowhere."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Frame, FrameLocator, Page, expect

from tests import screenshots
from tests.axe import findings
from tests.browser import EACH_LOOK, Chromium, Kind, Reader, Visit, follow
from tests.certificate import self_signed
from tests.loopback import Loopback, Reply
from tests.serving import Answer, Serving
from tests.web import desk as desks
from tests.web.desk import Desk, sign_in

pytestmark = pytest.mark.needs("chromium")

FORM: Final = "application/x-www-form-urlencoded"
SANDBOX_NOTE: Final = "allow-scripts and allow-same-origin"
"""Chromium says this of every such frame, before it knows that another site's page comes into it."""
numbers = count(1)


@dataclass(frozen=True, kw_only=True)
class Shop:
    """An operator with a site of their own, and keyturn beside it."""

    desk: Desk
    site: Loopback
    pages: dict[str, str]
    """What the site shows, by path."""

    @property
    def server(self) -> Serving:
        return self.desk.server

    @property
    def origin(self) -> str:
        return self.site.at("app.test")

    def mint(self, *proofs: str, embed: bool = False, key: str | None = None, **wish: Any) -> dict[str, Any]:
        """A new link for Maria."""
        seen = [{"kind": kind, "at": datetime.now(UTC).isoformat()} for kind in proofs]
        maria = self.desk.people[desks.MARIA]["id"]
        whom = {} if "account_id" in wish else {"account_id": self.desk.account_id, "user_id": maria}
        asked = whom | {"proofs": seen}
        framed_by = {"embed_origin": self.origin} if embed else {}
        answer = self.server.call("/v1/portal/sessions", asked | framed_by | wish, key=key)
        assert answer.status == HTTPStatus.CREATED, answer.text
        made: dict[str, Any] = answer.body
        return made

    def link(self, *proofs: str, **wish: Any) -> str:
        """Its address."""
        url: str = self.mint(*proofs, **wish)["url"]
        return url

    def embed(self, *proofs: str, link: str = "", lang: str = "en") -> str:
        """The path of a page of the site that embeds one."""
        path = f"/keys-{next(numbers)}"
        self.pages[path] = _PAGE % {
            "lang": lang,
            "server": self.server.url,
            "link": link or self.link(*proofs, embed=True),
        }
        return path

    def newcomer(self, proofs: str) -> tuple[str, str, str]:
        """Somebody of whom these proofs are asked: their address, their id and the name of their key."""
        number = next(numbers)
        policy = self.desk.policy(f"policy-{number}", proofs=[proofs], reset_origin="any")
        email = f"newcomer-{number}@northwind.example"
        user_id = self.desk.person(email, name="Sam Lind")
        return email, user_id, str(self.desk.key(f"router {number:03}", owner=email, policy=policy)["name"])

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """A page as a program without cookies gets it."""
        return self.server.call(path.removeprefix(self.server.url), method=method, key="", headers=headers)

    def audit(self, subject_id: str) -> list[tuple[str, str]]:
        """What is on record of it, oldest first."""
        items = self.desk.read(f"/v1/audit?subject_id={subject_id}&limit=200")["items"]
        return [(one["action"], one["outcome"]) for one in reversed(items)]


_PAGE: Final = """<!doctype html>
<html lang="%(lang)s"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Meridian Exchange</title>
<style>
:root { color-scheme: light dark; font-family: system-ui; }
body { margin: 2rem auto; max-width: 64rem; padding: 0 1rem; }
</style>
<script>
window.told = [];
for (const name of ["reset", "ended", "blocked"]) {
  addEventListener("keyturn:" + name, (event) => told.push([name, event.detail]));
}
</script>
<script type="module" src="%(server)s/portal/element.js"></script></head>
<body><main><h1>Meridian Exchange</h1>
<keyturn-keys src="%(link)s" label="Your API keys"></keyturn-keys></main></body></html>
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    certificate = self_signed(folder)
    pages: dict[str, str] = {}
    with Loopback(lambda request: Reply(body=pages.get(request.path, "")), tls=certificate) as site:
        config = folder / "keyturn.toml"
        config.write_text(f'portal_origins = ["{site.at("app.test")}"]\n')
        flags = (*certificate.flags, "--config", str(config))
        with desks.opened(folder / "data", flags=flags, tls=True) as desk:
            yield Shop(desk=desk, site=site, pages=pages)


@pytest.fixture
def key(shop: Shop) -> dict[str, Any]:
    """A key of Maria's that no other test resets."""
    return shop.desk.key(f"router {next(numbers):03}")


def framed(page: Page) -> FrameLocator:
    """What stands in the frame."""
    return page.frame_locator("keyturn-keys iframe")


def ask(where: Page | FrameLocator, name: str, reason: str = "routine") -> None:
    """By keyboard: a frame grows with what is in it, under the pointer."""
    chosen = where.locator(f"[name=reason][value={reason}]")
    where.get_by_role("button", name=f"Reset API Key: {name}").press("Enter")
    chosen.press("Space")
    expect(chosen).to_be_checked()
    where.get_by_role("button", name="Show what happens").press("Enter")
    where.get_by_role("button", name="Reset API Key", exact=True).press("Enter")
    expect(where.locator(".steps")).to_be_visible()


def told(page: Page) -> list[Any]:
    """What the element has told its page."""
    found: list[Any] = page.evaluate("told")
    return found


def told_when_shown(page: Page) -> list[Any]:
    """The same, but for `blocked`: a frame that is shown in the end may have taken long on a busy machine."""
    return [one for one in told(page) if one[0] != "blocked"]


def await_told(page: Page) -> list[Any]:
    """The same, once there is something: a frame tells its page after it has come."""
    page.wait_for_function("told.some(([name]) => name !== 'blocked')")
    return told_when_shown(page)


def note(visit: Visit) -> None:
    """Hear what Chromium says of every frame like ours."""
    assert all(SANDBOX_NOTE in one for one in visit.heard(Kind.CONSOLE))


# In a window


def test_k1_a_link_opens_the_keys_and_what_was_vouched_for_is_enough(
    shop: Shop, chromium: Chromium, key: dict[str, Any]
) -> None:
    """K1, K2, K3: no sign-in here; the operator has seen the password, so the new secret can be made."""
    with chromium.visit(shop.server.url) as visit:
        page = visit.page
        page.goto(shop.link("password"))
        expect(page.locator("main")).to_contain_text("Northwind Trading")
        follow(page.get_by_role("button", name="Open API Keys"))
        page.wait_for_url("**/portal/keys")
        ask(page, key["name"])
        expect(page.locator(".steps")).to_contain_text("shown to Operator")
        follow(page.get_by_role("button", name="Make the new secret"))
        secret = page.locator("#secret").inner_text()
        follow(page.get_by_role("button", name="Yes, I have stored it"))
        expect(page.get_by_role("heading", name="Handover")).to_be_visible()
        assert "/portal/resets/" in page.url
    assert (shop.server.verdict(secret), shop.server.verdict(key["secret"])) == ("valid", "replaced")


def test_what_was_not_vouched_for_is_asked_of_the_person(shop: Shop, chromium: Chromium, key: dict[str, Any]) -> None:
    with chromium.visit(shop.server.url) as visit:
        page = visit.page
        page.goto(shop.link("captcha"))
        follow(page.get_by_role("button", name="Open API Keys"))
        ask(page, key["name"])
        page.get_by_label("Password").fill(desks.PASSWORD)
        follow(page.get_by_role("button", name="Continue"))
        expect(page.get_by_role("button", name="Make the new secret")).to_be_visible()


def test_r51_scanners_and_prefetchers_change_nothing(shop: Shop, chromium: Chromium) -> None:
    """R51, pitfall 21: HEAD, five GETs, and a browser that looks and leaves; then the person opens it, once."""
    minted = shop.mint()
    for method in ("HEAD", *["GET"] * 5):
        answer = shop.get(minted["url"], method)
        assert answer.status == HTTPStatus.OK
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    with chromium.visit(shop.server.url) as looker:
        looker.page.goto(minted["url"])
    assert shop.audit(minted["id"]) == [("portal.minted", "done")]
    with chromium.visit(shop.server.url) as visit:
        page = visit.page
        page.goto(minted["url"])
        follow(page.get_by_role("button", name="Open API Keys"))
        page.wait_for_url("**/portal/keys")
        assert "ktp_" not in page.content()
    with chromium.visit(shop.server.url) as late:
        answered = late.page.goto(minted["url"])
        assert answered is not None
        assert answered.status == HTTPStatus.GONE
        expect(late.page.locator("main")).to_contain_text("was used already")
        assert late.page.get_by_role("button", name="Open API Keys").count() == 0
    assert shop.audit(minted["id"]) == [("portal.minted", "done"), ("portal.opened", "done")]
    assert minted["url"].rpartition("/")[2] not in shop.server.said


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.test"}, {"Sec-Fetch-Site": "cross-site"}])
def test_only_a_button_of_ours_opens_it_in_a_window(shop: Shop, headers: dict[str, str]) -> None:
    minted = shop.mint(embed=True)
    body = f"token={minted['url'].rpartition('/')[2]}&csrf=".encode()
    answer = shop.server.call("/portal/open", body, key="", headers={"Content-Type": FORM} | headers)
    assert answer.status == HTTPStatus.FORBIDDEN
    assert shop.audit(minted["id"]) == [("portal.minted", "done")]


@pytest.mark.parametrize("origin", ["", "null", "https://evil.test"])
def test_only_the_origin_it_was_made_for_opens_it_in_a_frame(shop: Shop, origin: str) -> None:
    """The browser says whose page sent the form: where it says nothing, or another, nothing opens."""
    minted = shop.mint(embed=True)
    body = f"token={minted['url'].rpartition('/')[2]}".encode()
    headers = {"Content-Type": FORM} | ({"Origin": origin} if origin else {})
    answer = shop.server.call("/frame/open", body, key="", headers=headers)
    assert answer.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
    assert "set-cookie" not in answer.headers or "__Host-keyturn-frame=" not in answer.headers["set-cookie"]
    assert ("portal.opened", "done") not in shop.audit(minted["id"])
    opened = shop.server.call("/frame/open", body, key="", headers={"Content-Type": FORM, "Origin": shop.origin})
    assert opened.status == HTTPStatus.SEE_OTHER
    assert shop.audit(minted["id"])[-1] == ("portal.opened", "done")


def test_k11_over_plain_http_from_elsewhere_nothing_opens(tmp_path: Path) -> None:
    with desks.opened(tmp_path / "data") as desk:
        minted = desk.server.call("/v1/portal/sessions", {"account_id": desk.account_id}).body
        body = f"token={minted['url'].rpartition('/')[2]}".encode()
        headers = {"Content-Type": FORM, "Origin": "https://app.example.com", "X-Forwarded-For": "192.0.2.1"}
        answer = desk.server.call("/frame/open", body, key="", headers=headers)
        assert answer.status == HTTPStatus.FORBIDDEN
        assert "HTTPS" in answer.text


def test_a_dashboard_session_in_the_same_browser_is_neither_reached_nor_overwritten(
    shop: Shop, chromium: Chromium, key: dict[str, Any]
) -> None:
    with chromium.visit(shop.server.url) as visit:
        page = visit.page
        sign_in(page)
        mine = {one["name"]: one["value"] for one in visit.context.cookies()}
        page.goto(shop.link())
        follow(page.get_by_role("button", name="Open API Keys"))
        page.wait_for_url("**/portal/keys")
        after = {one["name"]: one["value"] for one in visit.context.cookies()}
        assert {name: after[name] for name in mine} == mine
        assert {"__Host-keyturn", "__Host-keyturn-portal"} <= after.keys()
        for path in ("/portal/account", "/portal/account/security", "/portal/sign-in"):
            assert shop.get(path).status == HTTPStatus.NOT_FOUND, path
        follow(page.get_by_role("link", name=key["name"]))
        expect(page.get_by_role("heading", name=key["name"])).to_be_visible()
        page.goto("/portal/keys")
        follow(page.get_by_role("button", name="Done"))
        expect(page.get_by_role("heading", name="This view is closed")).to_be_visible()
        page.goto("/account")
        expect(page.locator("main")).to_contain_text("Maria Lind")
        page.goto("/portal/keys")
        expect(page.get_by_role("heading", name="This view is closed")).to_be_visible()


def test_a_session_of_one_door_is_nothing_at_another(shop: Shop, chromium: Chromium) -> None:
    """Neither token opens the other's pages, nor the API, wherever a thief may put it."""
    with chromium.visit(shop.server.url, quiet=False) as visit:
        page = visit.page
        sign_in(page)
        page.goto(shop.link())
        follow(page.get_by_role("button", name="Open API Keys"))
        page.wait_for_url("**/portal/keys")
        held = {one["name"]: one["value"] for one in visit.context.cookies()}
    person, portal = held["__Host-keyturn"], held["__Host-keyturn-portal"]
    assert shop.get("/keys", Cookie=f"__Host-keyturn={person}").status == HTTPStatus.OK
    assert shop.get("/portal/keys", Cookie=f"__Host-keyturn-portal={portal}").status == HTTPStatus.OK
    assert shop.get("/keys", Cookie=f"__Host-keyturn={portal}").status == HTTPStatus.SEE_OTHER
    assert shop.get("/portal/keys", Cookie=f"__Host-keyturn-portal={person}").status == HTTPStatus.UNAUTHORIZED
    assert shop.get("/account", Cookie=f"__Host-keyturn={portal}").status == HTTPStatus.SEE_OTHER
    assert shop.server.call("/v1/keys", key=portal).status == HTTPStatus.UNAUTHORIZED
    assert shop.server.call("/v1/keys", key=person).status == HTTPStatus.OK


def test_pitfall_18_keys_of_others_are_not_found(shop: Shop, chromium: Chromium, key: dict[str, Any]) -> None:
    shop.desk.person("sam@northwind.example", name="Sam", role="member")
    beside = shop.desk.key("beside", owner="sam@northwind.example")
    elsewhere = shop.server.create(name="elsewhere")
    with chromium.visit(shop.server.url) as visit:
        page = visit.page
        page.goto(shop.link("password"))
        follow(page.get_by_role("button", name="Open API Keys"))
        expect(page.get_by_role("link", name=key["name"])).to_be_visible()
        assert page.get_by_role("link", name="beside").count() == 0
        for other in (beside, elsewhere):
            for path in ("", "/reset", "/edit"):
                answer = page.goto(f"/portal/keys/{other['id']}{path}")
                assert answer is not None
                assert answer.status == HTTPStatus.NOT_FOUND


def test_a_mailed_link_counts_behind_the_door_where_it_was_asked_for(shop: Shop, chromium: Chromium) -> None:
    """R11, R51: in the window of the portal, and in no other browser."""
    email, user_id, name = shop.newcomer("password+email_link")
    with chromium.visit(shop.server.url) as visit:
        page = visit.page
        page.goto(shop.link("password", user_id=user_id))
        follow(page.get_by_role("button", name="Open API Keys"))
        ask(page, name)
        follow(page.get_by_role("button", name="Mail me a link"))
        expect(page.get_by_role("status")).to_contain_text(email)
        reset, link = page.url.partition("?")[0], shop.desk.link("prove your reset", to=email)
        with chromium.visit(shop.server.url) as elsewhere:
            sign_in(elsewhere.page)
            elsewhere.page.goto(link)
            expect(elsewhere.page.locator("main")).to_contain_text("paste the address of this link")
        page.goto(link)
        assert page.url == link.replace("/links/", "/portal/links/")
        follow(page.locator("main form button[type=submit]"))
        page.wait_for_url(f"{reset}?*")
        expect(page.get_by_role("button", name="Make the new secret")).to_be_visible()


# In a page of the operator's


def test_in_a_frame_a_mailed_link_is_pasted(shop: Shop, chromium: Chromium) -> None:
    """Its cookies are to be had in the frame alone; a link that is made up counts as a wrong proof."""
    email, user_id, name = shop.newcomer("password+email_link")
    with chromium.visit(shop.origin) as visit:
        page = visit.page
        page.goto(shop.embed(link=shop.link("password", embed=True, user_id=user_id)))
        frame = framed(page)
        ask(frame, name)
        frame.get_by_role("button", name="Mail me a link").press("Enter")
        expect(frame.get_by_role("status")).to_contain_text(email)
        expect(frame.get_by_role("main")).not_to_contain_text("in this browser")
        link = shop.desk.link("prove your reset", to=email)
        for pasted, answered in (
            (f"{link}x", frame.get_by_role("alert").filter(has_text="Tries left: 4")),
            (link, frame.get_by_role("button", name="Make the new secret")),
        ):
            frame.get_by_label("The link in the mail").fill(pasted)
            frame.get_by_role("button", name="Continue").press("Enter")
            expect(answered).to_be_visible()
        note(visit)


def test_a_captcha_is_solved_in_the_frame(shop: Shop, chromium: Chromium) -> None:
    _, user_id, name = shop.newcomer("password+captcha")
    with chromium.visit(shop.origin) as visit:
        page = visit.page
        page.goto(shop.embed(link=shop.link("password", embed=True, user_id=user_id)))
        frame = framed(page)
        ask(frame, name)
        expect(frame.locator("altcha-widget [name=altcha]")).to_have_value(re.compile(".+"))
        frame.locator("form:has(altcha-widget) button[type=submit]").press("Enter")
        expect(frame.get_by_role("button", name="Make the new secret")).to_be_visible()
        note(visit)


def test_the_element_shows_the_keys_and_tells_of_a_reset(shop: Shop, chromium: Chromium, key: dict[str, Any]) -> None:
    """K3, K11: in a page of another site, in that page's language; what it tells is no secret."""
    with chromium.visit(shop.origin, Reader(timezone="Europe/Berlin")) as visit:
        page = visit.page
        page.goto(shop.embed("password"))
        frame = framed(page)
        expect(frame.get_by_role("heading", name="API Keys")).to_be_visible()
        expect(frame.locator("footer")).to_contain_text("Central European")
        assert "ktp_" not in page.content()
        ask(frame, key["name"])
        frame.get_by_role("button", name="Make the new secret").press("Enter")
        expect(frame.locator("#secret")).to_be_visible()
        secret = frame.locator("#secret").inner_text()
        assert await_told(page) == [["reset", {"key": key["id"]}]]
        assert secret not in page.content()
        page.wait_for_function("document.querySelector('iframe').clientHeight > 500")
        cookies = {one["name"]: one for one in visit.context.cookies(shop.server.url)}
        assert cookies["__Host-keyturn-frame"]["sameSite"] == "None"
        assert cookies["__Host-keyturn-frame"]["partitionKey"] == "https://app.test"
        note(visit)
    assert shop.server.verdict(secret) == "valid"


def test_the_frame_speaks_the_page_s_language_and_tells_when_it_is_over(shop: Shop, chromium: Chromium) -> None:
    """R25: with the credential that vouched stopped, the next page says so, in the frame."""
    backend = shop.server.create(permissions=["keyturn.accounts:write"])
    with chromium.visit(shop.origin) as visit:
        page = visit.page
        page.goto(shop.embed(link=shop.link(embed=True, key=backend["secret"]), lang="de-AT"))
        expect(framed(page).get_by_role("link", name="Schlüssel anlegen")).to_be_visible()
        assert shop.server.call(f"/v1/keys/{backend['id']}/suspend", {}).status == HTTPStatus.OK
        framed(page).get_by_role("link", name="Schlüssel anlegen").click()
        expect(framed(page).get_by_role("heading", name="Diese Ansicht ist geschlossen")).to_be_visible()
        expect(framed(page).get_by_role("main")).to_contain_text("Ihre Zeit ist um")  # nobody signs in here
        assert await_told(page) == [["ended", {"key": ""}]]
        note(visit)


@pytest.mark.parametrize("whose", ["evil.test", "127.0.0.1"])
def test_a_page_of_another_origin_opens_nothing(shop: Shop, chromium: Chromium, whose: str) -> None:
    """The link was made for one origin; a page that has stolen it is told nothing, and it stays good for its own."""
    minted = shop.mint(embed=True)
    path = shop.embed(link=minted["url"])
    with chromium.visit(shop.site.at(whose), quiet=False) as visit:
        page = visit.page
        with page.expect_response("**/frame/open"):
            page.goto(path)
        page.wait_for_function("told.length")
        assert all(one == ["blocked", {}] for one in told(page))
        assert not [one for one in visit.context.cookies() if one["name"] == "__Host-keyturn-frame"]
    assert shop.audit(minted["id"]) == [("portal.minted", "done"), ("portal.opened", "not_found")]
    with chromium.visit(shop.origin) as visit:
        page = visit.page
        page.goto(path)
        expect(framed(page).get_by_role("heading", name="API Keys")).to_be_visible()
        note(visit)


def test_framing_is_for_pages_of_that_portal_and_that_origin_alone(shop: Shop, chromium: Chromium) -> None:
    """Every other page of the server is framed by nobody."""
    with chromium.visit(shop.origin) as visit:
        page = visit.page
        with page.expect_response("**/frame/keys") as answered:
            page.goto(shop.embed())
        headers = answered.value.headers
        assert f"frame-ancestors {shop.origin};" in headers["content-security-policy"]
        assert "x-frame-options" not in headers
        note(visit)
    for path in ("/", "/portal/keys", "/frame/keys", "/keys", shop.link(embed=True)):
        headers = {name.lower(): value for name, value in shop.get(path, Accept="text/html").headers.items()}
        if "location" not in headers:
            assert "frame-ancestors 'none';" in headers["content-security-policy"], path
        assert headers["x-frame-options"] == "DENY", path


_LIE: Final = "parent.postMessage({keyturn: 1, height: 7777, event: 'reset', key: 'key_x'}, '*')"
_HEARD: Final = """(act) => new Promise((heard) => {
    addEventListener("message", (event) => event.data.height === 7777 && setTimeout(heard));
    eval(act);
})"""


def test_what_comes_from_another_origin_is_not_heard_even_in_our_frame(shop: Shop, chromium: Chromium) -> None:
    shop.pages["/liar"] = f"<script>{_LIE}</script>"
    with chromium.visit(shop.origin) as visit:
        page = visit.page
        page.goto(shop.embed())
        expect(framed(page).get_by_role("heading", name="API Keys")).to_be_visible()
        liar = f"{shop.site.at('evil.test')}/liar"
        page.evaluate(_HEARD, f"document.querySelector('keyturn-keys iframe').src = '{liar}'")
        assert told_when_shown(page) == []
        assert page.locator("keyturn-keys iframe").evaluate("one => one.clientHeight") < 5000
        note(visit)


def test_what_comes_from_another_frame_is_not_heard_even_from_our_origin(shop: Shop, chromium: Chromium) -> None:
    """Another frame with something of the server in it, and the page itself."""
    with chromium.visit(shop.origin) as visit:
        page = visit.page
        page.goto(shop.embed())
        expect(framed(page).get_by_role("heading", name="API Keys")).to_be_visible()
        page.evaluate(
            """(src) => new Promise((loaded) => {
                const other = Object.assign(document.createElement("iframe"), { src, name: "other", onload: loaded });
                document.body.append(other);
            })""",
            f"{shop.server.url}/portal/element.js",
        )
        other = page.frame("other")
        assert other is not None
        page.evaluate("window.heard = 0; addEventListener('message', () => setTimeout(() => heard += 1))")
        other.evaluate(_LIE)
        page.evaluate(_LIE)
        page.wait_for_function("heard >= 2")
        assert told_when_shown(page) == []
        assert page.locator("keyturn-keys iframe").evaluate("one => one.clientHeight") < 5000
        note(visit)


def test_the_frame_listens_to_nobody_and_cannot_leave(shop: Shop, chromium: Chromium) -> None:
    with chromium.visit(shop.origin) as visit:
        page = visit.page
        page.goto(shop.embed())
        expect(framed(page).get_by_role("heading", name="API Keys")).to_be_visible()
        sandbox = page.locator("keyturn-keys iframe").get_attribute("sandbox") or ""
        assert "allow-top-navigation" not in sandbox
        assert "allow-same-origin" in sandbox  # else it would have no cookies
        note(visit)
    for name in ("keyturn-frame.js", "keyturn.js"):
        assert '"message"' not in shop.get(f"/static/any/{name}").text, name


def test_the_element_is_small_and_for_any_page_to_load(shop: Shop) -> None:
    answer = shop.get("/portal/element.js", Origin="https://anywhere.example")
    assert answer.status == HTTPStatus.OK
    assert len(answer.text.encode()) < 4096
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert headers["access-control-allow-origin"] == "*"
    assert headers["cross-origin-resource-policy"] == "cross-origin"
    assert headers["content-type"].startswith("text/javascript")


# To look at


def seen(page: Page, name: str, folder: Path) -> None:
    """Keep a picture, and have axe look at the page, and at the frame in it."""
    screenshots.keep(page, name, folder)
    looked_at: list[Page | Frame] = [page, *(frame for frame in page.frames if frame.parent_frame is not None)]
    for one in looked_at:
        found = findings(one)
        assert found.violations == (), (name, found.violations)


@pytest.mark.parametrize("look", EACH_LOOK)
def test_every_page_is_accessible_in_every_look(shop: Shop, chromium: Chromium, look: Reader, tmp_path: Path) -> None:
    """Nothing is found by axe in the window, nor in the frame; pictures are kept for people to look at."""
    account, email = (
        shop.desk.account("Lindgren & Daughters", policy="password-only")["id"],
        f"{look}@northwind.example",
    )
    shop.desk.person(email, name="Astrid Lindgren", account_id=account)
    shop.desk.key("market data", owner=email, account_id=account)
    key = shop.desk.key("order router", owner=email, account_id=account)
    with chromium.visit(shop.server.url, look) as visit:
        page = visit.page
        page.goto(shop.link("password", account_id=account, return_url=f"{shop.origin}/account"))
        seen(page, f"portal-open-{look}", tmp_path)
        follow(page.get_by_role("button", name="Open API Keys"))
        page.wait_for_url("**/portal/keys")
        seen(page, f"portal-keys-{look}", tmp_path)
        follow(page.get_by_role("link", name=key["name"]))
        seen(page, f"portal-key-{look}", tmp_path)
        follow(page.get_by_role("button", name="Done"))
        seen(page, f"portal-over-{look}", tmp_path)
    with chromium.visit(shop.origin, look) as visit:
        page = visit.page
        page.goto(shop.embed(link=shop.link("password", embed=True, account_id=account)))
        frame = framed(page)
        expect(frame.get_by_role("heading", name="API Keys")).to_be_visible()
        seen(page, f"portal-frame-keys-{look}", tmp_path)
        ask(frame, key["name"])
        expect(frame.get_by_role("button", name="Make the new secret")).to_be_visible()
        seen(page, f"portal-frame-reset-{look}", tmp_path)
        frame.get_by_role("button", name="Make the new secret").press("Enter")
        expect(frame.locator("#secret")).to_be_visible()
        seen(page, f"portal-frame-secret-{look}", tmp_path)
        note(visit)
