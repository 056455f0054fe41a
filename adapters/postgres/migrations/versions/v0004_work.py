"""The progress of running work; it is not part of the event log."""

from alembic import op

revision = "0004"
down_revision = "0003"

_STATEMENTS = (
    "CREATE SCHEMA work",
    """
    CREATE TABLE work.imports (
        import_id text PRIMARY KEY,
        phase text NOT NULL,
        done bigint NOT NULL,
        total bigint,
        updated_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "GRANT USAGE ON SCHEMA work TO stemma_app",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON work.imports TO stemma_app",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
