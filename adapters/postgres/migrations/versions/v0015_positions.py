"""Positions of the log begin at 1: what stands before is read, signed and verified by nobody."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE log.stemma_events ADD CONSTRAINT stemma_events_position_check"
        " CHECK (notification_id > 0)"
    )
