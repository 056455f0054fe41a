"""A read model that is filled in memory has the rows that the database makes of the same log."""

import pytest
from sqlalchemy import Engine, text

import projections.engine.build
import projections.engine.stored_rows
from projections.audit.timeline import TIMELINE
from projections.audit.trail import TRAIL
from projections.dataset.agreement import AGREEMENT
from projections.dataset.dataset import DATASET
from projections.dataset.snapshots import SNAPSHOTS
from projections.engine.build import Goal, fill
from projections.engine.expressions import NotUnderstood
from projections.engine.follow import Follower
from projections.engine.in_memory import Interpreter, TableRows
from projections.engine.read_model import ReadModel
from projections.engine.rebuild import Replayed, rebuild_within, replay_within
from projections.engine.scratch import create_beside, scratch, within
from projections.registry import READ_MODELS
from projections.training.models_library import MODELS_LIBRARY
from tests.projections.golden_log import add_every_event
from tests.projections.made_log import MadeLog
from tests.projections.random_history import random_history

LOG: MadeLog = random_history(4, 150)
add_every_event(LOG)


def replay(engine: Engine, to: int | None = None) -> list[Replayed]:
    with scratch(engine) as schema:
        create_beside(engine, schema, READ_MODELS)
        return replay_within(engine, LOG, READ_MODELS, schema, to=to)


def indexes(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        query = text("SELECT indexname FROM pg_indexes WHERE schemaname = 'read'")
        return set(connection.scalars(query))


def left_memory(engine: Engine, read_model: ReadModel) -> bool:
    """Whether a read model has a write that is not understood."""
    rows = {table: TableRows(table, lambda *_: {}) for table in read_model.metadata.sorted_tables}
    interpreter = Interpreter(engine.dialect, rows.__getitem__)
    try:
        for recorded in LOG.events:
            for write in read_model.project([recorded]):
                interpreter.run(write)
    except NotUnderstood:
        return True
    return False


def test_all_tables_are_those_that_the_database_makes(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    LOG.follow(engine)
    assert {one.read_model: one.differences for one in replay(engine)} == {
        one.name: [] for one in READ_MODELS
    }
    # Again with hardly any memory, so that rows are stored, and read where they change.
    monkeypatch.setattr(projections.engine.build, "PAGE", 7)
    monkeypatch.setattr(projections.engine.build, "FIRST_PAGE", 7)
    monkeypatch.setattr(projections.engine.stored_rows, "MOST_ROWS", 3)
    monkeypatch.setattr(projections.engine.stored_rows, "MOST_JOINED", 2)
    assert {one.read_model: one.differences for one in replay(engine)} == {
        one.name: [] for one in READ_MODELS
    }


def test_the_writes_of_most_read_models_are_understood(engine: Engine) -> None:
    left = {one.name for one in READ_MODELS if left_memory(engine, one)}
    assert left == {one.name for one in (DATASET, TRAIL, TIMELINE, AGREEMENT, SNAPSHOTS)}


def test_read_models_are_filled_each_to_its_own_position(engine: Engine) -> None:
    LOG.follow(engine, [DATASET, TRAIL])
    Follower(engine, LOG, [MODELS_LIBRARY]).catch_up(upto=60)
    behind = [one for one in replay(engine) if one.read_model == MODELS_LIBRARY.name]
    assert [(one.position, one.differences) for one in behind] == [(60, [])]


def test_a_read_model_that_is_built_has_all_indexes(engine: Engine) -> None:
    before = indexes(engine)
    with scratch(engine) as schema:
        create_beside(engine, schema, READ_MODELS)
        assert rebuild_within(engine, LOG, READ_MODELS, schema) == [LOG.head()] * len(READ_MODELS)
    assert indexes(engine) == before


def test_a_failing_read_model_is_named(engine: Engine) -> None:
    def project(_: object) -> list[object]:
        raise RuntimeError("broken")

    broken = ReadModel(DATASET.name, DATASET.metadata, project)  # type: ignore[arg-type]
    with scratch(engine) as schema:
        create_beside(engine, schema, [broken])
        with pytest.raises(RuntimeError) as failed:
            fill(within(engine, schema), LOG, [Goal(broken, LOG.head())])
    assert failed.value.__notes__ == [f"in read model {DATASET.name}"]
