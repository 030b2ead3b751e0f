"""SQLite files of these tests lie in memory where the system has a place for that: they test decisions, not disks."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import databases

_IN_MEMORY = Path("/dev/shm")  # noqa: S108  # a fresh folder is made inside


@pytest.fixture
def sqlite_url(sqlite_template: databases.SqliteTemplate) -> Iterator[str]:
    """A fresh migrated SQLite database."""
    with tempfile.TemporaryDirectory(prefix="kt-", dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None) as folder:
        yield sqlite_template.copy(Path(folder))
