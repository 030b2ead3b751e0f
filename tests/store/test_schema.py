"""The migrations make exactly the tables that the code reckons with, and nothing happens twice."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from keyturn.store.database import connect
from keyturn.store.migrate import migrate, revisions
from keyturn.store.tables import metadata


def test_migrations_make_the_tables_of_the_code(database_url: str) -> None:
    engine = connect(database_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata) == []
    found = inspect(engine)
    assert set(found.get_table_names()) == {*metadata.tables, "alembic_version"}
    for table in metadata.tables.values():
        assert {one["name"] for one in found.get_indexes(table.name)} >= {one.name for one in table.indexes}
        assert {one["name"] for one in found.get_columns(table.name)} == {one.name for one in table.columns}
    engine.dispose()


def test_a_new_database_is_brought_to_the_newest_revision_once(empty_database_url: str) -> None:
    engine = connect(empty_database_url)
    current, wanted = revisions(engine)
    assert current is None
    migrate(engine)
    assert revisions(engine) == (wanted, wanted)
    migrate(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT id, rev, epoch, high_water FROM authority").all() == [(1, 0, 1, 0)]
    engine.dispose()


def test_a_migration_that_breaks_off_leaves_nothing(empty_database_url: str) -> None:
    engine = connect(empty_database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE users (x INTEGER)")  # in the way of the first one
    failed = False
    try:
        migrate(engine)
    except Exception:  # noqa: BLE001  # two dialects' errors
        failed = True
    assert failed
    assert inspect(engine).get_table_names() == ["users"]
    engine.dispose()
