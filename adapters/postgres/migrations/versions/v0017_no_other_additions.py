"""A condition of an append: that no other image joined a project since a position."""

from alembic import op

revision = "0017"
down_revision = "0016"

_STATEMENTS = (
    # Called behind log.append in the same statement, so under its lock. `own` is the number of
    # images that this append itself adds.
    """
    CREATE FUNCTION log.refuse_other_additions(project text, since bigint, own bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    BEGIN
        IF own <> (
            SELECT count(*) FROM log.stemma_events WHERE topic = 'image.added'
            AND notification_id > since AND log.project_of(state) = project
        ) THEN
            RAISE EXCEPTION 'images were added to project % since position %', project, since
                USING ERRCODE = 'unique_violation';
        END IF;
    END $body$
    """,
    "REVOKE ALL ON FUNCTION log.refuse_other_additions FROM public",
    "GRANT EXECUTE ON FUNCTION log.refuse_other_additions TO stemma_app",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
