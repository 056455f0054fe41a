"""What rows have been: a row that changes is first kept, with the positions it held between.

A live table has one row a thing, as queries of now want it, and says since when each holds. What
can change of a row is kept in a table beside it, from the position `valid_from` until before
`valid_to`. So the table as of any position is a query: each row of now, as it then was.
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
"""The parameter of every change: the position of the event that makes it."""

_AS_OF = bindparam("as_of", type_=BigInteger)


def holds_from() -> Column[int]:
    """The column of a live table that says since when its rows hold."""
    return Column("valid_from", BigInteger, nullable=False)


class History:
    """A live table, from which no row goes, and what those of its columns that change have held.

    `born` names the column, if there is one, with the position at which a row came to be.
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
        """An update of live rows that keeps what they were."""
        assert self._changing.issuperset(values)
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
        still = live.c.valid_from <= _AS_OF
        # What a row held follows without a gap, so the first that ended later is the one. To look
        # it up row by row is never the wrong plan, however many there are.
        once = (
            select(past)
            .where(
                ~still,
                *(one == past.c[one.name] for one in live.primary_key),
                past.c.valid_to > _AS_OF,
            )
            .order_by(past.c.valid_to)
            .limit(1)
            .lateral()
        )
        found = (
            select(
                *(
                    case((still, one), else_=once.c[one.name]).label(one.name)
                    if one.name in self._changing
                    else one
                    for one in live.c
                    if one.name != "valid_from"
                )
            )
            .select_from(live.outerjoin(once, true()))
            .where(or_(still, once.c.valid_from <= _AS_OF))
        )
        if self._born is not None:
            found = found.where(live.c[self._born] <= _AS_OF)
        return found.subquery()


def ask(connection: Connection, query: Select[Any], as_of: int | None) -> CursorResult[Any]:
    """Run a query of what `History.at` gave for the same position."""
    return connection.execute(query, {"as_of": as_of})


def _copy(column: Column[Any]) -> Column[Any]:
    return Column(column.name, column.type, nullable=column.nullable)
