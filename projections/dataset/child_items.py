"""Items of child views: the images, or crops of them, that conditions on the views above choose.

Their queries look at all images of the project, and so take longer than those of other views.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    FromClause,
    Select,
    and_,
    case,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
)

from domain.dataset.items import Parent
from domain.library.view import DETECTION
from projections.dataset.catalog import VIEWS
from projections.dataset.dataset import annotations, images
from projections.dataset.validity import valid
from projections.engine.history import execute_at

_SIDES = ("x", "y", "width", "height")
ITEM, ANNOTATED = "item", "annotated"


def parents_of(
    connection: Connection, view_ids: Iterable[str], *, as_of: int | None = None
) -> dict[str, tuple[Parent, ...]]:
    """The views above each of these, the nearest first; none for views without a parent."""
    views = VIEWS.at(as_of)
    known: dict[str, Any] = {}
    missing = set(view_ids)
    found: dict[str, tuple[Parent, ...]] = dict.fromkeys(missing, ())
    while missing:
        query = select(views.c.view_id, views.c.kind, views.c.parent_id, views.c.conditions)
        rows = execute_at(connection, query.where(views.c.view_id.in_(missing)), as_of).all()
        known |= {row.view_id: row for row in rows}
        missing = {row.parent_id for row in rows if row.parent_id} - known.keys()
    for view_id in found:
        above, row = [], known.get(view_id)
        while row is not None and row.parent_id in known:
            parent = known[row.parent_id]
            conditions = tuple(tuple(group) for group in row.conditions)
            above.append(Parent(row.parent_id, parent.kind, conditions))
            row = parent
        found[view_id] = tuple(above)
    return found


def items(project_id: str, parents: Sequence[Parent], as_of: int | None) -> FromClause:
    """The items of a child view: `image_id`, `split`, and of a crop the sides of its box."""
    none = null().cast(Float)
    query: Select[Any] = select(
        images.c.image_id, images.c.split, *(none.label(side) for side in _SIDES)
    ).where(images.c.project_id == project_id, valid(images, as_of))
    boxed = False
    for parent in reversed(parents):
        level = query.subquery()
        own = annotations.alias()
        of_image = and_(
            own.c.image_id == level.c.image_id,
            own.c.view_id == parent.view_id,
            valid(own, as_of),
        )
        if parent.kind == DETECTION:
            chosen = {group[0] for group in parent.conditions if len(set(group)) == 1}
            query = (
                select(level.c.image_id, level.c.split, *(own.c[side] for side in _SIDES))
                .join_from(level, own, of_image)
                .where(own.c.concept_id.in_(chosen))
                .distinct()
            )
            boxed = True
            continue
        at = and_(of_image, _same_box(own, level)) if boxed else of_image
        query = select(level).where(
            or_(
                *(
                    and_(*(exists().where(at, own.c.concept_id == key) for key in group))
                    for group in parent.conditions
                )
            )
        )
    return query.subquery("items")


def _same_box(own: FromClause, of: FromClause) -> ColumnElement[bool]:
    return and_(*(own.c[side] == of.c[side] for side in _SIDES))


def is_annotated(
    view_id: str, of: FromClause, parents: Sequence[Parent], as_of: int | None
) -> ColumnElement[bool]:
    """Whether an item is annotated in the view: `domain.dataset.items.is_annotated` in SQL."""
    own, above = annotations.alias(), annotations.alias()
    in_view = and_(own.c.image_id == of.c.image_id, own.c.view_id == view_id, valid(own, as_of))
    kinds = [parent.kind for parent in parents]
    if DETECTION not in kinds:
        return exists().where(in_view)
    between = [parent.view_id for parent in parents[: kinds.index(DETECTION) + 1]]
    later = exists().where(
        above.c.image_id == own.c.image_id,
        above.c.view_id.in_(between),
        valid(above, as_of),
        above.c.valid_from > own.c.valid_from,
    )
    listed = exists().where(in_view, own.c.concept_id.is_not(None), _same_box(own, of))
    return or_(listed, exists().where(in_view, own.c.without_concept, ~later))


def images_with(
    project_id: str,
    view_id: str,
    parents: Sequence[Parent],
    annotated: bool | None,
    as_of: int | None,
) -> ColumnElement[bool]:
    """Whether an image has an item in the view: any, one that is not annotated, or only such as
    are."""
    of = items(project_id, parents, as_of)
    any_item = images.c.image_id.in_(select(of.c.image_id))
    if annotated is None:
        return any_item
    undone = select(of.c.image_id).where(~is_annotated(view_id, of, parents, as_of))
    return (
        images.c.image_id.in_(undone)
        if not annotated
        else any_item & images.c.image_id.not_in(undone)
    )


def count_terms(
    connection: Connection,
    project_id: str,
    view_id: str,
    parents: Sequence[Parent],
    as_of: int | None,
) -> list[Any]:
    """Rows of term, split and number of items: of all items, of those annotated, and of those with
    each concept."""
    of = items(project_id, parents, as_of)
    own = annotations.alias()
    boxed = any(parent.kind == DETECTION for parent in parents)
    in_view = and_(
        own.c.image_id == of.c.image_id,
        own.c.view_id == view_id,
        valid(own, as_of),
        own.c.concept_id.is_not(None),
        *([_same_box(own, of)] if boxed else []),
    )
    annotated = case((is_annotated(view_id, of, parents, as_of), ANNOTATED), else_=ITEM)
    each = select(annotated.label("term"), of.c.split).subquery()
    of_items = select(each.c.term, each.c.split, func.count()).group_by(each.c.term, each.c.split)
    key = func.concat(of.c.image_id, literal("/"), *(of.c[side] for side in _SIDES))
    of_concepts = (
        select(own.c.concept_id, of.c.split, func.count(key.distinct()))
        .join_from(of, own, in_view)
        .group_by(own.c.concept_id, of.c.split)
    )
    return list(connection.execute(union_all(of_items, of_concepts)))
