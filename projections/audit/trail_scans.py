"""How the trail's index is walked: the positions of events that match, newest or oldest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, FromClause, and_, func, select

from domain.audit.places import ACTOR, EVENT, MODEL, PROJECT, VERSION, VIEW
from projections.audit.trail import BLOCK, EVERYTHING, blocks

TERMS = (ACTOR, EVENT, PROJECT, VIEW, MODEL, VERSION)
WALKED = 64
"""Blocks that a step of a walk takes."""


class TrailFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events to find; what is None does not restrict. `until` itself is left out."""

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
    connection: Connection, wanted: TrailFilter, after: int, before: int, *, newest: bool
) -> tuple[list[int], bool]:
    """Positions between two, both left out, that may match, in order; and whether that is all.

    It takes a step of a walk: go on from the last position until all are found. The times of
    events at the edges of the range asked for are still to be looked at.
    """
    first, *others = [blocks.alias() for _ in wanted.terms or [EVERYTHING]]
    terms = wanted.terms or [EVERYTHING]
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
    if wanted.since is not None:
        condition &= first.c.last_at >= wanted.since
    if wanted.until is not None:
        condition &= first.c.first_at < wanted.until
    if others:
        condition &= func.bit_count(members) > 0
    order = first.c.block.desc() if newest else first.c.block
    query = (
        select(first.c.block, members.label("members"))
        .select_from(source)
        .where(condition)
        .order_by(order)
        .limit(WALKED)
    )
    rows = connection.execute(query).all()
    step = -1 if newest else 1
    found = [
        position
        for row in rows
        for position in _positions(row.block, row.members)[::step]
        if after < position < before
    ]
    return found, len(rows) < WALKED


def matching(connection: Connection, wanted: TrailFilter, positions: Sequence[int]) -> set[int]:
    """Those of some positions that all terms hold for."""
    left = set(positions)
    touched = {position // BLOCK for position in positions}
    for term in wanted.terms:
        query = select(blocks.c.block, blocks.c.members).where(
            blocks.c.term == term, blocks.c.block.in_(touched)
        )
        held = {
            position
            for row in connection.execute(query)
            for position in _positions(row.block, row.members)
        }
        left &= held
    return left


def is_known(connection: Connection, kind: str, value: str) -> bool:
    """Whether any event is of this project, view, and so on."""
    query = select(blocks.c.block).where(blocks.c.term == f"{kind}:{value}").limit(1)
    return connection.execute(query).first() is not None


def _positions(block: int, members: str) -> list[int]:
    start = block * BLOCK
    return [start + place for place, bit in enumerate(members) if bit == "1"]
