"""Docs that are executed: the shell blocks of each how-to run in order, against a real server, and must succeed.

TOML blocks must load as settings.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from keyturn.settings import Settings
from tests.serving import Serving

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted((ROOT / "docs" / "howto").glob("*.md"))
_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in _BLOCK.findall(page.read_text("utf-8")) if kind == language]


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    server = Serving(folder=tmp_path / "data").start()
    yield server
    server.kill()


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh")], ids=lambda page: page.stem)
def test_the_commands_of_a_how_to_succeed(page: Path, serving: Serving, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KEYTURN_")}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}:{environment.get('PATH', '')}",
        "KEYTURN_URL": f"http://127.0.0.1:{serving.port}",
        "KEYTURN_DATA": str(serving.folder),
    }
    script = "set -euo pipefail\n" + "\n".join(blocks(page, "sh"))
    done = subprocess.run(
        ["bash", "-c", script], cwd=here, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"{page.name}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "toml")], ids=lambda page: page.stem)
def test_the_settings_of_a_how_to_load(page: Path, tmp_path: Path) -> None:
    for block in blocks(page, "toml"):
        file = tmp_path / "keyturn.toml"
        file.write_text(block)
        assert Settings.load({}, environ={}, file=file) != Settings()


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
