"""A single read model, rebuilt or replayed in a scratch schema of its own."""

from sqlalchemy import Engine

from projections.engine.compare import Difference
from projections.engine.follow import EventSource
from projections.engine.read_model import ReadModel
from projections.engine.rebuild import rebuild_within, replay_within
from projections.engine.scratch import create_beside, scratch


def rebuild(engine: Engine, source: EventSource, read_model: ReadModel) -> int:
    """Replace a read model by one built from the whole log; return its position."""
    with scratch(engine) as schema:
        create_beside(engine, schema, [read_model])
        [position] = rebuild_within(engine, source, [read_model], schema)
        return position


def compare(engine: Engine, source: EventSource, read_model: ReadModel) -> list[Difference]:
    """The tables of a read model that are not what a replay up to its position makes of them."""
    with scratch(engine) as schema:
        create_beside(engine, schema, [read_model])
        [replayed] = replay_within(engine, source, [read_model], schema)
        return replayed.differences or []
