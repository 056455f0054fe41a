"""The event log, append-only by grants and a trigger, and the tables committed together with it."""

from alembic import op

revision = "0001"
down_revision = None

_STATEMENTS = (
    # The table of the eventsourcing library, with all columns NOT NULL.
    """
    CREATE TABLE log.stemma_events (
        originator_id text NOT NULL,
        originator_version bigint NOT NULL CHECK (originator_version > 0),
        topic text NOT NULL,
        state bytea NOT NULL,
        notification_id bigserial NOT NULL,
        PRIMARY KEY (originator_id, originator_version)
    ) WITH (
        autovacuum_vacuum_insert_scale_factor = 0.1,
        autovacuum_analyze_threshold = 1000,
        autovacuum_analyze_scale_factor = 0.01
    )
    """,
    "CREATE UNIQUE INDEX stemma_events_notification_id_idx ON log.stemma_events (notification_id)",
    "CREATE INDEX stemma_events_topic_idx ON log.stemma_events (topic, notification_id)",
    """
    CREATE TYPE log.stored_event_text AS (
        originator_id text, originator_version bigint, topic text, state bytea
    )
    """,
    """
    CREATE TABLE log.stemma_tracking (
        application_name text PRIMARY KEY,
        notification_id bigint NOT NULL
    )
    """,
    """
    CREATE TABLE log.commands (
        command_id text PRIMARY KEY,
        fingerprint text NOT NULL,
        result bytea NOT NULL,
        carried_out_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    # A decision depends on streams that it only read: reject it if one of them has changed. Called
    # with the table lock held; raises the code of a unique violation, on which writers retry.
    """
    CREATE FUNCTION log.expect_unchanged(streams text[], revisions bigint[]) RETURNS void
    LANGUAGE plpgsql AS $body$
    DECLARE moved text;
    BEGIN
        SELECT expected.stream INTO moved
        FROM unnest(streams, revisions) AS expected (stream, revision)
        WHERE expected.revision <> (
            SELECT coalesce(max(originator_version), 0) FROM log.stemma_events
            WHERE originator_id = expected.stream
        ) LIMIT 1;
        IF moved IS NOT NULL THEN
            RAISE EXCEPTION 'stream % has moved on since it was read', moved
                USING ERRCODE = 'unique_violation';
        END IF;
    END $body$
    """,
    """
    CREATE FUNCTION log.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $body$
    BEGIN
        RAISE EXCEPTION 'the event log is append-only: % is refused', TG_OP
            USING ERRCODE = 'insufficient_privilege';
    END $body$
    """,
    """
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log.stemma_events
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change()
    """,
    # It fires also in a session that disables triggers with session_replication_role.
    "ALTER TABLE log.stemma_events ENABLE ALWAYS TRIGGER append_only",
    """
    CREATE VIEW log.events AS
    SELECT notification_id AS position,
           originator_id AS stream,
           originator_version AS revision,
           topic AS name,
           (body ->> 'occurred_at')::timestamptz AS occurred_at,
           body ->> 'actor' AS actor,
           body ->> 'event_id' AS event_id,
           body ->> 'command_id' AS command_id,
           body ->> 'correlation_id' AS correlation_id,
           body ->> 'causation_id' AS causation_id,
           (body ->> 'schema_version')::int AS schema_version,
           body -> 'data' AS data
    FROM (SELECT *, convert_from(state, 'UTF8')::jsonb AS body FROM log.stemma_events) AS stored
    """,
    """
    DO $body$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'stemma_app') THEN
            CREATE ROLE stemma_app NOLOGIN;
        END IF;
    END $body$
    """,
    "GRANT USAGE ON SCHEMA log TO stemma_app",
    # MAINTAIN allows the role to take the lock that keeps positions in commit order.
    "GRANT SELECT, INSERT, MAINTAIN ON log.stemma_events TO stemma_app",
    "GRANT USAGE ON SEQUENCE log.stemma_events_notification_id_seq TO stemma_app",
    "GRANT SELECT ON log.events, log.schema_version TO stemma_app",
    "GRANT SELECT, INSERT ON log.commands TO stemma_app",
    "GRANT SELECT, INSERT, UPDATE ON log.stemma_tracking TO stemma_app",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
