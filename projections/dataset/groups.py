"""Queries of groups: a project's images by the value of a metadata key, and their splits."""

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Subquery, and_, func, or_, select

from domain.dataset.image import SPLITS
from projections.dataset.dataset import images

BYTEWISE = "C"


class GroupRow(msgspec.Struct, frozen=True):
    """A group by its value, and its number of images in each split; torn if these are several."""

    value: str
    train: int
    validation: int
    test: int


class GroupCounts(msgspec.Struct, frozen=True):
    """The number of groups, of those that splits tear, of the images of the largest group, and of
    the images that are each a group of their own."""

    groups: int
    torn: int
    largest: int
    ungrouped: int


def list_groups(
    connection: Connection,
    project_id: str,
    key: str,
    *,
    torn: bool = False,
    after: str | None = None,
    limit: int = 50,
    as_of: int | None = None,
) -> list[GroupRow]:
    """Groups in the order of their values, behind one of them; only torn ones on request."""
    groups = _groups(project_id, key, as_of)
    query = select(groups).order_by(groups.c.value.collate(BYTEWISE)).limit(limit)
    if torn:
        query = query.where(_is_torn(groups))
    if after is not None:
        query = query.where(groups.c.value.collate(BYTEWISE) > after)
    return [GroupRow(**row._mapping) for row in connection.execute(query)]


def count_groups(
    connection: Connection, project_id: str, key: str, *, as_of: int | None = None
) -> GroupCounts:
    groups = _groups(project_id, key, as_of)
    size = sum((groups.c[split] for split in SPLITS[1:]), groups.c[SPLITS[0]])
    counted = select(
        func.count(),
        func.count().filter(_is_torn(groups)),
        func.coalesce(func.max(size), 0),
        func.coalesce(func.sum(size), 0),
    ).select_from(groups)
    number, torn, largest, grouped = connection.execute(counted).one()
    present = select(func.count()).where(images.c.project_id == project_id, _valid(as_of))
    return GroupCounts(
        number, torn, largest, connection.execute(present).scalar_one() - int(grouped)
    )


def group_members(connection: Connection, project_id: str, key: str, value: str) -> list[str]:
    """The ids of the images that are in a group now."""
    query = select(images.c.image_id).where(
        images.c.project_id == project_id,
        images.c.metadata[key].astext == value,
        images.c.valid_to.is_(None),
    )
    return list(connection.execute(query).scalars())


def _groups(project_id: str, key: str, as_of: int | None) -> Subquery:
    value = images.c.metadata[key].astext
    return (
        select(
            value.label("value"),
            *(func.count().filter(images.c.split == split).label(split) for split in SPLITS),
        )
        .where(images.c.project_id == project_id, value != "", _valid(as_of))
        .group_by(value)
        .subquery()
    )


def _is_torn(groups: Subquery) -> ColumnElement[bool]:
    in_split = {split: groups.c[split] > 0 for split in SPLITS}
    train, validation, test = (in_split[split] for split in SPLITS)
    return or_(and_(train, validation), and_(train, test), and_(validation, test))


def _valid(as_of: int | None) -> ColumnElement[Any]:
    if as_of is None:
        return images.c.valid_to.is_(None)
    return and_(
        images.c.valid_from <= as_of, or_(images.c.valid_to.is_(None), images.c.valid_to > as_of)
    )
