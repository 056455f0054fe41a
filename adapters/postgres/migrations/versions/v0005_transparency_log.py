"""The transparency log: the hashes of its tree, and the signed checkpoints."""

from alembic import op

revision = "0005"
down_revision = "0004"

_STATEMENTS = (
    # Computed from the events, and can be recomputed at any time: nothing depends on its content.
    """
    CREATE TABLE log.tiles (
        level smallint NOT NULL,
        number bigint NOT NULL,
        hashes bytea NOT NULL,
        PRIMARY KEY (level, number)
    )
    """,
    # Hashes do not compress.
    "ALTER TABLE log.tiles ALTER hashes SET STORAGE EXTERNAL",
    """
    CREATE TABLE log.checkpoints (
        checkpoint_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        origin text NOT NULL,
        size bigint NOT NULL,
        root bytea NOT NULL,
        note text NOT NULL,
        note_sha256 bytea NOT NULL UNIQUE,
        signed_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX checkpoints_size_idx ON log.checkpoints (size, checkpoint_id)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON log.tiles TO stemma_app",
    "GRANT SELECT, INSERT ON log.checkpoints TO stemma_app",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
