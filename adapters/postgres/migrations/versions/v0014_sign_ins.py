"""Sign-ins with an identity provider: the sealing key and the used attempts, shared by all API
processes."""

from alembic import op

revision = "0014"
down_revision = "0013"

_STATEMENTS = (
    """
    CREATE TABLE work.sign_in_key (
        single boolean PRIMARY KEY DEFAULT true CHECK (single),
        key bytea NOT NULL
    )
    """,
    """
    CREATE TABLE work.sign_ins_used (
        digest text COLLATE "C" PRIMARY KEY,
        until timestamptz NOT NULL
    )
    """,
    "GRANT SELECT, INSERT ON work.sign_in_key TO stemma_app",
    "GRANT SELECT, INSERT, DELETE ON work.sign_ins_used TO stemma_app",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
