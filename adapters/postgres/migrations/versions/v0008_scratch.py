"""Services may create scratch schemas, to build read models in, and no other schema."""

from alembic import op

revision = "0008"
down_revision = "0007"

_STATEMENTS = (
    """
    CREATE FUNCTION work.make_scratch(name text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    BEGIN
        IF name !~ '^rebuild_[0-9a-f]{12}$' THEN
            RAISE EXCEPTION '% is no name of a scratch schema', name;
        END IF;
        EXECUTE format('CREATE SCHEMA %I AUTHORIZATION %I', name, session_user);
    END $body$
    """,
    "REVOKE ALL ON FUNCTION work.make_scratch FROM public",
    "GRANT EXECUTE ON FUNCTION work.make_scratch TO stemma_app",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
