"""What Chromium keeps, and what it tells a server about where a request comes from: the dashboard's guards stand on it.

The pages are on 127.0.0.1, which a browser trusts without HTTPS.
"""

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from tests.browser import Chromium, Visit
from tests.loopback import Loopback, Reply, Request

pytestmark = pytest.mark.needs("chromium")

FORM = "application/x-www-form-urlencoded"


def _answer(request: Request) -> Reply:
    if request.path == "/cookie":
        return Reply(headers={"Set-Cookie": f"__Host-s=1; Secure; HttpOnly; Path=/; SameSite={request.query['same']}"})
    if request.path == "/form":
        to, kind = request.query["to"], request.query["kind"]
        form = f"<form method=post action='{to}' enctype='{kind}'><button>go</button></form><a href='{to}'>go</a>"
        return Reply(body=form, headers={"Referrer-Policy": request.query["policy"]})
    return Reply(body="<title>x</title>")


@pytest.fixture
def site() -> Iterator[Loopback]:
    with Loopback(_answer) as server:
        yield server


@pytest.fixture
def stranger() -> Iterator[Loopback]:
    with Loopback(_answer) as server:
        yield server


def _come(
    visit: Visit,
    whence: str,
    to: str,
    site: Loopback,
    *,
    policy: str = "same-origin",
    kind: str = FORM,
    way: str = "button",
) -> Request:
    """What comes to `to` when somebody presses the button, or the link, of a page at `whence`."""
    visit.page.goto(f"{whence}/form?{urlencode({'to': f'{to}/taken', 'policy': policy, 'kind': kind})}")
    visit.page.click(way)
    visit.page.wait_for_url("**/taken")
    return next(request for request in reversed(site.heard) if request.path == "/taken")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_host_cookie_is_kept_on_this_machine_without_https(chromium: Chromium, site: Loopback, host: str) -> None:
    with chromium.visit(site.at(host)) as visit:
        visit.page.goto("/cookie?same=Strict")
        assert [cookie["name"] for cookie in visit.context.cookies()] == ["__Host-s"]
        here = _come(visit, site.at(host), site.at(host), site)
        assert here.headers["cookie"] == "__Host-s=1"


def test_a_host_cookie_is_kept_nowhere_else_without_https(chromium: Chromium, site: Loopback) -> None:
    with chromium.visit(site.at("app.test")) as visit:
        visit.page.goto("/cookie?same=Lax")
        assert not visit.context.cookies()
        here = _come(visit, site.at("app.test"), site.at("app.test"), site)
        assert "sec-fetch-site" not in here.headers
        assert here.headers["origin"] == site.at("app.test")


@pytest.mark.parametrize("policy", ["same-origin", "strict-origin-when-cross-origin", "no-referrer"])
def test_a_post_of_the_same_origin_says_so(chromium: Chromium, site: Loopback, policy: str) -> None:
    with chromium.visit(site.url) as visit:
        visit.page.goto("/cookie?same=Strict")
        here = _come(visit, site.url, site.url, site, policy=policy)
    assert here.headers["sec-fetch-site"] == "same-origin"
    assert here.headers["cookie"]
    # A page without a referrer has no origin to tell either: a guard that asks for one would refuse its own forms.
    assert here.headers["origin"] == ("null" if policy == "no-referrer" else site.url)


@pytest.mark.parametrize("kind", [FORM, "text/plain", "multipart/form-data"])
def test_a_post_of_another_site_says_so_and_brings_no_cookie(
    chromium: Chromium, site: Loopback, stranger: Loopback, kind: str
) -> None:
    with chromium.visit(site.url) as visit:
        visit.page.goto("/cookie?same=Lax")
        here = _come(visit, stranger.at("evil.test"), site.url, site, policy="unsafe-url", kind=kind)
    assert here.headers["content-type"].startswith(kind)
    assert here.headers["sec-fetch-site"] == "cross-site"
    assert here.headers["origin"] == stranger.at("evil.test")
    assert "cookie" not in here.headers


@pytest.mark.parametrize(("same", "brought"), [("Lax", True), ("Strict", False)])
def test_a_link_on_another_site_brings_a_lax_cookie(
    chromium: Chromium, site: Loopback, stranger: Loopback, same: str, *, brought: bool
) -> None:
    with chromium.visit(site.url) as visit:
        visit.page.goto(f"/cookie?same={same}")
        here = _come(visit, stranger.at("evil.test"), site.url, site, way="a")
    assert here.headers["sec-fetch-site"] == "cross-site"
    assert ("cookie" in here.headers) is brought


def test_another_port_is_the_same_site_and_brings_every_cookie(
    chromium: Chromium, site: Loopback, stranger: Loopback
) -> None:
    with chromium.visit(site.url) as visit:
        visit.page.goto("/cookie?same=Strict")
        here = _come(visit, stranger.url, site.url, site, policy="unsafe-url")
    assert here.headers["sec-fetch-site"] == "same-site"
    assert here.headers["origin"] == stranger.url
    assert here.headers["cookie"] == "__Host-s=1"
