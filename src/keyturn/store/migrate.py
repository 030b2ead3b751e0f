"""Bringing a database to this version's schema, forwards only."""

from importlib.resources import as_file, files
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from keyturn.store.database import BUSY_SECONDS

_LOCK_ID: Final = 0x6B657975


def migrate(engine: Engine) -> None:
    """Apply what is missing, in one transaction; nothing where nothing is.  Raises SQLAlchemy's errors."""
    with as_file(files("keyturn.store") / "migrations") as scripts:
        config = Config()
        config.set_main_option("script_location", str(scripts))
        with engine.connect().execution_options(keyturn_writes=True) as connection, connection.begin():
            if engine.dialect.name == "postgresql":
                # Of several servers that start at once, one migrates and the others find it done, however long it
                # takes: this wait has no bound but that of whoever migrates.
                connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK_ID})")
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def revisions(engine: Engine) -> tuple[str | None, str | None]:
    """The revision the database is at, and the one this version wants."""
    with as_file(files("keyturn.store") / "migrations") as scripts:
        config = Config()
        config.set_main_option("script_location", str(scripts))
        wanted = ScriptDirectory.from_config(config).get_current_head()
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision(), wanted
