"""A condition of an append: that a feed is not yet at the first of the sequences taken in; and an
index of views by project."""

from alembic import op

revision = "0019"
down_revision = "0018"

_STATEMENTS = (
    """
    DROP FUNCTION log.append(
        text[], bigint[], text[], bytea[], text[], bytea, text[], bigint[], text, bigint
    )
    """,
    # As in 0002, with `feed_first`. A process of an older Stemma calls it without.
    """
    CREATE FUNCTION log.append(
        streams text[], revisions bigint[], names text[], states bytea[],
        command text[], command_result bytea,
        unchanged_streams text[], unchanged_revisions bigint[],
        feed text, feed_sequence bigint, feed_first bigint DEFAULT NULL
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
            WHERE known.notification_id < coalesce(feed_first, feed_sequence);
            IF NOT FOUND THEN
                RAISE EXCEPTION 'sequence % of feed % has been taken in already',
                    coalesce(feed_first, feed_sequence), feed
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
    """
    CREATE INDEX stemma_events_views_idx ON log.stemma_events
    (log.project_of(state), notification_id) WHERE topic = 'view.created'
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
