"""An auditor reads the log, its views and the read models, and writes nothing."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from adapters.postgres.migrate import migrate
from adapters.postgres.postgres import passing_engine
from adapters.servers.postgres import EmbeddedPostgres
from application.log.store import Store
from domain.dataset.image import ImageSplitAssigned
from projections.engine.follow import Follower
from projections.registry import READ_MODELS
from tests.application.scenes import trainable
from tests.projections.engine.rebuilding import rebuild
from tests.projections.engine.test_follow import fill
from tests.servers import Database, new_database

AUDITOR = "ada_the_auditor"
LOG = ("log.stemma_events", "log.events", "log.commands", "log.stemma_tracking")
READ = [str(table) for one in READ_MODELS for table in one.metadata.sorted_tables]
WRITES = [
    "INSERT INTO log.stemma_events VALUES ('project-2', 1, 'project.created', '', 7)",
    "UPDATE log.stemma_events SET topic = 'other'",
    "DELETE FROM log.stemma_events",
    "TRUNCATE log.stemma_events",
    "MERGE INTO log.stemma_events a USING log.stemma_events b ON a = b WHEN MATCHED THEN DELETE",
    "LOCK TABLE log.stemma_events IN EXCLUSIVE MODE",
    "SELECT * FROM log.stemma_events FOR UPDATE",
    "SELECT log.append('{}', '{}', '{}', '{}', NULL, NULL, '{}', '{}', NULL, NULL)",
    "UPDATE log.events SET name = 'other'",
    "UPDATE log.commands SET result = ''",
    "DELETE FROM log.stemma_tracking",
    "UPDATE log.schema_version SET version_num = '0'",
    "DELETE FROM read.positions",
    "UPDATE read.catalog_v4_projects SET name = 'other'",
    "INSERT INTO read.catalog_v4_views SELECT * FROM read.catalog_v4_views",
    "TRUNCATE read.metric_history_v1",
    "UPDATE audit.views SET name = 'other'",
    "CREATE OR REPLACE VIEW audit.views AS SELECT 1 AS one",
    "SELECT * FROM work.imports",
    "INSERT INTO work.imports VALUES ('i', 'p', 0)",
    "CREATE TABLE log.mine (a int)",
    "CREATE TABLE read.mine (a int)",
    "CREATE TABLE audit.mine (a int)",
    "CREATE TABLE public.mine (a int)",
    "CREATE TEMPORARY TABLE mine (a int)",
    "SELECT * INTO mine FROM log.events",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION log.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE mine",
    "GRANT stemma_app TO CURRENT_USER",
    "SET ROLE stemma_app",
    "ALTER TABLE log.stemma_events DISABLE TRIGGER append_only",
    "DROP VIEW audit.events",
    "DROP TABLE log.stemma_events",
    "COPY log.stemma_events TO PROGRAM 'cat'",
    "COPY log.stemma_events TO '/tmp/events'",
    "SELECT lo_from_bytea(0, 'mine')",
    "SELECT lo_create(0)",
    "SELECT lo_creat(-1)",
    "SELECT pg_read_file('PG_VERSION')",
]

REFUSALS = (
    psycopg.errors.InsufficientPrivilege,
    # Computed columns of a view take no value, whoever asks.
    psycopg.errors.ObjectNotInPrerequisiteState,
    psycopg.errors.FeatureNotSupported,
)


def auditor_of(database: Database) -> str:
    """The address of the database for a login role that is an auditor and nothing else."""
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        known = admin.execute("SELECT FROM pg_roles WHERE rolname = %s", (AUDITOR,)).fetchone()
        if known is None:
            admin.execute(f"CREATE ROLE {AUDITOR} LOGIN PASSWORD 'see' IN ROLE stemma_auditor")
    return f"postgresql://{AUDITOR}:see@{database.admin_url.split('@')[1]}"


@pytest.fixture(scope="module")
def filled(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[Database]:
    """A log with trainings, shared by all tests here since none of them is to change it."""
    with new_database(postgres, migrated_template) as made:
        migrate(made.admin_url, made.app_url)
        store = Store(made.app_url)
        fill(store, trainings=1)
        Follower(passing_engine(made.app_url), store, READ_MODELS).catch_up()
        store.close()
        yield made


def count(url: str, name: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*name.split(".")))
        ).fetchone()
    assert row is not None
    return int(row[0])


def views(url: str) -> list[str]:
    query = "SELECT 'audit.' || viewname FROM pg_views WHERE schemaname = 'audit' ORDER BY 1"
    with psycopg.connect(url) as connection:
        return [str(row[0]) for row in connection.execute(query)]


def test_an_auditor_reads_the_log_and_every_read_model(filled: Database) -> None:
    url = auditor_of(filled)
    for name in (*LOG, *READ, "read.positions", *views(url)):
        assert count(url, name) == count(filled.admin_url, name), name
    assert count(url, "log.events") > 20
    assert len(views(url)) == 13


@pytest.mark.parametrize("statement", WRITES)
def test_an_auditor_writes_nothing(filled: Database, statement: str) -> None:
    events = count(filled.admin_url, "log.stemma_events")
    with (
        psycopg.connect(auditor_of(filled)) as connection,
        pytest.raises(REFUSALS),
    ):
        connection.execute(sql.SQL(statement))
    assert count(filled.admin_url, "log.stemma_events") == events


def test_every_other_table_is_refused_too(filled: Database) -> None:
    """No table or view anywhere that an auditor may write, or read but for those told of."""
    query = """
        SELECT format('%%s.%%s', schemaname, name),
               has_table_privilege(%s, format('%%I.%%I', schemaname, name),
                                   'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
        FROM (SELECT schemaname, tablename FROM pg_tables
              UNION ALL SELECT schemaname, viewname FROM pg_views) AS found (schemaname, name)
        WHERE schemaname IN ('log', 'read', 'audit', 'work', 'rebuild', 'public')
    """
    auditor_of(filled)
    with psycopg.connect(filled.admin_url) as admin:
        found = admin.execute(sql.SQL(query), (AUDITOR,)).fetchall()
    assert len(found) > 30
    assert [name for name, writable in found if writable] == []


def test_access_survives_a_rebuild(filled: Database) -> None:
    engine, store = passing_engine(filled.app_url), Store(filled.app_url)
    for read_model in READ_MODELS:
        rebuild(engine, store, read_model)
    store.close()
    url = auditor_of(filled)
    for name in READ:
        assert count(url, name) == count(filled.admin_url, name), name


def test_migrating_a_database_that_has_read_models_lets_auditors_read_them(
    filled: Database,
) -> None:
    with psycopg.connect(filled.admin_url, autocommit=True) as admin:
        admin.execute("REVOKE ALL ON ALL TABLES IN SCHEMA read FROM stemma_auditor")
    migrate(filled.admin_url, filled.app_url)
    assert count(auditor_of(filled), "read.catalog_v4_projects") == 1


def test_the_views_say_what_the_log_says(store: Store, migrated: Database) -> None:
    scene = trainable(store)
    scene.train("first")
    with psycopg.connect(auditor_of(migrated)) as connection:

        def rows(query: str) -> list[tuple[object, ...]]:
            return connection.execute(sql.SQL(query)).fetchall()

        assert rows("SELECT project_id, name FROM audit.projects") == [(scene.project, "Digits")]
        assert rows("SELECT view, label, removed_at FROM audit.concepts ORDER BY position") == [
            ("which", "zero", None),
            ("which", "one", None),
        ]
        assert rows(
            "SELECT i.image_id, i.split, a.label FROM audit.images i"
            " JOIN audit.annotations a USING (image_id) WHERE a.replaced_position IS NULL"
            " ORDER BY i.position LIMIT 2"
        ) == [
            (image_id, split_of(store, image_id), label)
            for image_id, label in zip(scene.images, ("zero", "one"), strict=False)
        ]
        assert rows("SELECT name, number, architecture, manifest FROM audit.versions") == [
            ("first", 1, "resnet18", None)
        ]
        (person,) = rows(
            "SELECT actor, sort, events = (SELECT count(*) FROM log.events) FROM audit.people"
        )
        assert person == ("user:ada", "caller", True)


def split_of(store: Store, image_id: str) -> str:
    stream = f"image-{image_id}"
    assigned = [
        one.event.split
        for one in store.streams([stream])[stream]
        if isinstance(one.event, ImageSplitAssigned)
    ]
    return assigned[-1] if assigned else "train"
