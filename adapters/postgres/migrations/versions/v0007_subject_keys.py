"""Keys of the personal fields of events, stored apart from the events, so that they can be
deleted."""

from alembic import op

revision = "0007"
down_revision = "0006"

_STATEMENTS = (
    'CREATE TABLE log.subject_keys (subject text COLLATE "C" PRIMARY KEY, key bytea NOT NULL)',
    """
    CREATE FUNCTION log.keep_subject_keys(subjects text[], keys bytea[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
        INSERT INTO log.subject_keys (subject, key) SELECT * FROM unnest(subjects, keys)
    $body$
    """,
    # A key is deleted only after an `.erased` event of its stream.
    """
    CREATE FUNCTION log.shred_subject_keys(subjects text[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
        DELETE FROM log.subject_keys WHERE subject = ANY(subjects) AND EXISTS (
            SELECT FROM log.stemma_events
            WHERE originator_id = subject AND topic LIKE '%.erased'
        )
    $body$
    """,
    "REVOKE ALL ON FUNCTION log.keep_subject_keys, log.shred_subject_keys FROM public",
    "GRANT EXECUTE ON FUNCTION log.keep_subject_keys, log.shred_subject_keys TO stemma_app",
    "GRANT SELECT ON log.subject_keys TO stemma_app",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
