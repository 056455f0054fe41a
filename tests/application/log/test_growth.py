"""Reads of some streams cost what these hold, however long the log is: by plans, not by clocks."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Composed

from application.dataset.imports import views_of
from application.log import store as stores
from application.log.store import END, Store
from domain.dataset.image import ImageAdded
from domain.library.view import ViewCreated
from tests.application.scenes import recorded
from tests.servers import Database

STREAMS, EACH = 8_000, 4

_MANY = """
    INSERT INTO log.stemma_events
        (originator_id, originator_version, topic, state, notification_id)
    SELECT 'image-' || stream, revision,
           CASE revision WHEN 1 THEN 'image.added' ELSE 'image.annotated' END,
           convert_to(
               '{"correlation_id":"c","data":{"project_id":"p' || stream %% 4 || '"}}', 'UTF8'
           ),
           (stream - 1) * %(each)s + revision
    FROM generate_series(1, %(streams)s) AS stream, generate_series(1, %(each)s) AS revision
"""


@pytest.fixture
def grown(migrated: Database, store: Store) -> Store:
    """A log of 32,000 events of 8,000 images in four projects, which PostgreSQL has analysed."""
    with psycopg.connect(migrated.admin_url, autocommit=True) as connection:
        connection.execute(_MANY, {"streams": STREAMS, "each": EACH})
        connection.execute(
            "INSERT INTO log.subject_keys SELECT 'image-' || n, decode(repeat('00', 32), 'hex')"
            " FROM generate_series(1, %s) AS n",
            (STREAMS,),
        )
        connection.execute("VACUUM ANALYZE log.stemma_events")
        connection.execute("VACUUM ANALYZE log.subject_keys")
    return store


def scans(database: Database, statement: Composed, parameters: Any) -> list[str]:
    """How each table is read, by the plan for these very parameters."""
    with psycopg.connect(database.app_url) as connection:
        explain = SQL("EXPLAIN (FORMAT JSON) {}").format(statement)
        row = connection.execute(explain, parameters).fetchone()
    assert row is not None
    return list(_scans(row[0][0]["Plan"]))


def _scans(plan: dict[str, Any]) -> Iterator[str]:
    if "Relation Name" in plan:
        yield plan["Node Type"]
    for child in plan.get("Plans", []):
        yield from _scans(child)


NAMES = [f"image-{number}" for number in range(1, 5_001)]


def statements(store: Store) -> dict[str, tuple[Composed, Any]]:
    of = store._recorder
    return {
        "streams": (of._select_streams, {"streams": NAMES, "upto": END}),
        "revisions": (of._select_revisions, (NAMES,)),
        "keys": (of._select_keys, (NAMES,)),
        "images": (
            of._select_images,
            {"project": "p1", "after": "", "limit": 5_000, "upto": STREAMS * EACH},
        ),
        "views": (of._select_views, ("p1", END)),
    }


@pytest.mark.parametrize("read", ["streams", "revisions", "keys", "images", "views"])
def test_no_read_of_some_streams_scans_a_table(grown: Store, migrated: Database, read: str) -> None:
    used = scans(migrated, *statements(grown)[read])
    assert used
    assert "Seq Scan" not in used


def test_streams_are_looked_up_by_their_names_before_the_log_is_analysed(
    store: Store, migrated: Database
) -> None:
    statement, parameters = statements(store)["streams"]
    with psycopg.connect(migrated.admin_url) as connection:
        connection.execute(_MANY, {"streams": STREAMS, "each": EACH})
        for mode in ("custom", "generic"):
            connection.execute(SQL("SET plan_cache_mode = {}").format(f"force_{mode}_plan"))
            explain = SQL("EXPLAIN {}").format(statement)
            plan = connection.execute(explain, parameters, prepare=True).fetchall()
            assert "stemma_events_notification_id_idx" not in str(plan)
            assert "stemma_events_pkey" in str(plan)


def test_images_are_found_though_thousands_were_added_later(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page holds images that the project had at the position, not those added since."""
    monkeypatch.setattr(stores, "STREAMS", 2)
    early, late = ["image-m", "image-z"], [f"image-{letter}" for letter in "abcdefxy"]
    for stream in early:
        store.append([recorded(stream, 1, ImageAdded("p", "b", 1, 1, "f", {}))])
    position = store.head()
    for stream in late:
        store.append([recorded(stream, 1, ImageAdded("p", "b", 1, 1, "f", {}))])
    assert [stream for stream, _ in store.image_streams("p", upto=position)] == early
    assert len(list(store.image_streams("p", upto=store.head()))) == 10


def test_the_views_of_a_project_are_those_it_had(store: Store) -> None:
    for number, project in enumerate("pqpqp", start=1):
        made = ViewCreated(project, f"view {number}", "tagging")
        store.append([recorded(f"view-{number}", 1, made)])
    assert list(views_of(store, "p")) == ["1", "3", "5"]
    assert list(views_of(store, "p", upto=4)) == ["1", "3"]
    assert views_of(store, "other") == {}
