"""Queries of the dataset: pages of images, single images, and counts.

Pages of current images are index scans, whatever their filter and however deep they are.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import (
    Connection,
    Select,
    Subquery,
    Text,
    and_,
    any_,
    bindparam,
    case,
    exists,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from domain.dataset.image import TEST, Annotation, Box, ImageAnnotated
from domain.dataset.items import Parent, items_of
from domain.library.view import DETECTION
from projections.dataset.child_items import ANNOTATED as ITEM_ANNOTATED
from projections.dataset.child_items import ITEM, count_terms, images_with, parents_of
from projections.dataset.dataset import annotations, images, reviews, revisions
from projections.dataset.index_scans import (
    ImageFilter,
    SplitCount,
    beyond,
    by_scope,
    count_by_term,
    order,
    page_of,
    parameters,
)
from projections.dataset.inverted_index import ANNOTATED, PRESENT, REVIEWED, WITHOUT
from projections.dataset.validity import valid


class CropRow(msgspec.Struct, frozen=True):
    """A box of the detection view above a view of crops; `chosen` if it is a crop of that view."""

    box: Box
    chosen: bool


class ImageRow(msgspec.Struct, frozen=True):
    """An image in a list; `annotations` are those of the requested view, and `crops` its crops.

    `reviewed_by` and `reviewed_at` are set if these were reviewed as they are. `changed_by` is the
    actor of its last revision of any kind.
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
    reviewed_by: str | None = None
    reviewed_at: datetime | None = None
    crops: list[CropRow] | None = None


class DatasetCounts(msgspec.Struct, frozen=True):
    images: int
    train: int
    validation: int
    test: int = 0


class ConceptCount(msgspec.Struct, frozen=True):
    """The number of images in each split that are annotated with a concept."""

    concept_id: str
    train: int
    validation: int
    test: int = 0


class ViewCounts(msgspec.Struct, frozen=True):
    """The numbers of a view's images that are annotated in it, and with which concepts.

    Of a child view, only images that its conditions choose are counted, or their crops.
    """

    view_id: str
    annotated: SplitCount
    unannotated: SplitCount
    without_concept: SplitCount
    concepts: list[ConceptCount]
    reviewed: SplitCount = SplitCount()


def list_images(
    connection: Connection,
    project_id: str,
    filters: ImageFilter = ImageFilter(),  # noqa: B008
    *,
    after: int | None = None,
    newest: bool = False,
    limit: int = 50,
    as_of: int | None = None,
) -> list[ImageRow]:
    """A project's images in the order of their addition, or `newest` first.

    `after` is the `added_position` of the last image seen; `as_of` is a past position of the log.
    """
    if filters.is_contradictory:
        return []
    query, values = page_of_images(project_id, filters, after, newest, limit, as_of)
    rows = connection.execute(query, values).all()
    return _with_annotations(connection, rows, filters.view_id, as_of, filters.parents)


def page_of_images(
    project_id: str,
    filters: ImageFilter,
    after: int | None,
    newest: bool,
    limit: int,
    as_of: int | None,
    *,
    by_rows: bool = False,
) -> tuple[Select[Any], dict[str, Any]]:
    """The query for a page of images, and its parameters. That of current images is the same for
    all filters of the same form; `by_rows` it reads the table itself, former rows too, which is
    quicker for large pages of all images."""
    if as_of is None and not filters.parents and not filters.file_names and not by_rows:
        page = page_of(filters, newest, after is not None)
        return _present(page, newest), parameters(project_id, filters, after, limit)
    return _past(project_id, filters, after, newest, as_of).limit(limit), {}


@lru_cache
def _present(page: Subquery, newest: bool) -> Select[Any]:
    return (
        select(images)
        .join(page, page.c.image_id == images.c.image_id)
        .where(images.c.project_id == bindparam("project"), valid(images, None))
        .order_by(order(images.c.added_position, newest))
    )


