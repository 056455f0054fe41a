"""Codes that sign a browser in once; only the digest of a code is stored."""

from alembic import op

revision = "0016"
down_revision = "0015"

_STATEMENTS = (
    """
    CREATE TABLE work.sign_in_codes (
        digest text COLLATE "C" PRIMARY KEY,
        key_id text NOT NULL,
        key_revision bigint NOT NULL,
        until timestamptz NOT NULL
    )
    """,
    "GRANT SELECT, INSERT, DELETE ON work.sign_in_codes TO stemma_app",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
