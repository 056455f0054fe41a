"""Who has uploaded which file: a caller names the files that it has uploaded, and no others."""

from alembic import op

revision = "0020"
down_revision = "0019"

_STATEMENTS = (
    # `stream` is that of the view or version that the file was uploaded for.
    """
    CREATE TABLE work.uploaded_files (
        stream text COLLATE "C",
        blob text COLLATE "C",
        at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (stream, blob)
    )
    """,
    "CREATE INDEX ON work.uploaded_files (at)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON work.uploaded_files TO stemma_app",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
