"""Counts of refused requests by minute; they are not part of the event log."""

from alembic import op

revision = "0009"
down_revision = "0008"

_STATEMENTS = (
    """
    CREATE TABLE work.refusals (
        refusal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        minute timestamptz NOT NULL,
        account text NOT NULL,
        method text NOT NULL,
        route text NOT NULL,
        reason text NOT NULL,
        count bigint NOT NULL,
        UNIQUE (minute, account, method, route, reason)
    )
    """,
    "GRANT SELECT, INSERT, UPDATE, DELETE ON work.refusals TO stemma_app",
    "GRANT USAGE ON SCHEMA work TO stemma_auditor",
    "GRANT SELECT ON work.refusals TO stemma_auditor",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