def _images(as_of: int | None) -> Select[Any]:
    """Images, each with its revision as of a position."""
    if as_of is None:
        return select(images).where(valid(images, None))
    revised = ("revision", "changed_by", "changed_at")
    of_image = and_(revisions.c.image_id == images.c.image_id, valid(revisions, as_of))
    return (
        select(
            *(column for column in images.c if column.name not in revised),
            *(func.coalesce(revisions.c[name], images.c[name]).label(name) for name in revised),
        )
        .select_from(images.outerjoin(revisions, of_image))
        .where(valid(images, as_of))
    )


def _past(
    project_id: str, filters: ImageFilter, after: int | None, newest: bool, as_of: int | None
) -> Select[Any]:
    query = (
        _images(as_of)
        .where(images.c.project_id == project_id)
        .order_by(order(images.c.added_position, newest))
    )
    if after is not None:
        query = query.where(beyond(images.c.added_position, after, newest))
    if filters.split is not None:
        query = query.where(images.c.split == filters.split)
    if filters.file_names:
        query = query.where(images.c.file_name.in_(filters.file_names))
    in_view = and_(
        annotations.c.image_id == images.c.image_id,
        annotations.c.view_id == filters.view_id,
        valid(annotations, as_of),
    )
    if filters.concept_id is not None:
        query = query.where(exists().where(in_view, annotations.c.concept_id == filters.concept_id))
    if filters.without_concept:
        query = query.where(exists().where(in_view, annotations.c.without_concept))
    if filters.parents and filters.view_id is not None:
        query = query.where(
            images_with(project_id, filters.view_id, filters.parents, filters.annotated, as_of)
        )
    elif filters.annotated is not None:
        annotated = exists().where(in_view)
        query = query.where(annotated if filters.annotated else ~annotated)
    if filters.reviewed is not None:
        reviewed = exists().where(
            reviews.c.image_id == images.c.image_id,
            reviews.c.view_id == filters.view_id,
            valid(reviews, as_of),
        )
        query = query.where(reviewed if filters.reviewed else exists().where(in_view) & ~reviewed)
    return query


def find_image(
    connection: Connection,
    image_id: str,
    *,
    view_id: str | None = None,
    parents: Sequence[Parent] = (),
    as_of: int | None = None,
) -> ImageRow | None:
    rows = connection.execute(_images(as_of).where(images.c.image_id == image_id)).all()
    matches = _with_annotations(connection, rows, view_id, as_of, parents)
    return matches[0] if matches else None


def find_images(
    connection: Connection, image_ids: Iterable[str], *, as_of: int | None = None
) -> dict[str, ImageRow]:
    """Those of the images that are in their project, not removed, by id."""
    query = _images(as_of).where(images.c.image_id.in_(list(image_ids)))
    return {row.image_id: _row(row._mapping, []) for row in connection.execute(query)}


def _with_annotations(
    connection: Connection,
    rows: Any,
    view_id: str | None,
    as_of: int | None,
    parents: Sequence[Parent] = (),
) -> list[ImageRow]:
    by_image: dict[str, list[Any]] = {}
    review_of: dict[str, Any] = {}
    if view_id is not None and rows:
        image_ids = [row.image_id for row in rows]
        query = (
            select(annotations)
            .where(
                annotations.c.image_id.in_(image_ids),
                annotations.c.view_id == view_id,
                valid(annotations, as_of),
            )
            .order_by(
                annotations.c.concept_id, *(annotations.c[side] for side in Box.__struct_fields__)
            )
        )
        for row in connection.execute(query):
            by_image.setdefault(row.image_id, []).append(row)
        reviewed = select(reviews).where(
            reviews.c.image_id.in_(image_ids), reviews.c.view_id == view_id, valid(reviews, as_of)
        )
        review_of = {row.image_id: row for row in connection.execute(reviewed)}
    crops = _crops(connection, [row.image_id for row in rows], parents, as_of)
    return [
        _row(
            row._mapping,
            by_image.get(row.image_id, []),
            review_of.get(row.image_id),
            crops.get(row.image_id),
        )
        for row in rows
    ]


