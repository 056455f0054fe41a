"""Writes that are folded leave the rows that they would leave one by one."""

import random

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    MetaData,
    Table,
    Text,
    bindparam,
    func,
    insert,
    select,
    update,
)

from domain.event import Event
from domain.training.version import (
    BatchMetricsRecorded,
    EpochMetricsRecorded,
    TrainingLengthKnown,
    TrainingStepAdvanced,
    VersionRenamed,
    VersionRetried,
    VersionStopRequested,
    VersionTrainingCancelled,
    VersionTrainingCompleted,
    VersionTrainingFailed,
)
from projections.engine.folding import fold
from projections.engine.read_model import SCHEMA, Write
from projections.engine.writes import execute_after
from projections.training.models_library import MODELS_LIBRARY
from projections.training.version_progress import VERSION_PROGRESS
from tests.domain.training.version_samples import CREATED, started
from tests.projections.engine.rebuilding import compare
from tests.projections.made_log import MadeLog

rows = Table(
    "rows",
    MetaData(schema=SCHEMA),
    Column("place", BigInteger, primary_key=True),
    Column("name", Text),
    Column("first", BigInteger),
    Column("last", BigInteger),
)
key = rows.c.place == bindparam("key")
add = insert(rows)
rename = update(rows).where(key).values(name=bindparam("to"))
note = (
    update(rows)
    .where(key)
    .values(
        first=func.coalesce(rows.c.first, bindparam("now")),
        last=func.coalesce(bindparam("now"), rows.c.last),
    )
)
count = update(rows).where(key).values(last=rows.c.last + 1)
forget = rows.delete().where(key)


def test_what_changes_one_row_becomes_one_write() -> None:
    writes = [Write(add, {"place": 1, "name": "a", "first": None, "last": None})]
    writes += [Write(rename, {"key": 1, "to": str(number)}) for number in range(100)]
    writes += [Write(note, {"key": 1, "now": number}) for number in range(100)]
    writes += [Write(rename, {"key": 2, "to": str(number)}) for number in range(100)]
    inserted, changed = fold(writes)
    assert inserted == Write(add, {"place": 1, "name": "99", "first": 0, "last": 99})
    assert changed.parameters == {"key_place": 2, "to_name": "99"}


@pytest.mark.parametrize("seed", range(8))
def test_folded_or_not_the_rows_are_the_same(engine: Engine, seed: int) -> None:
    """Of statements in any order, also of rows that are not there, and of forms not understood."""
    choose = random.Random(seed)
    there: set[int] = set()
    writes = []
    for step in range(300):
        place = choose.randrange(4)
        if place not in there:
            there.add(place)
            if choose.random() < 0.5:
                writes.append(Write(rename, {"key": place, "to": "none"}))
            none = choose.choice([None, step])
            row = {"place": place, "name": "new", "first": none, "last": none}
            writes.append(Write(add, row))
        elif choose.random() < 0.05:
            there.remove(place)
            writes.append(Write(forget, {"key": place}))
        elif choose.random() < 0.1:
            writes.append(Write(count, {"key": place}))
        elif choose.random() < 0.5:
            writes.append(Write(note, {"key": place, "now": choose.choice([None, step])}))
        else:
            writes.append(Write(rename, {"key": place, "to": str(step)}))
    found = []
    with engine.connect() as connection:
        rows.create(connection)
        for way in (writes, fold(writes)):
            connection.execute(rows.delete())
            first, *others = way
            execute_after(connection, first, others)
            found.append(connection.execute(select(rows).order_by(rows.c.place)).all())
    assert found[0] == found[1] != []


def _anything(choose: random.Random, number: int) -> Event:
    step = choose.choice(["preparing", "training", "evaluating", "saving"])
    status = choose.choice(["running", "done", "failed"])
    return choose.choice(
        [
            started(),
            TrainingStepAdvanced(step, status, choose.random()),
            TrainingLengthKnown(10, 100),
            BatchMetricsRecorded(number, (0.1,), (1.0,)),
            EpochMetricsRecorded(number, number, 0.5, 0.9, None),
            VersionStopRequested(),
            VersionTrainingCompleted("ab", "cd", number),
            VersionTrainingFailed(f"for reason {number}"),
            VersionTrainingCancelled(),
            VersionRetried(number),
            VersionRenamed(f"name {number}"),
        ]
    )


@pytest.mark.parametrize("seed", range(4))
def test_versions_with_any_history_are_replayed_as_they_were_followed(
    engine: Engine, seed: int
) -> None:
    choose = random.Random(seed)
    log = MadeLog()
    for name in "xyz":
        log.add(f"version-{name}", CREATED)
    for number in range(200):
        log.add(f"version-{choose.choice('xyz')}", _anything(choose, number))
    both = [VERSION_PROGRESS, MODELS_LIBRARY]
    log.follow(engine, both)
    assert [compare(engine, log, one) for one in both] == [[], []]
