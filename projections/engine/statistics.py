"""The planner's statistics of read models that grow fast.

Autovacuum looks once a minute. Until then PostgreSQL plans for the tables as they were, and after
an import into empty ones reads them whole for each image.
"""

from collections import Counter

from sqlalchemy import Connection, Engine, text

from projections.engine.read_model import SCHEMA, ReadModel

FIRST, GROWTH = 300, 3
"""A read model is analysed again after so many times the rows that it had, and at least so many
events."""

_ROWS = text("""
    SELECT coalesce(max(reltuples), 0) FROM pg_class
    WHERE relnamespace = CAST(:schema AS regnamespace) AND relname = ANY(:tables)
""")


class Statistics:
    """Has the tables of read models analysed as they grow."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._schema = schema_of(engine)
        self._due: Counter[str] = Counter()
        """The number of events after which each is analysed, from now on."""

    def wrote(self, read_model: ReadModel, events: int) -> None:
        """Note that events were written to a read model."""
        name = read_model.name
        if name not in self._due:
            self._due[name] = self._next(read_model)
        self._due[name] -= events
        if self._due[name] <= 0:
            with self._engine.begin() as connection:
                analyze(connection, self._schema, read_model)
            self._due[name] = self._next(read_model)

    def _next(self, read_model: ReadModel) -> int:
        tables = [table.name for table in read_model.metadata.sorted_tables]
        with self._engine.begin() as connection:
            given = {"schema": self._schema, "tables": tables}
            rows = connection.execute(_ROWS, given).scalar_one()
        return max(FIRST, round(GROWTH * float(rows)))


def schema_of(engine: Engine) -> str:
    """Where read models are for an engine: the live ones, or those of a scratch schema."""
    translated = engine.get_execution_options().get("schema_translate_map") or {}
    return str(translated.get(SCHEMA, SCHEMA))


def analyze(connection: Connection, schema: str, read_model: ReadModel) -> None:
    """Update the statistics of all its tables."""
    for table in read_model.metadata.sorted_tables:
        connection.execute(text(f'ANALYZE {schema}."{table.name}"'))
