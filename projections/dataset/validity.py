"""Validity of rows: which ones held at a position of the log."""

from sqlalchemy import ColumnElement, FromClause, and_, or_


def valid(table: FromClause, as_of: int | None) -> ColumnElement[bool]:
    """Whether a row is current, or was valid as of a past position."""
    if as_of is None:
        return table.c.valid_to.is_(None)
    return and_(
        table.c.valid_from <= as_of, or_(table.c.valid_to.is_(None), table.c.valid_to > as_of)
    )