def _crops(
    connection: Connection, image_ids: list[str], parents: Sequence[Parent], as_of: int | None
) -> dict[str, list[CropRow]]:
    """The boxes of images in the detection view among these views, each image's by its id."""
    above = [parent.view_id for parent in parents]
    detection = next((p.view_id for p in parents if p.kind == DETECTION), None)
    if detection is None or not image_ids:
        return {}
    query = (
        select(annotations)
        .where(
            annotations.c.image_id.in_(image_ids),
            annotations.c.view_id.in_(above),
            annotations.c.concept_id.is_not(None),
            valid(annotations, as_of),
        )
        .order_by(*(annotations.c[side] for side in Box.__struct_fields__))
    )
    found: dict[str, dict[str, list[Annotation]]] = {key: {} for key in image_ids}
    for row in connection.execute(query):
        box = None if row.x is None else Box(row.x, row.y, row.width, row.height)
        found[row.image_id].setdefault(row.view_id, []).append(Annotation(row.concept_id, box))
    return {
        key: _boxes(
            {
                view_id: ImageAnnotated(view_id, tuple(listed), False)
                for view_id, listed in by_view.items()
            },
            detection,
            parents,
        )
        for key, by_view in found.items()
    }


def _boxes(
    by_view: Mapping[str, ImageAnnotated], detection: str, parents: Sequence[Parent]
) -> list[CropRow]:
    annotated = by_view.get(detection)
    boxes = dict.fromkeys(a.box for a in annotated.annotations if a.box) if annotated else {}
    chosen = {item.box for item in items_of(by_view, parents)}
    return [CropRow(box, box in chosen) for box in boxes]


def _row(
    row: Any, annotated: list[Any], review: Any = None, crops: list[CropRow] | None = None
) -> ImageRow:
    own = {"annotations", "without_concept", "reviewed_by", "reviewed_at", "crops"}
    values = {name: row[name] for name in ImageRow.__struct_fields__ if name not in own}
    return ImageRow(
        **values,
        annotations=[
            Annotation(a.concept_id, None if a.x is None else Box(a.x, a.y, a.width, a.height))
            for a in annotated
            if a.concept_id is not None
        ],
        without_concept=any(a.without_concept for a in annotated),
        reviewed_by=None if review is None else review.reviewed_by,
        reviewed_at=None if review is None else review.reviewed_at,
        crops=crops,
    )


def unannotated_among(connection: Connection, view_id: str, image_ids: Collection[str]) -> set[str]:
    """Those of the images, of which there may be very many, that are in their project, not of the
    test set, and without annotation in a view."""
    among = any_(bindparam("ids", list(image_ids), type_=ARRAY(Text)))
    annotated = exists().where(
        annotations.c.image_id == images.c.image_id,
        annotations.c.view_id == view_id,
        annotations.c.valid_to.is_(None),
    )
    query = select(images.c.image_id).where(
        images.c.image_id == among, images.c.valid_to.is_(None), images.c.split != TEST, ~annotated
    )
    return set(connection.scalars(query))


def file_names(connection: Connection, image_ids: Collection[str]) -> dict[str, str]:
    """The file names of images by id, those of removed images too."""
    query = (
        select(images.c.image_id, images.c.file_name)
        .where(images.c.image_id.in_(image_ids))
        .order_by(images.c.valid_from)
    )
    return {row.image_id: row.file_name for row in connection.execute(query)}


def metadata_keys(connection: Connection, project_id: str) -> list[str]:
    """The metadata keys of a project's images, removed ones too, in alphabetical order."""
    key = func.jsonb_object_keys(images.c.metadata).label("key")
    keys = select(key).where(images.c.project_id == project_id).distinct().subquery()
    return list(connection.execute(select(keys.c.key).order_by(keys.c.key)).scalars())


def metadata_values(connection: Connection, project_id: str, key: str) -> dict[str, str]:
    """The value of a metadata key by image id, of removed images too."""
    value = images.c.metadata[key].astext.label("value")
    query = (
        select(images.c.image_id, value)
        .where(images.c.project_id == project_id, images.c.metadata.has_key(key))
        .order_by(images.c.valid_from)
    )
    return {row.image_id: row.value for row in connection.execute(query)}


