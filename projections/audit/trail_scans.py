"""Scans of the trail's index: the positions of matching events, newest or oldest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, FromClause, and_, func, select

from domain.audit.places import ACTOR, EVENT, MODEL, PROJECT, VERSION, VIEW
from projections.audit.trail import BLOCK, EVERYTHING, blocks

TERMS = (ACTOR, EVENT, PROJECT, VIEW, MODEL, VERSION)
SCAN_BLOCKS = 64
"""The number of blocks in a step of a scan."""


class TrailFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A filter of events; None does not restrict. `until` is exclusive."""

    actor: str | None = None
    event: str | None = None
    project: str | None = None
    view: str | None = None
    model: str | None = None
    version: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def terms(self) -> list[str]:
        values = ((kind, getattr(self, kind)) for kind in TERMS)
        return [f"{kind}:{value}" for kind, value in values if value is not None]

    def covers(self, at: datetime) -> bool:
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)


def scan(
    connection: Connection, filters: TrailFilter, after: int, before: int, *, newest: bool
) -> tuple[list[int], bool]:
    """A step of a scan: candidate positions between two, exclusive, in order; and whether the scan
    is complete.

    If it is not, the next step continues after the last position. The caller has to check the times
    of events at the edges of the filter's range.
    """
    first, *others = [blocks.alias() for _ in filters.terms or [EVERYTHING]]
    terms = filters.terms or [EVERYTHING]
    members: ColumnElement[Any] = first.c.members
    condition = and_(
        first.c.term == terms[0],
        first.c.block >= (after + 1) // BLOCK,
        first.c.block <= (before - 1) // BLOCK,
    )
    source: FromClause = first
    for other, term in zip(others, terms[1:], strict=True):
        source = source.join(other, and_(other.c.block == first.c.block, other.c.term == term))
        members = members.op("&")(other.c.members)
    if filters.since is not None:
        condition &= first.c.last_at >= filters.since
    if filters.until is not None:
        condition &= first.c.first_at < filters.until
    if others:
        condition &= func.bit_count(members) > 0
    order = first.c.block.desc() if newest else first.c.block
    query = (
        select(first.c.block, members.label("members"))
        .select_from(source)
        .where(condition)
        .order_by(order)
        .limit(SCAN_BLOCKS)
    )
    rows = connection.execute(query).all()
    step = -1 if newest else 1
    positions = [
        position
        for row in rows
        for position in _positions(row.block, row.members)[::step]
        if after < position < before
    ]
    return positions, len(rows) < SCAN_BLOCKS


def matching(connection: Connection, filters: TrailFilter, positions: Sequence[int]) -> set[int]:
    """Those of the positions that match all terms."""
    matches = set(positions)
    touched = {position // BLOCK for position in positions}
    for term in filters.terms:
        query = select(blocks.c.block, blocks.c.members).where(
            blocks.c.term == term, blocks.c.block.in_(touched)
        )
        matches &= {
            position
            for row in connection.execute(query)
            for position in _positions(row.block, row.members)
        }
    return matches


def is_known(connection: Connection, kind: str, value: str) -> bool:
    """Whether any event belongs to this project, view, and so on."""
    query = select(blocks.c.block).where(blocks.c.term == f"{kind}:{value}").limit(1)
    return connection.execute(query).first() is not None


def _positions(block: int, members: str) -> list[int]:
    start = block * BLOCK
    return [start + index for index, bit in enumerate(members) if bit == "1"]
