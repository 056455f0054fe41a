"""Read models that fail: how each fails, and when it is tried again."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import ColumnElement, Connection, Float, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from projections.engine.read_model import ReadModel, failures

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds until a read model that failed is tried again; twice as many after each failure."""


class Failing(msgspec.Struct, frozen=True):
    """How often a read model has failed in a row, for how many seconds, and with what error last.

    `error` may name what only operators should see.
    """

    read_model: str
    failures: int
    seconds: float
    failed_ago: float
    error: str


def pause_after(count: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(FIRST_PAUSE * 2.0 ** min(count - 1, 30), LONGEST_PAUSE)


def record_failure(connection: Connection, name: str, error: str) -> int:
    """Count a failure; return how many there were in a row."""
    first = insert(failures).values(
        read_model=name, failures=1, since=func.now(), failed_at=func.now(), error=error
    )
    again = first.on_conflict_do_update(
        index_elements=["read_model"],
        set_={
            "failures": failures.c.failures + 1,
            "failed_at": first.excluded.failed_at,
            "error": first.excluded.error,
        },
    )
    return int(connection.execute(again.returning(failures.c.failures)).scalar_one())


def record_recovery(connection: Connection, name: str) -> None:
    connection.execute(delete(failures).where(failures.c.read_model == name))


def failing_among(connection: Connection, read_models: Sequence[ReadModel]) -> list[Failing]:
    """Those of the read models that fail; those of an older program are left out."""

    def seconds_since(column: str) -> ColumnElement[float]:
        return func.extract("epoch", func.now() - failures.c[column]).cast(Float)

    query = select(
        failures.c.read_model,
        failures.c.failures,
        seconds_since("since"),
        seconds_since("failed_at"),
        failures.c.error,
    ).where(failures.c.read_model.in_([model.name for model in read_models]))
    return [Failing(*row) for row in connection.execute(query.order_by(failures.c.read_model))]
