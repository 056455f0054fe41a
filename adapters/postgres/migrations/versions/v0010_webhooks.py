"""The position and delivery status of each webhook; it is not part of the event log."""

from alembic import op

revision = "0010"
down_revision = "0009"

_STATEMENTS = (
    """
    CREATE TABLE work.webhook_positions (
        webhook_id text PRIMARY KEY,
        begun bigint NOT NULL,
        position bigint NOT NULL,
        failures int NOT NULL DEFAULT 0,
        failing_since timestamptz,
        next_try_at timestamptz,
        last_error text,
        delivered_at timestamptz
    )
    """,
    "GRANT SELECT, INSERT, UPDATE ON work.webhook_positions TO stemma_app",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
