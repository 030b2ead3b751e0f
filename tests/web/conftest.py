from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web import desk as desks
from tests.web import house as houses


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[desks.Desk]:
    """A server of the test's own, with Maria's account."""
    with desks.opened(tmp_path / "data") as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[desks.Desk]:
    """One for the tests of a file that disturb nobody."""
    with desks.opened(tmp_path_factory.mktemp("desk") / "data") as opened:
        yield opened


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[houses.House]:
    """One for the whole run, and people with browsers: whoever moves in disturbs nobody."""
    with houses.opened(tmp_path_factory.mktemp("house") / "data") as opened:
        yield opened
