"""An index of images by project."""

from alembic import op

revision = "0003"
down_revision = "0002"

_STATEMENTS = (
    # convert_from is only STABLE, since a database's encoding can change; the log's is UTF-8.
    """
    CREATE FUNCTION log.project_of(state bytea) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN pg_catalog.convert_from(state, 'UTF8')::pg_catalog.json #>> '{data,project_id}'
    """,
    """
    CREATE INDEX stemma_events_images_idx ON log.stemma_events
    (log.project_of(state), originator_id) WHERE topic = 'image.added'
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
