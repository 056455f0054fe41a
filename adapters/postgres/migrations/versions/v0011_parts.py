"""Heartbeats of the backend's services; they are not part of the event log."""

from alembic import op

revision = "0011"
down_revision = "0010"

_STATEMENTS = (
    """
    CREATE TABLE work.parts (
        part text NOT NULL,
        process text NOT NULL,
        started_at timestamptz NOT NULL DEFAULT now(),
        beat_at timestamptz NOT NULL DEFAULT now(),
        failures bigint NOT NULL DEFAULT 0,
        failed_at timestamptz,
        error text,
        PRIMARY KEY (part, process)
    )
    """,
    "GRANT SELECT, INSERT, UPDATE, DELETE ON work.parts TO stemma_app",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
