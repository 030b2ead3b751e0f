"""axe finds what was planted, under a strict policy, and finds nothing on a page that is well.

Where something happens while axe is looking, it happens a second later, or never: a slow machine fails no test here.
"""

from collections.abc import Iterator
from threading import Timer

import pytest
from playwright.sync_api import Page

from tests import axe
from tests.browser import Chromium
from tests.loopback import Gate, Loopback, Reply, Request

pytestmark = pytest.mark.needs("chromium")

WELL = "<main><h1>Keys</h1><p>Two of them.</p></main>"
PLANTED = {
    "grey on white": ("<p class=pale>pale</p>", "color-contrast at .pale", "contrast of 1.91"),
    "a field without a label": ("<input type=text>", "label at input", "labels"),
    "a picture without words": ("<img src=data:,>", "image-alt at img", "alternat"),
    "targets too small to hit, of WCAG 2.2": (
        "<button class=tiny>x</button><button class=tiny>y</button>",
        "target-size at button:nth-child(3)",
        "24px",
    ),
    "a level of heading left out, of good practice": ("<h4>Deep</h4>", "heading-order at h4", "order"),
}
STYLE = """
.pale { color: #bbb }
.tiny { width: 12px; height: 12px; padding: 0; border: 0; margin: 0; font-size: 12px; color: #000; background: #fff }
"""


AGAIN = "setTimeout(() => location.reload(), 200)"


def _answer(request: Request) -> Reply:
    if request.path == "/style.css":
        return Reply(body=STYLE, headers={"Content-Type": "text/css"})
    if request.path.endswith(".js"):
        return Reply(body=AGAIN if request.path == "/again.js" else "", headers={"Content-Type": "text/javascript"})
    planted = PLANTED.get(request.query.get("story", ""), ("",))[0]
    if "framed" in request.query:
        planted = f"<iframe title=x src='/?story=grey on white&scripts={request.query['framed']}'></iframe>"
    scripts = "".join(f"<script src=/{name}.js></script>" for name in request.query.get("scripts", "").split())
    return Reply(
        body=f"<!doctype html><html lang=en><title>x</title><link rel=stylesheet href=/style.css>{scripts}"
        f"{WELL.replace('</main>', planted + '</main>')}",
        headers={"Content-Security-Policy": "default-src 'self'; script-src 'self'; img-src data:"},
    )


@pytest.fixture
def gate() -> Gate:
    """Before whatever is called `/held`, with anything behind it."""
    return Gate()


@pytest.fixture
def site(gate: Gate) -> Iterator[Loopback]:
    def answer(request: Request) -> Reply:
        if request.path.startswith("/held"):
            gate.pass_through()
        return _answer(request)

    with Loopback(answer) as server:
        yield server
        gate.let_go()


def pale(page: Page) -> int:
    """How often the grey on white was found."""
    return len([line for line in axe.findings(page).violations if line.startswith("color-contrast at .pale")])


def frame(page: Page, path: str, gate: Gate) -> None:
    """Add a frame to the page; it is held at the gate."""
    made = "src => document.body.append(Object.assign(document.createElement('iframe'), {title: 'x', src}))"
    page.evaluate(made, path)
    gate.await_arrival()


def test_a_page_that_is_well_has_no_violation(chromium: Chromium, site: Loopback) -> None:
    with chromium.visit(site.url) as visit:
        visit.page.goto("/")
        assert axe.findings(visit.page) == axe.Findings()
        assert visit.page.evaluate("typeof axe") == "undefined"


@pytest.mark.parametrize("story", PLANTED)
def test_what_was_planted_is_found(chromium: Chromium, site: Loopback, story: str) -> None:
    _, where, why = PLANTED[story]
    with chromium.visit(site.url) as visit:
        visit.page.goto(f"/?story={story}")
        found = axe.findings(visit.page).violations
        assert [line for line in found if line.startswith(where) and why in line], "\n".join(found)
        rule = where.split()[0]
        assert not axe.findings(visit.page, leave_out=(rule,)).violations


def test_a_frame_is_looked_into(chromium: Chromium, site: Loopback) -> None:
    with chromium.visit(site.url) as visit:
        visit.page.goto("/?framed=")
        assert pale(visit.page) == 1


@pytest.mark.parametrize("query", ["story=grey on white&scripts=held", "framed=held"], ids=["page", "frame"])
def test_a_document_is_looked_at_once_it_is_whole(chromium: Chromium, site: Loopback, gate: Gate, query: str) -> None:
    """Its head is there, and its body, with what is wrong in it, still to come."""
    with chromium.visit(site.url) as visit:
        visit.page.goto(f"/?{query}", wait_until="commit")
        gate.await_arrival()
        Timer(1, gate.let_go).start()
        assert pale(visit.page) == 1


def test_a_frame_s_document_is_awaited(chromium: Chromium, site: Loopback, gate: Gate) -> None:
    with chromium.visit(site.url) as visit:
        visit.page.goto("/")
        frame(visit.page, "/held?story=grey on white", gate)
        Timer(1, gate.let_go).start()
        assert pale(visit.page) == 1


def test_a_frame_may_go_away_meanwhile(chromium: Chromium, site: Loopback, gate: Gate) -> None:
    with chromium.visit(site.url) as visit:
        visit.page.goto("/")
        frame(visit.page, "/?story=grey on white&scripts=held", gate)
        visit.page.evaluate("setTimeout(() => document.querySelector('iframe').remove(), 1000)")
        assert not axe.findings(visit.page).violations


@pytest.mark.parametrize("held", ["page", "frame"])
def test_a_page_that_goes_on_meanwhile_is_looked_at_where_it_arrives(
    chromium: Chromium, site: Loopback, gate: Gate, held: str
) -> None:
    with chromium.visit(site.url) as visit:
        visit.page.goto("/?scripts=held" if held == "page" else "/", wait_until="commit")
        if held == "frame":
            frame(visit.page, "/?scripts=held", gate)
        gate.await_arrival()
        visit.page.evaluate("setTimeout(() => location.assign('/?story=grey on white'), 1000)")
        assert pale(visit.page) == 1


def test_a_page_that_never_comes_to_rest_is_told_of(chromium: Chromium, site: Loopback) -> None:
    with chromium.visit(site.url) as visit:
        visit.page.goto("/?scripts=again held", wait_until="commit")
        with pytest.raises(AssertionError, match="does not come to rest"):
            axe.findings(visit.page)
        visit.page.goto("about:blank")


def test_a_document_that_never_comes_whole_is_told_of(
    chromium: Chromium, site: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(axe, "_PATIENCE_MS", 100)
    with chromium.visit(site.url) as visit:
        visit.page.goto("/?scripts=held", wait_until="commit")
        with pytest.raises(AssertionError, match="does not come whole"):
            axe.findings(visit.page)
        visit.page.goto("about:blank")
