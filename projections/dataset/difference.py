"""The difference of a project's dataset between two positions of the log."""

from typing import Any, Literal

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Subquery,
    Table,
    Text,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from domain.dataset.image import Box
from projections.dataset.dataset import annotations, images

Change = Literal["added", "removed", "relabelled", "moved"]


class PastAnnotation(msgspec.Struct, frozen=True):
    """An annotation in a view; without a concept, the image was annotated as holding none."""

    view_id: str
    concept_id: str | None
    box: Box | None = None


class ImageDifference(msgspec.Struct, frozen=True):
    """An image that differs: its splits before and after, None where it was not in the project.

    With `relabelled`, other annotations are after than before. `place` orders the images.
    """

    image_id: str
    file_name: str
    place: int
    split_before: str | None
    split_after: str | None
    relabelled: bool
    before: list[PastAnnotation]
    after: list[PastAnnotation]


class DifferenceCounts(msgspec.Struct, frozen=True):
    """The numbers of images; one that has moved and is relabelled counts as both."""

    added: int
    removed: int
    relabelled: int
    moved: int


def count_differences(
    connection: Connection, project_id: str, first: int, second: int, view_id: str | None = None
) -> DifferenceCounts:
    """How many images differ between two positions; labels of one view only if it is given."""
    rows = _differences(project_id, first, second, view_id)
    changes = DifferenceCounts.__struct_fields__
    counted = [func.count().filter(_is(rows, change)) for change in changes]
    found = connection.execute(select(*counted).select_from(rows)).one()
    return DifferenceCounts(**dict(zip(changes, found, strict=True)))


def list_differences(
    connection: Connection,
    project_id: str,
    first: int,
    second: int,
    *,
    change: Change | None = None,
    view_id: str | None = None,
    after: int | None = None,
    limit: int = 50,
) -> list[ImageDifference]:
    """The images that differ, in the order of their addition; `after` is the last one's `place`."""
    rows = _differences(project_id, first, second, view_id)
    wanted = [change] if change else list(DifferenceCounts.__struct_fields__)
    query = select(rows).where(or_(*(_is(rows, each) for each in wanted)))
    if after is not None:
        query = query.where(rows.c.place > after)
    found = connection.execute(query.order_by(rows.c.place).limit(limit)).all()
    ids = [row.image_id for row in found]
    earlier = _annotations(connection, ids, first, view_id)
    later = _annotations(connection, ids, second, view_id)
    return [
        ImageDifference(
            **row._mapping,
            before=earlier.get(row.image_id, []),
            after=later.get(row.image_id, []),
        )
        for row in found
    ]


def _is(rows: FromClause, change: str) -> ColumnElement[bool]:
    before, after = rows.c.split_before, rows.c.split_after
    both = and_(before.is_not(None), after.is_not(None))
    conditions: dict[str, ColumnElement[bool]] = {
        "added": before.is_(None),
        "removed": after.is_(None),
        "moved": and_(both, before != after),
        "relabelled": rows.c.relabelled,
    }
    return conditions[change]


def _differences(project_id: str, first: int, second: int, view_id: str | None) -> Subquery:
    """All images of either position, with what they were at both."""

    def at(position: int) -> Subquery:
        return (
            select(images.c.image_id, images.c.split, images.c.file_name, images.c.added_position)
            .where(images.c.project_id == project_id, _valid(images, position))
            .subquery()
        )

    before, after = at(first), at(second)
    each = (
        select(
            func.coalesce(after.c.image_id, before.c.image_id).label("image_id"),
            func.coalesce(after.c.file_name, before.c.file_name).label("file_name"),
            func.coalesce(after.c.added_position, before.c.added_position).label("place"),
            before.c.split.label("split_before"),
            after.c.split.label("split_after"),
        )
        .select_from(before.join(after, before.c.image_id == after.c.image_id, full=True))
        .subquery()
    )
    of_image = [annotations.c.image_id == each.c.image_id, *_of_view(view_id)]
    low, high = sorted((first, second))
    touched = exists().where(
        *of_image,
        or_(
            annotations.c.valid_from.between(low + 1, high),
            annotations.c.valid_to.between(low + 1, high),
        ),
    )

    def annotation_at(position: int) -> ColumnElement[Any]:
        """The annotations as texts, in an order; NULL without any."""
        sides = (cast(annotations.c[side], Text) for side in Box.__struct_fields__)
        one = func.concat_ws(" ", annotations.c.view_id, annotations.c.concept_id, *sides)
        listed = func.array_agg(aggregate_order_by(one, one))
        return select(listed).where(*of_image, _valid(annotations, position)).scalar_subquery()

    relabelled = case(
        (
            and_(each.c.split_before.is_not(None), each.c.split_after.is_not(None), touched),
            annotation_at(first).is_distinct_from(annotation_at(second)),
        ),
        else_=false(),
    )
    return select(*each.c, relabelled.label("relabelled")).subquery()


def _annotations(
    connection: Connection, image_ids: list[str], position: int, view_id: str | None
) -> dict[str, list[PastAnnotation]]:
    query = (
        select(annotations)
        .where(
            annotations.c.image_id.in_(image_ids),
            *_of_view(view_id),
            _valid(annotations, position),
        )
        .order_by(annotations.c.view_id, annotations.c.concept_id, annotations.c.x)
    )
    by_image: dict[str, list[PastAnnotation]] = {}
    for row in connection.execute(query):
        box = None if row.x is None else Box(row.x, row.y, row.width, row.height)
        annotation = PastAnnotation(row.view_id, row.concept_id, box)
        by_image.setdefault(row.image_id, []).append(annotation)
    return by_image


def _of_view(view_id: str | None) -> list[ColumnElement[bool]]:
    return [] if view_id is None else [annotations.c.view_id == view_id]


def _valid(table: Table, position: int) -> ColumnElement[bool]:
    still = or_(table.c.valid_to.is_(None), table.c.valid_to > position)
    return and_(table.c.valid_from <= position, still)
