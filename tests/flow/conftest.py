"""SQLite files of these tests lie in memory where the system has a place for that: they test decisions, not disks."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyturn.core.account import User
from tests import databases
from tests.world import World, world

_IN_MEMORY = Path("/dev/shm")  # noqa: S108  # a fresh folder is made inside


@pytest.fixture
def sqlite_url(sqlite_template: databases.SqliteTemplate) -> Iterator[str]:
    """A fresh migrated SQLite database."""
    with tempfile.TemporaryDirectory(prefix="kt-", dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None) as folder:
        yield sqlite_template.copy(Path(folder))


@pytest.fixture
def here(database_url: str) -> Iterator[World]:
    """A deployment of the test's own, on each database."""
    with world(database_url) as made:
        yield made


@pytest.fixture
def owner(here: World) -> User:
    """The owner of a customer's account there."""
    return here.user(here.account())
