"""What the dataset can be asked: its images in pages, one image, and how many there are of each.

Pages of now are walks along an index, whatever they are filtered by and however deep they are.
"""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Subquery,
    Table,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    union_all,
)

from domain.dataset.image import Annotation, Box
from projections.dataset.dataset import annotations, images, revisions
from projections.dataset.index_scans import (
    ImageFilter,
    SplitCount,
    beyond,
    by_scope,
    count_marks,
    order,
    page_of,
    parameters,
)
from projections.dataset.inverted_index import ANNOTATED, PRESENT, WITHOUT


class ImageRow(msgspec.Struct, frozen=True):
    """An image as a list shows it; `annotations` are those of the view asked for.

    `changed_by` made its last revision, whatever that was about.
    """

    image_id: str
    project_id: str
    blob: str
    width: int
    height: int
    file_name: str
    metadata: dict[str, str]
    split: str
    added_position: int
    revision: int
    changed_by: str
    changed_at: datetime
    annotations: list[Annotation]
    without_concept: bool = False


class DatasetCounts(msgspec.Struct, frozen=True):
    images: int
    train: int
    validation: int


class ConceptCount(msgspec.Struct, frozen=True):
    """How many images of each split are annotated with a concept."""

    concept_id: str
    train: int
    validation: int


class ViewCounts(msgspec.Struct, frozen=True):
    """How many images of a view's project it says something of, and what."""

    view_id: str
    annotated: SplitCount
    unannotated: SplitCount
    without_concept: SplitCount
    concepts: list[ConceptCount]


def list_images(
    connection: Connection,
    project_id: str,
    wanted: ImageFilter = ImageFilter(),  # noqa: B008
    *,
    after: int | None = None,
    newest: bool = False,
    limit: int = 50,
    as_of: int | None = None,
) -> list[ImageRow]:
    """A project's images in the order they were added, or `newest` first.

    `after` is the `added_position` of the last one seen; `as_of` a past position of the log.
    """
    if wanted.contradicts_itself:
        return []
    if as_of is None:
        query = _present(page_of(wanted, newest, after is not None), newest)
        values = parameters(project_id, wanted, after, limit)
    else:
        query, values = _past(project_id, wanted, after, newest, as_of).limit(limit), {}
    rows = connection.execute(query, values).all()
    return _with_annotations(connection, rows, wanted.view_id, as_of)


@lru_cache
def _present(page: Subquery, newest: bool) -> Select[Any]:
    return (
        select(images)
        .join(page, page.c.image_id == images.c.image_id)
        .where(images.c.project_id == bindparam("project"), _held(images, None))
        .order_by(order(images.c.added_position, newest))
    )


def _held(table: Table, as_of: int | None) -> ColumnElement[bool]:
    if as_of is None:
        return table.c.valid_to.is_(None)
    return and_(
        table.c.valid_from <= as_of, or_(table.c.valid_to.is_(None), table.c.valid_to > as_of)
    )


def _images(as_of: int | None) -> Select[Any]:
    """Images, each with the revision it had."""
    if as_of is None:
        return select(images).where(_held(images, None))
    revised = ("revision", "changed_by", "changed_at")
    of_image = and_(revisions.c.image_id == images.c.image_id, _held(revisions, as_of))
    return (
        select(
            *(one for one in images.c if one.name not in revised),
            *(func.coalesce(revisions.c[name], images.c[name]).label(name) for name in revised),
        )
        .select_from(images.outerjoin(revisions, of_image))
        .where(_held(images, as_of))
    )


def _past(
    project_id: str, wanted: ImageFilter, after: int | None, newest: bool, as_of: int
) -> Select[Any]:
    query = (
        _images(as_of)
        .where(images.c.project_id == project_id)
        .order_by(order(images.c.added_position, newest))
    )
    if after is not None:
        query = query.where(beyond(images.c.added_position, after, newest))
    if wanted.split is not None:
        query = query.where(images.c.split == wanted.split)
    said = and_(
        annotations.c.image_id == images.c.image_id,
        annotations.c.view_id == wanted.view_id,
        _held(annotations, as_of),
    )
    if wanted.concept_id is not None:
        query = query.where(exists().where(said, annotations.c.concept_id == wanted.concept_id))
    if wanted.without_concept:
        query = query.where(exists().where(said, annotations.c.without_concept))
    if wanted.annotated is not None:
        found = exists().where(said)
        query = query.where(found if wanted.annotated else ~found)
    return query


