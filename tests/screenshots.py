"""Pictures of pages, for people to look at: both widths, both schemes.

KEYTURN_SCREENSHOTS=/some/folder keeps them; else they go where pytest keeps what is temporary.
KEYTURN_WRITE_IMAGES=1 writes the pictures of the README anew.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.sync_api import Page

from tests.browser import LOOKS, Chromium, Reader, Visit

IMAGES: Final = Path(__file__).parents[1] / "docs" / "images"


def _as_it_is(_: Page) -> None:
    """Nothing more to do."""


def _nobody(_: Visit) -> None:
    """Nobody signs in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One page, by its name, after what has to be done on it first."""

    name: str
    path: str
    prepare: Callable[[Page], None] = _as_it_is


def take(
    chromium: Chromium,
    url: str,
    shots: Sequence[Shot],
    folder: Path,
    *,
    enter: Callable[[Visit], None] = _nobody,
    looks: Sequence[Reader] = LOOKS,
) -> list[Path]:
    """Every page in every look; `enter` signs in, once a look."""
    taken = []
    for look in looks:
        with chromium.visit(url, look) as visit:
            enter(visit)
            for shot in shots:
                visit.page.goto(shot.path)
                shot.prepare(visit.page)
                taken.append(keep(visit.page, f"{shot.name}-{look}", folder))
    return taken


def keep(page: Page, name: str, folder: Path) -> Path:
    """The whole page as it stands."""
    kept = Path(os.environ.get("KEYTURN_SCREENSHOTS") or folder)
    kept.mkdir(parents=True, exist_ok=True)
    picture = kept / f"{name}.png"
    picture.write_bytes(_picture(page, whole=True))
    return picture


def image(page: Page, name: str) -> bytes:
    """What the window shows, as a picture of the README: written to docs/images where that is asked for."""
    picture = _picture(page, whole=False)
    if os.environ.get("KEYTURN_WRITE_IMAGES") == "1":
        IMAGES.mkdir(exist_ok=True)
        (IMAGES / f"{name}.png").write_bytes(picture)
    return picture


def _picture(page: Page, *, whole: bool) -> bytes:
    return page.screenshot(full_page=whole, animations="disabled", caret="hide")
