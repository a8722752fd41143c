"""What alembic runs: the revisions, on the connection that `runner.migrate` opened and holds the lock on."""

from alembic import context
from sqlalchemy import Connection

connection = context.config.attributes.get("connection")
if not isinstance(connection, Connection):
    raise TypeError("alembic has no connection: call deploy.migrations.runner.migrate(url) instead of the alembic CLI")
context.configure(connection=connection, version_table_schema="countersign")
with context.begin_transaction():
    context.run_migrations()
