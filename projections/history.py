"""What rows have been: a row that changes is first kept, with the positions it held between.

A live table has one row a thing, as queries of now want it, and says of each since when it holds.
Beside it lies a table of the past, whose rows hold from `valid_from` until before `valid_to`. So
the table as of any position is a query over both.
"""

from collections.abc import Collection
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
    and_,
    bindparam,
    insert,
    select,
    union_all,
    update,
)

SINCE = bindparam("since", type_=BigInteger)
"""The parameter of every change: the position of the event that makes it."""

AS_OF = bindparam("as_of", type_=BigInteger)


def holds_from() -> Column[int]:
    """The column of a live table that says since when its rows hold."""
    return Column("valid_from", BigInteger, nullable=False)


class History:
    """A live table and its past. Columns that are `constant` are kept in the live table alone.

    `indexes` are those of the past, by the names of their columns; each goes on with the positions
    between which its rows held, so that others are passed over without a look at them.
    """

    def __init__(
        self, live: Table, *indexes: tuple[str, ...], constant: Collection[str] = ()
    ) -> None:
        self.live = live
        self._kept = [one.name for one in live.c if one.name not in constant]
        self.past = Table(
            f"{live.name}_past",
            live.metadata,
            *(_copy(live.c[name]) for name in self._kept),
            Column("valid_to", BigInteger, nullable=False),
            *(
                Index(f"{live.name}_past_by_{columns[-1]}", *columns, "valid_from", "valid_to")
                for columns in (tuple(live.primary_key.c.keys()), *indexes)
            ),
        )
        self._then = self._at_a_position()

    def change(self, which: ColumnElement[bool], **values: Any) -> Update:
        """An update of live rows that keeps what they were."""
        changed = update(self.live).where(which).values(valid_from=SINCE, **values)
        return changed.add_cte(self.keep(which).cte("kept"))

    def keep(self, which: ColumnElement[bool]) -> Insert:
        """Keep rows that are about to change. One that the same event has changed is kept once."""
        before = select(*(self.live.c[name] for name in self._kept), SINCE).where(
            which, self.live.c.valid_from < SINCE
        )
        return insert(self.past).from_select([*self._kept, "valid_to"], before)

    def at(self, as_of: int | None) -> FromClause:
        """The rows of now, or those as of a position; a query of them is asked with `ask`."""
        return self.live if as_of is None else self._then

    def _at_a_position(self) -> FromClause:
        live, past = self.live, self.past
        still = select(*live.c).where(live.c.valid_from <= AS_OF)
        same = and_(*(one == past.c[one.name] for one in live.primary_key))
        once = select(
            *(
                past.c[one.name]
                if one.name in past.c
                else select(one).where(same).correlate(past).scalar_subquery().label(one.name)
                for one in live.c
            )
        ).where(past.c.valid_from <= AS_OF, past.c.valid_to > AS_OF)
        return union_all(still, once).subquery()


def ask(connection: Connection, query: Select[Any], as_of: int | None) -> CursorResult[Any]:
    """Run a query of what `History.at` gave for the same position."""
    return connection.execute(query, {"as_of": as_of})


def _copy(column: Column[Any]) -> Column[Any]:
    return Column(column.name, column.type, nullable=column.nullable)
