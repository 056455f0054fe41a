"""Filling the read models of a scratch schema from the log: only events they read, in large
pages."""

from sqlalchemy import Engine, text

from domain.event import registry
from projections.engine.folding import fold
from projections.engine.follow import EventSource, position_of, write_page
from projections.engine.read_model import ReadModel
from projections.engine.statistics import analyze, schema_of

PAGE, FIRST_PAGE = 5000, 500


def advance(beside: Engine, source: EventSource, read_model: ReadModel, upto: int) -> None:
    """Project a read model that no other process moves, up to a position."""
    skipped = [name for name in registry() if not name.startswith(read_model.names)]
    with beside.connect() as connection:
        after = position_of(connection, read_model.name)
    written, planned_for = 0, 1
    while after < upto:
        limit = PAGE if written else FIRST_PAGE
        page = source.read(after, limit=limit, upto=upto, skip=skipped)
        reached = page[-1].position if len(page) == limit else upto
        with beside.begin() as connection:
            # A cached plan was made for smaller tables.
            connection.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
            writes = fold(read_model.project(page))
            write_page(connection, [read_model.name], after, reached, writes)
        after = reached
        written += len(page)
        if written >= 4 * planned_for:
            with beside.begin() as connection:
                analyze(connection, schema_of(beside), read_model)
            planned_for = written
