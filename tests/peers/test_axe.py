"""axe finds what was planted, under a strict policy, and finds nothing on a page that is well."""

from collections.abc import Iterator

import pytest

from tests import axe
from tests.browser import Chromium
from tests.loopback import Loopback, Reply, Request

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


def _answer(request: Request) -> Reply:
    if request.path == "/style.css":
        return Reply(body=STYLE, headers={"Content-Type": "text/css"})
    planted = PLANTED.get(request.query.get("story", ""), ("",))[0]
    if "framed" in request.query:
        planted = "<iframe title=x src='/?story=grey on white'></iframe>"
    return Reply(
        body=f"<!doctype html><html lang=en><title>x</title><link rel=stylesheet href=/style.css>"
        f"{WELL.replace('</main>', planted + '</main>')}",
        headers={"Content-Security-Policy": "default-src 'self'; script-src 'self'; img-src data:"},
    )


@pytest.fixture
def site() -> Iterator[Loopback]:
    with Loopback(_answer) as server:
        yield server


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
        visit.page.goto("/?framed=1")
        assert len([line for line in axe.findings(visit.page).violations if line.startswith("color-contrast")]) == 1
