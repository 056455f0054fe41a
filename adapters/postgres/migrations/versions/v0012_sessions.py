"""Sessions of signed-in browsers; only the digest of a session's token is stored."""

from alembic import op

revision = "0012"
down_revision = "0011"

_STATEMENTS = (
    """
    CREATE TABLE work.sessions (
        digest text COLLATE "C" PRIMARY KEY,
        account_id text NOT NULL,
        key_id text,
        key_revision bigint NOT NULL,
        seen_at timestamptz NOT NULL,
        until timestamptz NOT NULL
    )
    """,
    "GRANT SELECT, INSERT, UPDATE, DELETE ON work.sessions TO stemma_app",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
