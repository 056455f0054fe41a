"""The query of a page of the image grid, among a million images, against OFFSET."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import psycopg
from sqlalchemy import Connection, Engine, select

from benchmarks.calls import milliseconds_each, quantiles
from benchmarks.database import checkpoint, migrated_postgres, opened
from benchmarks.measurements import Expected, Measurement
from benchmarks.processes import data_folder
from benchmarks.quiet import repeat
from benchmarks.sizes import size
from projections.dataset import dataset, inverted_index
from projections.dataset.index_scans import ImageFilter
from projections.dataset.inverted_index import ANNOTATED, BLOCK, PRESENT, SHARDS
from projections.dataset.queries import DatasetCounts, count_images, count_views, list_images

IMAGES, FULL_IMAGES, QUICK_IMAGES = 200_000, 1_000_000, 2000
PAGE = 60
CALLS, QUICK_CALLS = 200, 5
OFFSET_CALLS = 20
CONCEPTS, VALIDATES, LEFT = 10, 5, 1000
"""The number of concepts; one image of `VALIDATES` is held out; one of `LEFT` is not annotated."""
EVENTS_EACH = 3
PROJECT, VIEW = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
CHANGED_AT = datetime(2026, 1, 1, tzinfo=UTC)
FIRST, DEEP = "the first page", "a page nine tenths in"

Page = list[str]


def run(quick: bool) -> list[Measurement]:
    """Milliseconds of a call, one after the other on an open connection."""
    images = QUICK_IMAGES if quick else size(IMAGES, FULL_IMAGES)
    calls = QUICK_CALLS if quick else CALLS
    deep = images * 9 // 10
    before = (deep - 1) * EVENTS_EACH + 1
    with (
        data_folder() as folder,
        migrated_postgres(folder) as server,
        opened(server.app_url) as (_, engine),
    ):
        fill(server.admin_url, images)
        with engine.connect() as connection:
            _check(connection, images)
        ways: dict[str, Callable[[], Page]] = {
            FIRST: partial(_page, engine, ImageFilter(view_id=VIEW)),
            DEEP: partial(_page, engine, ImageFilter(view_id=VIEW), before),
            "the first of a split": partial(
                _page, engine, ImageFilter(view_id=VIEW, split="validation")
            ),
            "the first of a concept": partial(
                _page, engine, ImageFilter(view_id=VIEW, concept_id=concept(3))
            ),
            f"the first not annotated, 1 image of {LEFT:,}": partial(
                _page, engine, ImageFilter(view_id=VIEW, annotated=False)
            ),
        }
        skip = partial(_skip, engine, deep)
        assert ways[DEEP]() == skip(), "the pages differ"
        for way in ways.values():
            milliseconds_each(way, calls // 4)  # connections, compiled statements, caches

        def measure() -> tuple[dict[str, list[float]], list[float]]:
            ours = {what: milliseconds_each(way, calls) for what, way in ways.items()}
            return ours, milliseconds_each(skip, min(calls, OFFSET_CALLS))

        checkpoint(server.admin_url)
        done = repeat(1 if quick else 3, measure, spare=0 if quick else 2)
    return [
        measurement
        for what in ways
        for measurement in quantiles(
            f"{PAGE} of {images:,} images, {what}",
            [ours[what] for ours, _ in done.results],
            done.others,
            alternative="OFFSET" if what == DEEP else "",
            theirs=[skips for _, skips in done.results] if what == DEEP else (),
            expected={"p99": Expected(50)} if what == FIRST else None,
        )
    ]


def _page(engine: Engine, filters: ImageFilter, after: int | None = None) -> Page:
    with engine.connect() as connection:
        rows = list_images(connection, PROJECT, filters, after=after, limit=PAGE)
    return [row.image_id for row in rows]


def _skip(engine: Engine, offset: int) -> Page:
    """The images alone, without their annotations in the view."""
    images = dataset.images
    query = (
        select(images)
        .where(images.c.project_id == PROJECT, images.c.valid_to.is_(None))
        .order_by(images.c.added_position)
        .offset(offset)
        .limit(PAGE)
    )
    with engine.connect() as connection:
        return [row.image_id for row in connection.execute(query)]


def concept(number: int) -> str:
    return str(uuid.UUID(int=1000 + number))


def fill(admin_url: str, images: int) -> None:
    """Insert the rows of the events of an import, with SQL.

    Each image is added, assigned to its split and annotated, at consecutive positions.
    """
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("SET synchronous_commit = off")
        admin.execute(_MADE, {"images": images})
        parameters = {"project": PROJECT, "view": VIEW, "changed_at": CHANGED_AT}
        for table, select_rows in _ROWS.items():
            admin.execute(f"INSERT INTO {table} {select_rows}", parameters)
        for table in _ROWS:
            admin.execute(f"VACUUM (ANALYZE) {table}")


_MADE = f"""
    CREATE TEMPORARY TABLE made AS
    SELECT n,
           md5('image ' || n)::uuid::text AS image_id,
           encode(sha256(n::text::bytea), 'hex') AS blob,
           n / {CONCEPTS} %% {VALIDATES} = 0 AS held_out,
           n %% {LEFT} < {LEFT} - 1 AS annotated,
           lpad(to_hex(1000 + n %% {CONCEPTS}), 32, '0')::uuid::text AS concept_id,
           n * {EVENTS_EACH}::bigint + 1 AS added
    FROM generate_series(0, %(images)s - 1) AS n
