"""History of rows: before a row changes, its old values are saved with their validity.

A live table has the current row of each thing, valid since the position `valid_from`. A table
beside it has the former values of the columns that can change, valid from `valid_from` until before
`valid_to`. So a query can return the table as of any position.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    CursorResult,
    FromClause,
    Index,
    Insert,
    Select,
    Table,
    Update,
    bindparam,
    case,
    insert,
    or_,
    select,
    true,
    update,
)

SINCE = bindparam("since", type_=BigInteger)
"""The parameter of every change: the position of its event."""

_AS_OF = bindparam("as_of", type_=BigInteger)


def valid_from_column() -> Column[int]:
    """The column of a live table with the position since which a row is valid."""
    return Column("valid_from", BigInteger, nullable=False)


class History:
    """A live table, whose rows are never deleted, and the former values of its changing columns.

    `born` is the column, if there is one, with the position at which a row was created.
    """

    def __init__(self, live: Table, *changing: str, born: str | None = None) -> None:
        self.live = live
        self._born = born
        self._changing = frozenset(changing)
        self._kept = [*live.primary_key.c.keys(), *changing, "valid_from"]
        self.past = Table(
            f"{live.name}_past",
            live.metadata,
            *(_copy(live.c[name]) for name in self._kept),
            Column("valid_to", BigInteger, nullable=False),
            Index(f"{live.name}_past_by_key", *live.primary_key.c.keys(), "valid_to"),
        )
        self._then = self._at_a_position()

    def change(self, which: ColumnElement[bool], **values: Any) -> Update:
        """An update of live rows that saves their former values."""
        assert self._changing.issuperset(values)
        statement = update(self.live).where(which).values(valid_from=SINCE, **values)
        return statement.add_cte(self.keep(which).cte("kept"))

    def keep(self, which: ColumnElement[bool]) -> Insert:
        """Save rows before a change. A row that one event changes twice is saved once."""
        before = select(*(self.live.c[name] for name in self._kept), SINCE).where(
            which, self.live.c.valid_from < SINCE
        )
        return insert(self.past).from_select([*self._kept, "valid_to"], before)

    def at(self, as_of: int | None) -> FromClause:
        """The current rows, or those as of a position. Run a query on them with `execute_at`."""
        return self.live if as_of is None else self._then

    def _at_a_position(self) -> FromClause:
        live, past = self.live, self.past
        current = live.c.valid_from <= _AS_OF
        # The former values of a row have no gaps, so the first ones that ended later were valid.
        # A lookup row by row is never a bad plan, however many there are.
        former = (
            select(past)
            .where(
                ~current,
                *(column == past.c[column.name] for column in live.primary_key),
                past.c.valid_to > _AS_OF,
            )
            .order_by(past.c.valid_to)
            .limit(1)
            .lateral()
        )
        query = (
            select(
                *(
                    case((current, column), else_=former.c[column.name]).label(column.name)
                    if column.name in self._changing
                    else column
                    for column in live.c
                    if column.name != "valid_from"
                )
            )
            .select_from(live.outerjoin(former, true()))
            .where(or_(current, former.c.valid_from <= _AS_OF))
        )
        if self._born is not None:
            query = query.where(live.c[self._born] <= _AS_OF)
        return query.subquery()


def execute_at(connection: Connection, query: Select[Any], as_of: int | None) -> CursorResult[Any]:
    """Run a query on the result of `History.at` for the same position."""
    return connection.execute(query, {"as_of": as_of})


def _copy(column: Column[Any]) -> Column[Any]:
    return Column(column.name, column.type, nullable=column.nullable)
