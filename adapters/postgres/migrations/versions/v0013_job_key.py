"""The key by which a report shows that its worker was given the job; none of it is history."""

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
