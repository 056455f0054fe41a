"""A read-only role for auditors, views of the log for them, and an index of correlations."""

from alembic import op

revision = "0006"
down_revision = "0005"


def _last(name: str, field: str, of: str) -> str:
    """The newest value of a field from events of this name, or else its initial value."""
    return f"""coalesce((
        SELECT later.data ->> '{field}' FROM audit.events later
        WHERE later.stream = {of}.stream AND later.name = '{name}'
        ORDER BY later.revision DESC LIMIT 1), {of}.data ->> '{field}')"""


_VIEWS = {
    "events": """
        SELECT notification_id AS position,
               (body ->> 'occurred_at')::timestamptz AS at,
               body ->> 'actor' AS actor,
               topic AS name,
               split_part(originator_id, '-', 1) AS kind,
               substr(originator_id, strpos(originator_id, '-') + 1) AS id,
               originator_version AS revision,
               body -> 'data' AS data,
               originator_id AS stream,
               body ->> 'command_id' AS command_id,
               body ->> 'correlation_id' AS correlation_id,
               body ->> 'causation_id' AS causation_id,
               body ->> 'event_id' AS event_id,
               (body ->> 'schema_version')::int AS schema_version
        FROM (SELECT *, convert_from(state, 'UTF8')::jsonb AS body FROM log.stemma_events) stored
    """,
    "people": """
        SELECT actor,
               CASE WHEN actor LIKE 'worker:%' THEN 'worker'
                    WHEN actor = 'policy' THEN 'policy' ELSE 'caller' END AS sort,
               count(*) AS events, count(DISTINCT correlation_id) AS requests,
               min(at) AS first_at, max(at) AS last_at
        FROM audit.events GROUP BY actor
    """,
    "projects": f"""
        SELECT made.id AS project_id, {_last("project.renamed", "name", "made")} AS name,
               made.at AS created_at, made.actor AS created_by, made.position
        FROM audit.events made WHERE made.name = 'project.created'
    """,
    "views": """
        SELECT id AS view_id, data ->> 'project_id' AS project_id, data ->> 'name' AS name,
               data ->> 'kind' AS kind, at AS created_at, actor AS created_by, position
        FROM audit.events WHERE name = 'view.created'
    """,
    # A concept that was added again after its removal has a row for each time.
    "concepts": """
        SELECT view.view_id, view.name AS view, added.data ->> 'concept_id' AS concept_id,
               coalesce(renamed.label, added.data ->> 'label') AS label,
               added.data ->> 'label' AS first_label,
               added.at AS added_at, added.actor AS added_by,
               removed.at AS removed_at, removed.actor AS removed_by, added.position
        FROM audit.events added
        JOIN audit.views view ON view.view_id = added.id
        LEFT JOIN LATERAL (
            SELECT at, actor, revision FROM audit.events
            WHERE stream = added.stream AND name = 'view.concept_removed'
              AND data ->> 'concept_id' = added.data ->> 'concept_id'
              AND revision > added.revision ORDER BY revision LIMIT 1
        ) removed ON true
        LEFT JOIN LATERAL (
            SELECT data ->> 'label' AS label FROM audit.events
            WHERE stream = added.stream AND name = 'view.concept_renamed'
              AND data ->> 'concept_id' = added.data ->> 'concept_id'
              AND revision > added.revision
              AND (removed.revision IS NULL OR revision < removed.revision)
            ORDER BY revision DESC LIMIT 1
        ) renamed ON true
        WHERE added.name = 'view.concept_added'
    """,
    # An image that was added again after its removal has a row for each time. Its name is sealed.
    "images": """
        SELECT added.id AS image_id, added.data ->> 'project_id' AS project_id,
               added.data ->> 'blob' AS blob,
               (added.data ->> 'width')::int AS width, (added.data ->> 'height')::int AS height,
               coalesce(assigned.split, 'train') AS split,
               added.at AS added_at, added.actor AS added_by,
               removed.at AS removed_at, removed.actor AS removed_by, added.position
        FROM audit.events added
        LEFT JOIN LATERAL (
            SELECT at, actor, revision FROM audit.events
            WHERE stream = added.stream AND name IN ('image.removed', 'image.erased')
              AND revision > added.revision ORDER BY revision LIMIT 1
        ) removed ON true
        LEFT JOIN LATERAL (
            SELECT data ->> 'split' AS split FROM audit.events
            WHERE stream = added.stream AND name = 'image.split_assigned'
              AND revision > added.revision
              AND (removed.revision IS NULL OR revision < removed.revision)
            ORDER BY revision DESC LIMIT 1
        ) assigned ON true
        WHERE added.name = 'image.added'
    """,
    # A row for each concept or box of an image; a row without label if there is none.
    "annotations": """
        SELECT said.id AS image_id, said.data ->> 'view_id' AS view_id,
               one.body ->> 'concept_id' AS concept_id,
               (SELECT label.data ->> 'label' FROM audit.events label
                WHERE label.stream = 'view-' || (said.data ->> 'view_id')
                  AND label.name IN ('view.concept_added', 'view.concept_renamed')
                  AND label.data ->> 'concept_id' = one.body ->> 'concept_id'
                  AND label.position < said.position
                ORDER BY label.position DESC LIMIT 1) AS label,
               (one.body #>> '{box,x}')::float8 AS x, (one.body #>> '{box,y}')::float8 AS y,
               (one.body #>> '{box,width}')::float8 AS width,
               (one.body #>> '{box,height}')::float8 AS height,
               (said.data ->> 'without_concept')::boolean AS without_concept,
               said.at AS said_at, said.actor AS said_by, said.position,
               (SELECT min(later.position) FROM audit.events later
                WHERE later.stream = said.stream AND later.revision > said.revision
                  AND (later.name IN ('image.removed', 'image.erased', 'image.added')
                       OR (later.name = 'image.annotated'
                           AND later.data ->> 'view_id' = said.data ->> 'view_id'))
               ) AS replaced_position
        FROM audit.events said
        LEFT JOIN LATERAL jsonb_array_elements(said.data -> 'annotations') one (body) ON true
        WHERE said.name = 'image.annotated'
    """,
    "models": f"""
        SELECT made.id AS model_id, made.data ->> 'view_id' AS view_id,
               {_last("model.renamed", "name", "made")} AS name,
               made.data ->> 'parent_model_id' AS parent_model_id, made.data ->> 'why' AS why,
               made.at AS created_at, made.actor AS created_by, made.position
        FROM audit.events made WHERE made.name IN ('model.created', 'model.forked')
    """,
    "versions": f"""
        SELECT made.id AS version_id, (made.data ->> 'number')::int AS number,
               {_last("version.renamed", "name", "made")} AS name,
               made.data ->> 'project_id' AS project_id, made.data ->> 'view_id' AS view_id,
               made.data ->> 'model_id' AS model_id, made.data ->> 'kind' AS kind,
               made.data #>> '{{options,architecture}}' AS architecture,
               made.data -> 'options' AS options,
               (made.data ->> 'log_position')::bigint AS images_as_of,
               frozen.data ->> 'manifest' AS manifest,
               (frozen.data ->> 'train_images')::int AS train_images,
               (frozen.data ->> 'validation_images')::int AS validation_images,
               made.at AS created_at, made.actor AS created_by, made.position
        FROM audit.events made
        LEFT JOIN audit.events frozen
            ON frozen.stream = made.stream AND frozen.name = 'version.dataset_frozen'
        WHERE made.name = 'version.created'
    """,
    # A row for each start of a training by a worker; `ended` is the next event of the training.
    "trainings": """
        SELECT started.id AS version_id, (started.data ->> 'attempt')::int AS attempt,
               (started.data ->> 'delivery')::int AS delivery,
               started.data ->> 'worker' AS worker, started.data ->> 'device' AS device,
               started.data -> 'environment' AS environment,
               (started.data ->> 'resumed_from')::int AS resumed_from, started.at AS started_at,
               coalesce(replace(ending.name, 'version.training_', ''), 'not yet') AS ended,
               ending.at AS ended_at, ending.data ->> 'reason' AS reason,
               ending.data ->> 'checkpoint' AS checkpoint,
               ending.data ->> 'final_weights' AS final_weights,
               (ending.data ->> 'iterations')::int AS iterations, started.position
        FROM audit.events started
        LEFT JOIN LATERAL (
            SELECT name, at, data FROM audit.events
            WHERE stream = started.stream AND revision > started.revision
              AND name IN ('version.training_started', 'version.training_completed',
                           'version.training_failed', 'version.training_cancelled')
            ORDER BY revision LIMIT 1
        ) ending ON true
        WHERE started.name = 'version.training_started'
    """,
    "epochs": """
        SELECT id AS version_id, (data ->> 'epoch')::float8 AS epoch,
               (data ->> 'iteration')::int AS iteration,
               (data ->> 'validation_loss')::float8 AS validation_loss,
               (data ->> 'validation_accuracy')::float8 AS validation_accuracy,
               (data ->> 'validation_mean_average_precision')::float8 AS validation_map,
               at, position
        FROM audit.events WHERE name = 'version.epoch_metrics_recorded'
    """,
    "evaluations": """
        SELECT id AS version_id, data ->> 'checkpoint' AS checkpoint,
               coalesce(data #>> '{validation,images}', data ->> 'validation_images')::int
                   AS validation_images,
               coalesce(data #>> '{validation,loss}', data ->> 'validation_loss')::float8
                   AS validation_loss,
               coalesce(data #>> '{validation,accuracy}', data ->> 'validation_accuracy')::float8
                   AS validation_accuracy,
               (data #>> '{validation,mean_average_precision}')::float8 AS validation_map,
               data ->> 'predictions' AS predictions, at, position
        FROM audit.events WHERE name = 'version.evaluated'
    """,
    "imports": """
        SELECT asked.id AS import_id, asked.data ->> 'project_id' AS project_id,
               asked.data ->> 'source' AS source, asked.at AS requested_at,
               asked.actor AS requested_by,
               coalesce(substr(ending.name, 8), 'requested') AS status,
               ending.data -> 'counts' AS counts, ending.data ->> 'reason' AS reason,
               ending.at AS ended_at, asked.position
        FROM audit.events asked
        LEFT JOIN audit.events ending
            ON ending.stream = asked.stream AND ending.revision > asked.revision
            AND ending.name IN ('import.completed', 'import.checked', 'import.refused',
                                'import.failed')
        WHERE asked.name = 'import.requested'
    """,
}