"""

_ROWS = {
    # Images that are held out were in the training split before.
    dataset.images.fullname: """
        (image_id, project_id, blob, width, height, file_name, metadata, split, added_position,
         valid_from, valid_to, revision, changed_by, changed_at, changed_position)
        SELECT image_id, %(project)s, blob, 640, 480, 'image-' || n || '.png',
               '{"camera": "north"}', split, added, valid_from, valid_to,
               revision, 'user:ada', %(changed_at)s,
               CASE WHEN annotated AND valid_to IS NULL THEN added + 2 ELSE valid_from END
        FROM made CROSS JOIN LATERAL (
            SELECT 'train' AS split, added AS valid_from,
                   CASE WHEN held_out THEN added + 1 END AS valid_to,
                   CASE WHEN held_out THEN 1 ELSE 1 + annotated::int END AS revision
            UNION ALL SELECT 'validation', added + 1, NULL, 2 + annotated::int WHERE held_out
        ) AS row ORDER BY n
    """,
    dataset.revisions.fullname: """
        (image_id, revision, changed_by, changed_at, valid_from, valid_to)
        SELECT image_id, 1 + held_out::int, 'user:ada', %(changed_at)s,
               added + held_out::int, added + 2
        FROM made WHERE annotated ORDER BY n
    """,
    dataset.annotations.fullname: """
        (image_id, view_id, concept_id, without_concept, valid_from)
        SELECT image_id, %(view)s, concept_id, false, added + 2
        FROM made WHERE annotated ORDER BY n
    """,
    inverted_index.entries.fullname: f"""
        (image_id, scope, mark, split, block, added_position)
        SELECT image_id, scope, mark, CASE WHEN held_out THEN 'validation' ELSE 'train' END,
               CASE WHEN mark = concept_id THEN -1 - added %% {SHARDS} ELSE added / {BLOCK} END,
               added
        FROM made CROSS JOIN LATERAL (
            SELECT %(project)s AS scope, '{PRESENT}' AS mark
            UNION ALL SELECT %(view)s, '{ANNOTATED}' WHERE annotated
            UNION ALL SELECT %(view)s, concept_id WHERE annotated
        ) AS row ORDER BY n
    """,
    inverted_index.counts.fullname: f"""
        (scope, block, mark, split, images)
        SELECT scope, counted, mark, split, count(*)
        FROM {inverted_index.entries.fullname} CROSS JOIN LATERAL (
            SELECT block AS counted UNION SELECT -1 - added_position %% {SHARDS}
        ) AS places GROUP BY scope, counted, mark, split
    """,
}


def _check(connection: Connection, images: int) -> None:
    """Assert that the stored counts are those of such an import."""
    held_out, left = images // VALIDATES, images // LEFT
    counts = count_images(connection, PROJECT)
    assert counts == DatasetCounts(images, images - held_out, held_out)
    view = count_views(connection, PROJECT, [VIEW])[VIEW]
    assert view.unannotated.all == left
    assert sum(count.train + count.validation for count in view.concepts) == images - left
