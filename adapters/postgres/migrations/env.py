"""Alembic's entry: run the migrations on the connection that `postgres.migrate` passes."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="schema_version",
    version_table_schema="log",
)
with context.begin_transaction():
    context.run_migrations()