_CORRELATIONS = (
    # convert_from is only STABLE, since a database's encoding can change; the log's is UTF-8.
    """
    CREATE FUNCTION log.correlation_of(state bytea) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN pg_catalog.convert_from(state, 'UTF8')::pg_catalog.json ->> 'correlation_id'
    """,
    """
    CREATE INDEX stemma_events_correlation_idx ON log.stemma_events
    (log.correlation_of(state), notification_id)
    """,
)

_ROLE = (
    """
    DO $body$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'stemma_auditor') THEN
            CREATE ROLE stemma_auditor NOLOGIN;
        END IF;
    END $body$
    """,
    "CREATE SCHEMA audit",
    *(f"CREATE VIEW audit.{name} AS {query}" for name, query in _VIEWS.items()),
    "GRANT USAGE ON SCHEMA log, audit TO stemma_auditor",
    "GRANT SELECT ON ALL TABLES IN SCHEMA audit TO stemma_auditor",
    "GRANT SELECT ON log.stemma_events, log.events, log.commands, log.stemma_tracking,"
    " log.tiles, log.checkpoints, log.schema_version TO stemma_auditor",
    # Every role may write large objects by default; only a superuser can revoke this.
    """
    DO $body$ BEGIN
        IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
            REVOKE EXECUTE ON FUNCTION lo_creat(int), lo_create(oid), lo_from_bytea(oid, bytea)
                FROM PUBLIC;
        END IF;
    END $body$
    """,
)


def upgrade() -> None:
    for statement in (*_CORRELATIONS, *_ROLE):
        # Not as SQLAlchemy's `text`, which would parse a colon as a parameter.
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))
