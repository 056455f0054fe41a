"""The key that authenticates a worker's reports for its job; it is not part of the event log."""

from alembic import op

revision = "0013"
down_revision = "0012"

_STATEMENTS = (
    """
    CREATE TABLE work.job_key (
        singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
        key bytea NOT NULL,
        since bigint NOT NULL
    )
    """,
    "GRANT SELECT, INSERT ON work.job_key TO stemma_app",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
