"""Filling read models of a scratch schema from the log: only what they read, in large pages."""

from sqlalchemy import Engine

from domain.event import registry
from projections.follow import EventSource, position_of, write_page
from projections.read_model import ReadModel

PAGE = 5000


def advance(beside: Engine, source: EventSource, read_model: ReadModel, upto: int) -> None:
    """Bring a read model that nobody else moves to a position, from where it is."""
    skipped = [name for name in registry() if not name.startswith(read_model.names)]
    with beside.connect() as connection:
        after = position_of(connection, read_model.name)
    while after < upto:
        page = source.read(after, limit=PAGE, upto=upto, skip=skipped)
        reached = page[-1].position if len(page) == PAGE else upto
        with beside.begin() as connection:
            write_page(connection, read_model, after, page, reached)
        after = reached
