"""Read models that grow fast are written by plans that fit their size."""

from collections.abc import Iterator
from typing import Any

import psycopg
from sqlalchemy import Engine, text

from application.log.store import Store
from domain.dataset.image import Annotation, ImageAdded, ImageAnnotated
from domain.event import Recorded
from projections.dataset import inverted_index
from projections.dataset.dataset import DATASET
from projections.engine.follow import Follower
from projections.engine.statistics import FIRST
from projections.engine.writes import compile_write
from tests.application.scenes import recorded

PROJECT, VIEW = "p", "v"


def images(first: int, count: int) -> list[Recorded]:
    return [
        recorded(f"image-{number}", revision, event)
        for number in range(first, first + count)
        for revision, event in (
            (1, ImageAdded(PROJECT, f"b{number}", 1, 1, "f", {})),
            (2, ImageAnnotated(VIEW, (Annotation("c"),), False)),
        )
    ]


def planned_for(engine: Engine) -> float:
    """The rows that PostgreSQL believes the entries have."""
    with engine.begin() as connection:
        query = text("SELECT reltuples FROM pg_class WHERE relname = 'dataset_v4_marks'")
        return float(connection.execute(query).scalar_one())


def test_tables_are_analysed_as_they_grow(store: Store, engine: Engine) -> None:
    follower = Follower(engine, store, [DATASET])
    for first, count in ((0, 40), (40, 2 * FIRST), (40 + 2 * FIRST, 10 * FIRST)):
        store.append(images(first, count))
        before = planned_for(engine) if first else -1
        follower.catch_up()
        rows = 3 * (first + count)
        if count > 40:
            assert planned_for(engine) > max(before, rows / 5)
        else:
            assert planned_for(engine) <= 0, "too few to look"


def test_annotations_are_indexed_image_by_image(store: Store, engine: Engine) -> None:
    """Whatever PostgreSQL believes of the tables: here that they are empty."""
    store.append(images(0, 1500))
    follower = Follower(engine, store, [DATASET])
    follower._statistics.wrote = lambda *_: None  # type: ignore[method-assign]
    follower.catch_up()
    rows = [{"image_id": str(n), "view_id": "w", "terms": ["c", "d"]} for n in range(100)]
    [write] = list(inverted_index.index_annotations(rows))[1:]
    with engine.begin() as connection:
        statement = compile_write(write.statement, tuple(write.parameters), (), connection.dialect)
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        explain = b"EXPLAIN (ANALYZE, FORMAT JSON) " + statement.sql
        found = driver.execute(explain, statement.values(write.parameters)).fetchone()
    assert found is not None
    nodes = list(_nodes(found[0][0]["Plan"]))
    scans = [node for node in nodes if node.get("Relation Name") == "dataset_v4_marks"]
    read = sum(
        node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
        for node in scans
        if "Scan" in node["Node Type"]
    )
    assert 100 <= read <= 1000, "one entry an image, and not each entry for each image"


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)
