"""Pictures are of the whole page, in both widths and both schemes, and of the window for the README."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests import screenshots
from tests.browser import Chromium, Reader
from tests.loopback import Loopback, Reply

pytestmark = pytest.mark.needs("chromium")

PAGE = """<!doctype html><html lang=en><meta name=viewport content="width=device-width, initial-scale=1">
<meta name=color-scheme content="light dark"><title>x</title><style>main { height: 2000px }</style>
<main><button onclick="document.title = document.body.className = 'pressed'">press</button></main>"""


@pytest.fixture
def site() -> Iterator[Loopback]:
    with Loopback(lambda _: Reply(body=PAGE)) as server:
        yield server


def _size(picture: bytes) -> tuple[int, int]:
    assert picture.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", picture[16:24])
    return width, height


@pytest.fixture(autouse=True)
def _nothing_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEYTURN_SCREENSHOTS", raising=False)
    monkeypatch.delenv("KEYTURN_WRITE_IMAGES", raising=False)


def test_every_page_in_every_look(chromium: Chromium, site: Loopback, tmp_path: Path) -> None:
    titles, entered = list[str](), list[str]()

    def press(page: Page) -> None:
        page.click("button")
        expect(page).to_have_title("pressed")
        titles.append(page.title())

    pressed = screenshots.Shot(name="pressed", path="/", prepare=press)
    taken = screenshots.take(
        chromium,
        site.url,
        [screenshots.Shot(name="whole", path="/"), pressed],
        tmp_path / "given",
        enter=lambda visit: entered.append(visit.page.url),
    )
    assert {path.parent for path in taken} == {tmp_path / "given"}
    assert [path.stem for path in taken[-2:]] == ["whole-phone-dark", "pressed-phone-dark"]
    assert titles == ["pressed"] * 4
    assert entered == ["about:blank"] * 4
    sizes = {path.stem: _size(path.read_bytes()) for path in taken}
    assert len(sizes) == 8
    assert sizes["whole-screen-light"][0] == 1280
    assert sizes["whole-phone-dark"][0] == 390
    assert all(height >= 2000 for _, height in sizes.values())
    assert (taken[0].parent / "whole-screen-light.png").read_bytes() != (
        taken[0].parent / "whole-screen-dark.png"
    ).read_bytes()


def test_they_are_kept_where_the_environment_says(
    chromium: Chromium, site: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYTURN_SCREENSHOTS", str(tmp_path / "named"))
    shots = [screenshots.Shot(name="whole", path="/")]
    (taken,) = screenshots.take(chromium, site.url, shots, tmp_path / "given", looks=[Reader(locale="de-DE")])
    assert taken == tmp_path / "named" / "whole-screen-light-de-DE.png"
    assert taken.exists()


@pytest.mark.parametrize("asked", ["", "1"])
def test_an_image_of_the_readme_is_written_where_that_is_asked_for(
    chromium: Chromium, site: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    monkeypatch.setenv("KEYTURN_WRITE_IMAGES", asked)
    monkeypatch.setattr(screenshots, "IMAGES", tmp_path / "images")
    with chromium.visit(site.url) as visit:
        visit.page.goto("/")
        picture = screenshots.image(visit.page, "dashboard")
    assert _size(picture) == (1280, 900)
    written = tmp_path / "images" / "dashboard.png"
    assert written.exists() is bool(asked)