def count_images(
    connection: Connection, project_id: str, *, as_of: int | None = None
) -> DatasetCounts:
    present = _count(connection, project_id, [], as_of)[project_id].get(PRESENT, SplitCount())
    return DatasetCounts(present.all, present.train, present.validation, present.test)


def count_views(
    connection: Connection, project_id: str, view_ids: Iterable[str], *, as_of: int | None = None
) -> dict[str, ViewCounts]:
    """The counts of annotated images in each of a project's views, by view id."""
    ids = list(view_ids)
    counts = _count(connection, project_id, ids, as_of)
    present = counts[project_id].get(PRESENT, SplitCount())
    found = {view_id: _view_counts(view_id, present, counts[view_id]) for view_id in ids}
    for view_id, parents in parents_of(connection, ids, as_of=as_of).items():
        if parents:
            rows = count_terms(connection, project_id, view_id, parents, as_of)
            found[view_id] = _child_counts(found[view_id], rows)
    return found


def _child_counts(counts: ViewCounts, rows: Iterable[Any]) -> ViewCounts:
    """The counts of a child view: of its items in place of all images."""
    by_term: dict[str, dict[str, int]] = {}
    for term, split, number in rows:
        by_term.setdefault(term, {})[split] = number
    done = SplitCount(**by_term.pop(ITEM_ANNOTATED, {}))
    left = SplitCount(**by_term.pop(ITEM, {}))
    concepts = [
        ConceptCount(term, **({"train": 0, "validation": 0} | splits))
        for term, splits in sorted(by_term.items())
    ]
    return msgspec.structs.replace(counts, annotated=done, unannotated=left, concepts=concepts)


def _count(
    connection: Connection, project_id: str, view_ids: list[str], as_of: int | None
) -> dict[str, dict[str, SplitCount]]:
    """The number of images of each term, by project or view, and term. Current ones are stored."""
    if as_of is None:
        return count_by_term(connection, [project_id, *view_ids])
    present = images.c.project_id == project_id, valid(images, as_of)
    all_images = select(literal(project_id), literal(PRESENT), images.c.split, func.count())
    term = case(
        (annotations.c.concept_id.is_(None), literal(WITHOUT)), else_=annotations.c.concept_id
    ).label("term")
    annotated = select(annotations.c.view_id, images.c.split, images.c.image_id, term).where(
        *present,
        annotations.c.image_id == images.c.image_id,
        annotations.c.view_id.in_(view_ids),
        valid(annotations, as_of),
    )
    each = annotated.subquery()
    number = func.count(each.c.image_id.distinct())
    by_term = select(each.c.view_id, each.c.term, each.c.split, number)
    any_term = select(each.c.view_id, literal(ANNOTATED), each.c.split, number)
    each_review = reviews.c.image_id.distinct()
    reviewed = select(
        reviews.c.view_id, literal(REVIEWED), images.c.split, func.count(each_review)
    ).where(
        *present,
        reviews.c.image_id == images.c.image_id,
        reviews.c.view_id.in_(view_ids),
        valid(reviews, as_of),
    )
    return by_scope(
        [project_id, *view_ids],
        connection.execute(
            union_all(
                all_images.where(*present).group_by(images.c.split),
                reviewed.group_by(reviews.c.view_id, images.c.split),
                by_term.group_by(each.c.view_id, each.c.term, each.c.split),
                any_term.group_by(each.c.view_id, each.c.split),
            )
        ),
    )


def _view_counts(view_id: str, present: SplitCount, by_term: dict[str, SplitCount]) -> ViewCounts:
    annotated = by_term.get(ANNOTATED, SplitCount())
    return ViewCounts(
        view_id,
        annotated,
        present.less(annotated),
        by_term.get(WITHOUT, SplitCount()),
        [
            ConceptCount(term, count.train, count.validation, count.test)
            for term, count in sorted(by_term.items())
            if term not in {ANNOTATED, WITHOUT, REVIEWED} and count.all
        ],
        by_term.get(REVIEWED, SplitCount()),
    )
