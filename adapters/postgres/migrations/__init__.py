"""Migrations of the event log's tables, run by Alembic."""
