"""How Alembic runs a migration: on the connection it is given, inside that connection's transaction."""

from alembic import context

from keyturn.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
context.run_migrations()