def find_image(
    connection: Connection, image_id: str, *, view_id: str | None = None, as_of: int | None = None
) -> ImageRow | None:
    rows = connection.execute(_images(as_of).where(images.c.image_id == image_id)).all()
    found = _with_annotations(connection, rows, view_id, as_of)
    return found[0] if found else None


def find_images(
    connection: Connection, image_ids: Iterable[str], *, as_of: int | None = None
) -> dict[str, ImageRow]:
    """Those of the images that are in their project, by id."""
    query = _images(as_of).where(images.c.image_id.in_(list(image_ids)))
    return {row.image_id: _row(row._mapping, []) for row in connection.execute(query)}


def _with_annotations(
    connection: Connection, rows: Any, view_id: str | None, as_of: int | None
) -> list[ImageRow]:
    said: dict[str, list[Any]] = {}
    if view_id is not None and rows:
        query = (
            select(annotations)
            .where(
                annotations.c.image_id.in_([row.image_id for row in rows]),
                annotations.c.view_id == view_id,
                _held(annotations, as_of),
            )
            .order_by(
                annotations.c.concept_id, *(annotations.c[side] for side in Box.__struct_fields__)
            )
        )
        for row in connection.execute(query):
            said.setdefault(row.image_id, []).append(row)
    return [_row(row._mapping, said.get(row.image_id, [])) for row in rows]


def _row(row: Any, said: list[Any]) -> ImageRow:
    own = {"annotations", "without_concept"}
    values = {name: row[name] for name in ImageRow.__struct_fields__ if name not in own}
    return ImageRow(
        **values,
        annotations=[
            Annotation(a.concept_id, None if a.x is None else Box(a.x, a.y, a.width, a.height))
            for a in said
            if a.concept_id is not None
        ],
        without_concept=any(a.without_concept for a in said),
    )


def count_images(
    connection: Connection, project_id: str, *, as_of: int | None = None
) -> DatasetCounts:
    found = _count(connection, project_id, [], as_of)[project_id].get(PRESENT, SplitCount())
    return DatasetCounts(found.all, found.train, found.validation)


def count_views(
    connection: Connection, project_id: str, view_ids: Iterable[str], *, as_of: int | None = None
) -> dict[str, ViewCounts]:
    """What each of a project's views says of its images, by view id."""
    wanted = list(view_ids)
    found = _count(connection, project_id, wanted, as_of)
    present = found[project_id].get(PRESENT, SplitCount())
    return {view_id: _view_counts(view_id, present, found[view_id]) for view_id in wanted}


def _count(
    connection: Connection, project_id: str, view_ids: list[str], as_of: int | None
) -> dict[str, dict[str, SplitCount]]:
    """The images of each mark, by project or view and mark. Those of now are kept counted."""
    if as_of is None:
        return count_marks(connection, [project_id, *view_ids])
    present = images.c.project_id == project_id, _held(images, as_of)
    there = select(literal(project_id), literal(PRESENT), images.c.split, func.count())
    held = case(
        (annotations.c.without_concept, literal(WITHOUT)), else_=annotations.c.concept_id
    ).label("mark")
    said = select(annotations.c.view_id, images.c.split, images.c.image_id, held).where(
        *present,
        annotations.c.image_id == images.c.image_id,
        annotations.c.view_id.in_(view_ids),
        _held(annotations, as_of),
    )
    each = said.subquery()
    number = func.count(each.c.image_id.distinct())
    by_mark = select(each.c.view_id, each.c.mark, each.c.split, number)
    any_mark = select(each.c.view_id, literal(ANNOTATED), each.c.split, number)
    return by_scope(
        [project_id, *view_ids],
        connection.execute(
            union_all(
                there.where(*present).group_by(images.c.split),
                by_mark.group_by(each.c.view_id, each.c.mark, each.c.split),
                any_mark.group_by(each.c.view_id, each.c.split),
            )
        ),
    )


def _view_counts(view_id: str, present: SplitCount, found: dict[str, SplitCount]) -> ViewCounts:
    annotated = found.get(ANNOTATED, SplitCount())
    return ViewCounts(
        view_id,
        annotated,
        present.less(annotated),
        found.get(WITHOUT, SplitCount()),
        [
            ConceptCount(mark, count.train, count.validation)
            for mark, count in sorted(found.items())
            if mark not in {ANNOTATED, WITHOUT} and count.all
        ],
    )
