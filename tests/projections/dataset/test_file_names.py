"""Images are found by their names by an index, which a release may add to tables that are there."""

from sqlalchemy import Connection, Engine, inspect, text

from projections.dataset.dataset import DATASET
from projections.dataset.index_scans import ImageFilter
from projections.dataset.queries import list_images, page_of_images
from projections.engine.follow import create_tables

IMAGES = 100_000
NAME = "dataset_v4_images_by_file_name"
FILL = """
    INSERT INTO read.dataset_v4_images
    SELECT 'i' || n, 'p', md5(n::text), 8, 8, n || '.png', '{}', 'train', n, n, NULL, 1, 'a',
        now(), n
    FROM generate_series(1, :images) n
"""


def plan_of(connection: Connection, filters: ImageFilter, **page: int | None) -> str:
    given = {"after": None, "newest": False, "limit": 500, "as_of": None} | page
    query, values = page_of_images("p", filters, **given)  # type: ignore[arg-type]
    compiled = query.compile(connection, compile_kwargs={"render_postcompile": True})
    lines = connection.exec_driver_sql(f"EXPLAIN {compiled}", {**compiled.params, **values})
    return "\n".join(line for (line,) in lines)


def test_names_are_looked_up_among_very_many_images(engine: Engine) -> None:
    with engine.begin() as connection:
        create_tables(connection, DATASET)
        connection.execute(text(FILL), {"images": IMAGES})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE read.dataset_v4_images"))
        names = tuple(f"{number}.png" for number in (7, 70_000, 99_999))
        for asked in (names, names[:1], tuple(f"{number}.png" for number in range(500))):
            for page in ({}, {"as_of": IMAGES}, {"after": 50_000}):
                plan = plan_of(connection, ImageFilter(file_names=asked), **page)
                assert NAME in plan, plan
                assert "Seq Scan" not in plan.replace("Seq Scan on dataset_v4_revisions", ""), plan
        found = list_images(connection, "p", ImageFilter(file_names=names), limit=2)
        assert [row.file_name for row in found] == ["7.png", "70000.png"]
        rest = list_images(
            connection, "p", ImageFilter(file_names=names), after=found[-1].added_position, limit=2
        )
        assert [row.file_name for row in rest] == ["99999.png"]
        assert list_images(connection, "q", ImageFilter(file_names=names)) == []


def test_the_index_is_made_where_the_tables_are_there(engine: Engine) -> None:
    with engine.begin() as connection:
        create_tables(connection, DATASET)
        connection.execute(text(f"DROP INDEX read.{NAME}"))
        for _ in range(2):
            create_tables(connection, DATASET)
            indexes = inspect(connection).get_indexes("dataset_v4_images", schema="read")
            assert NAME in [index["name"] for index in indexes]
