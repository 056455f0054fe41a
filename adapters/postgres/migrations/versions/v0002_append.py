"""A function that appends to the event log, and no other privilege to write to it."""

from alembic import op

revision = "0002"
down_revision = "0001"

_STATEMENTS = (
    # Stream names are compared byte by byte, so that a range of names is a range of the key.
    "DROP VIEW log.events",
    'ALTER TABLE log.stemma_events ALTER COLUMN originator_id TYPE text COLLATE "C"',
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
    "GRANT SELECT ON log.events TO stemma_app",
    "ALTER TABLE log.stemma_events ALTER COLUMN notification_id DROP DEFAULT",
    "DROP SEQUENCE log.stemma_events_notification_id_seq",
    "DROP FUNCTION log.expect_unchanged",
    "REVOKE ALL ON log.stemma_events, log.commands, log.stemma_tracking FROM stemma_app",
    "GRANT SELECT ON log.stemma_events, log.commands, log.stemma_tracking TO stemma_app",
    # All events of a command or a report are saved or rejected together. The lock is held until
    # the commit, so positions become visible in order; they continue from the last position, read
    # under the lock, so none is skipped. A rejection has the code of a unique violation, on which
    # writers retry.
    """
    CREATE FUNCTION log.append(
        streams text[], revisions bigint[], names text[], states bytea[],
        command text[], command_result bytea,
        unchanged_streams text[], unchanged_revisions bigint[],
        feed text, feed_sequence bigint
    ) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    DECLARE
        head bigint := 0;
        moved text;
    BEGIN
        IF cardinality(streams) > 0 THEN
            LOCK TABLE log.stemma_events IN EXCLUSIVE MODE;
            SELECT coalesce(max(notification_id), 0) INTO head FROM log.stemma_events;
        END IF;
        IF cardinality(unchanged_streams) > 0 THEN
            SELECT expected.stream INTO moved
            FROM unnest(unchanged_streams, unchanged_revisions) AS expected (stream, revision)
            WHERE expected.revision <> (
                SELECT coalesce(max(originator_version), 0) FROM log.stemma_events
                WHERE originator_id = expected.stream
            ) LIMIT 1;
            IF moved IS NOT NULL THEN
                RAISE EXCEPTION 'stream % has moved on since it was read', moved
                    USING ERRCODE = 'unique_violation';
            END IF;
        END IF;
        IF command IS NOT NULL THEN
            INSERT INTO log.commands (command_id, fingerprint, result)
            VALUES (command[1], command[2], command_result);
        END IF;
        IF feed IS NOT NULL THEN
            INSERT INTO log.stemma_tracking AS known (application_name, notification_id)
            VALUES (feed, feed_sequence)
            ON CONFLICT (application_name) DO UPDATE SET notification_id = feed_sequence
            WHERE known.notification_id < feed_sequence;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'feed % has been taken in up to % already', feed, feed_sequence
                    USING ERRCODE = 'unique_violation';
            END IF;
        END IF;
        IF cardinality(streams) > 0 THEN
            INSERT INTO log.stemma_events
                (originator_id, originator_version, topic, state, notification_id)
            SELECT event.stream, event.revision, event.name, event.state, head + event.place
            FROM unnest(streams, revisions, names, states) WITH ORDINALITY
                AS event (stream, revision, name, state, place);
            NOTIFY stemma_events;
        END IF;
        RETURN head;
    END $body$
    """,
    "REVOKE ALL ON FUNCTION log.append FROM public",
    "GRANT EXECUTE ON FUNCTION log.append TO stemma_app",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
