"""Perceptual hashes of images, and which of them are near each other. All can be made again."""

from alembic import op

revision = "0018"
down_revision = "0017"

_BANDS = ", ".join(
    f"band_{band} int NOT NULL GENERATED ALWAYS AS (((hash >> {16 * band}) & 65535)::int) STORED"
    for band in range(4)
)
_STATEMENTS = (
    # Hashes that differ in 7 bits at most differ in one bit at most in one of four bands
    # (Norouzi, Punjani and Fleet 2012): an index of each band finds them.
    f"""
    CREATE TABLE work.image_hashes (
        blob text COLLATE "C" PRIMARY KEY,
        rule text NOT NULL,
        hash bigint NOT NULL,
        {_BANDS}
    )
    """,
    *(f"CREATE INDEX ON work.image_hashes (band_{band})" for band in range(4)),
    """
    CREATE TABLE work.near_images (
        blob text COLLATE "C",
        other text COLLATE "C",
        distance smallint NOT NULL,
        PRIMARY KEY (blob, other)
    )
    """,
    "CREATE INDEX ON work.near_images (other)",
    "GRANT SELECT, INSERT, DELETE ON work.image_hashes, work.near_images TO stemma_app",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
