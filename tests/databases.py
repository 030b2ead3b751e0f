"""Fresh databases for tests, cheap: each is a copy of one that was migrated once.

A test that runs on both takes the fixture `database_url`; see `tests/conftest.py`.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keyturn.store import migrate as schema
from keyturn.store.database import connect
from tests.postgres import Postgres

TEMPLATE = "keyturn_template"


def migrate(url: str) -> None:
    """Bring the database at `url` to the newest schema."""
    engine = connect(url)
    try:
        schema.migrate(engine)
    finally:
        engine.dispose()


def sqlite_url(path: Path) -> str:
    """The address of a SQLite file."""
    return f"sqlite:///{path}"


class SqliteTemplate:
    """One migrated SQLite file, copied for each test."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "template.db"
        migrate(sqlite_url(self._file))

    def copy(self, folder: Path) -> str:
        """A fresh migrated database in `folder`."""
        target = folder / "keyturn.db"
        for suffix in ("", "-wal", "-journal"):  # whatever the last connection left beside it
            part = self._file.with_name(self._file.name + suffix)
            if part.exists():
                shutil.copyfile(part, target.with_name(target.name + suffix))
        return sqlite_url(target)


@contextmanager
def postgres_copy(server: Postgres) -> Iterator[str]:
    """A fresh migrated database on `server`; dropped afterwards."""
    if TEMPLATE not in server.templates:
        server.execute(f'CREATE DATABASE "{TEMPLATE}"')
        migrate(server.url(TEMPLATE))
        server.templates.add(TEMPLATE)
    with postgres_empty(server, template=TEMPLATE) as url:
        yield url


@contextmanager
def postgres_empty(server: Postgres, *, template: str = "template0") -> Iterator[str]:
    """A fresh database without any table; dropped afterwards."""
    name = server.create_database(template)
    try:
        yield server.url(name)
    finally:
        server.drop_database(name)
