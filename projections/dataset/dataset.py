"""The dataset: images, their splits and their annotations, each with the positions of its validity.

A row is valid from the position `valid_from` until before `valid_to`, which is NULL for a current
row. So a query can return the dataset as of any position.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    CTE,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Insert,
    Integer,
    Table,
    Text,
    Update,
    column,
    func,
    insert,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.types import TypeEngine

from domain.dataset.image import (
    TRAIN,
    ImageAdded,
    ImageAnnotated,
    ImageAnnotatedBlindly,
    ImageErased,
    ImageRemoved,
    ImageReviewed,
    ImageReviewWithdrawn,
    ImageSplitAssigned,
    SuggestionAccepted,
    SuggestionRejected,
    SuspectCorrected,
    SuspectLeftUnsure,
    SuspectUpheld,
)
from domain.event import Recorded
from domain.personal import erased_values
from projections.dataset.inverted_index import (
    index_annotations,
    index_images,
    index_reviews,
    index_splits,
    metadata,
    remove_images,
    remove_reviews,
    terms_of,
)
from projections.engine.read_model import ONLY_READ, ReadModel, Write, parameter_rows, write_rows


def _validity() -> tuple[Column[int], Column[int | None]]:
    return (
        Column("valid_from", BigInteger, nullable=False),
        Column("valid_to", BigInteger, nullable=True),
    )


images = Table(
    "dataset_v4_images",
    metadata,
    Column("image_id", Text, nullable=False),
    Column("project_id", Text, nullable=False),
    Column("blob", Text, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("metadata", JSONB, nullable=False),
    Column("split", Text, nullable=False),
    Column("added_position", BigInteger, nullable=False),
    *_validity(),
    Column("revision", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("changed_position", BigInteger, nullable=False),
    Index("dataset_v4_images_by_id", "image_id", "valid_to"),
    Index("dataset_v4_images_by_project", "project_id", "added_position", info=ONLY_READ),
    # Of hashes: it is small, and a name may be longer than a B-tree's entries.
    Index("dataset_v4_images_by_file_name", "file_name", postgresql_using="hash", info=ONLY_READ),
)
"""A row is valid until the image is removed or changes its split; then the next one is. An
annotation only changes its revision."""

revisions = Table(
    "dataset_v4_revisions",
    metadata,
    Column("image_id", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("valid_from", BigInteger, nullable=False),
    Column("valid_to", BigInteger, nullable=False),
    Index("dataset_v4_revisions_by_image", "image_id", "valid_from", "valid_to", info=ONLY_READ),
)
"""The former revisions of rows of images."""

annotations = Table(
    "dataset_v4_annotations",
    metadata,
    Column("image_id", Text, nullable=False),
    Column("view_id", Text, nullable=False),
    Column("concept_id", Text, nullable=True),
    Column("x", Float),
    Column("y", Float),
    Column("width", Float),
    Column("height", Float),
    Column("without_concept", Boolean, nullable=False),
    *_validity(),
    Index("dataset_v4_annotations_by_image", "image_id", "view_id"),
)
"""One row for each annotation; *without concept* is a row with no concept."""

reviews = Table(
    "dataset_v4_reviews",
    metadata,
    Column("image_id", Text, nullable=False),
    Column("view_id", Text, nullable=False),
    Column("reviewed_by", Text, nullable=False),
    Column("reviewed_at", DateTime(timezone=True), nullable=False),
    *_validity(),
    Index("dataset_v4_reviews_by_image", "image_id", "view_id"),
)
"""Who found an image's annotations in a view right; valid until they change or it is withdrawn."""

_changed: dict[str, type[TypeEngine[Any]] | TypeEngine[Any]] = {
    "revision": BigInteger,
    "changed_by": Text,
    "changed_at": DateTime(timezone=True),
    "changed_position": BigInteger,
}

_added = parameter_rows(
    image_id=Text,
    project_id=Text,
    blob=Text,
    width=Integer,
    height=Integer,
    file_name=Text,
    metadata=JSONB,
    split=Text,
    added_position=BigInteger,
    valid_from=BigInteger,
    **_changed,
)
_add_images = insert(images).from_select(list(_added.c.keys()), select(_added))

_moved = parameter_rows(image_id=Text, at=BigInteger, split=Text, **_changed)
_closed = (
    update(images)
    .where(images.c.image_id == _moved.c.image_id, images.c.valid_to.is_(None))
    .values(valid_to=_moved.c.at)
    .returning(
        *(
            column
            for column in images.c
            if column.name not in {"split", "valid_from", "valid_to", *_changed}
        ),
        _moved.c.split,
        _moved.c.at.label("valid_from"),
        *(_moved.c[name] for name in _changed),
    )
    .cte("left")
)
_move_images = insert(images).from_select(list(_closed.c.keys()), select(_closed))

_removed = parameter_rows(image_id=Text, at=BigInteger)
_remove_images = (
    update(images)
    .where(images.c.image_id == _removed.c.image_id, images.c.valid_to.is_(None))
    .values(valid_to=_removed.c.at)
)
_remove_annotations = (
    update(annotations)
    .where(annotations.c.image_id == _removed.c.image_id, annotations.c.valid_to.is_(None))
    .values(valid_to=_removed.c.at)
)

_remove_reviews = (
    update(reviews)
    .where(reviews.c.image_id == _removed.c.image_id, reviews.c.valid_to.is_(None))
    .values(valid_to=_removed.c.at)
)

_erased = parameter_rows(image_id=Text)
_scrub = (
    # All rows, also former ones: none may keep data that was erased from the log.
    update(images).where(images.c.image_id == _erased.c.image_id).values(erased_values(ImageAdded))
)


def _revise(rows: CTE) -> Update:
    """The images of rows have another revision, by another."""
    return (
        update(images)
        .where(images.c.image_id == rows.c.image_id, images.c.valid_to.is_(None))
        .values({name: rows.c[name] for name in _changed})
    )


def _keep_revision(rows: CTE) -> Insert:
    """Keep the revisions that the images of rows had before."""
    return insert(revisions).from_select(
        ["image_id", "revision", "changed_by", "changed_at", "valid_from", "valid_to"],
        select(
            images.c.image_id,
            images.c.revision,
            images.c.changed_by,
            images.c.changed_at,
            images.c.changed_position,
            rows.c.at,
        ).where(images.c.image_id == rows.c.image_id, images.c.valid_to.is_(None)),
    )


_annotated = parameter_rows(
    image_id=Text,
    view_id=Text,
    at=BigInteger,
    without_concept=Boolean,
    annotations=JSON,
    **_changed,
)
_annotation_rows = (
    func.json_to_recordset(_annotated.c.annotations)
    .table_valued(
        column("concept_id", Text),
        *(column(side, Float) for side in ("x", "y", "width", "height")),
    )
    .render_derived(name="annotation", with_types=True)
    .lateral()
)
_annotate = (
    # One statement instead of several: sending one takes longer than executing it.
    insert(annotations)
    .from_select(
        [
            *("image_id", "view_id", "concept_id", "x", "y", "width", "height"),
            *("without_concept", "valid_from"),
        ],
        select(
            _annotated.c.image_id,
            _annotated.c.view_id,
            *_annotation_rows.c,
            _annotated.c.without_concept,
            _annotated.c.at,
        ).select_from(_annotated.join(_annotation_rows, true())),
    )
    .add_cte(
        update(annotations)
        .where(
            annotations.c.image_id == _annotated.c.image_id,
            annotations.c.view_id == _annotated.c.view_id,
            annotations.c.valid_to.is_(None),
        )
        .values(valid_to=_annotated.c.at)
        .cte("closed"),
        _revise(_annotated).cte("revised"),
        _keep_revision(_annotated).cte("kept"),
        update(reviews)
        .where(
            reviews.c.image_id == _annotated.c.image_id,
            reviews.c.view_id == _annotated.c.view_id,
            reviews.c.valid_to.is_(None),
        )
        .values(valid_to=_annotated.c.at)
        .cte("outdated"),
    )
)

_reviewed = parameter_rows(image_id=Text, view_id=Text, at=BigInteger, **_changed)
_review = (
    insert(reviews)
    .from_select(
        ["image_id", "view_id", "reviewed_by", "reviewed_at", "valid_from"],
        select(
            _reviewed.c.image_id,
            _reviewed.c.view_id,
            _reviewed.c.changed_by,
            _reviewed.c.changed_at,
            _reviewed.c.at,
        ),
    )
    .add_cte(_revise(_reviewed).cte("revised"), _keep_revision(_reviewed).cte("kept"))
)
_withdraw = (
    update(reviews)
    .where(
        reviews.c.image_id == _reviewed.c.image_id,
        reviews.c.view_id == _reviewed.c.view_id,
        reviews.c.valid_to.is_(None),
    )
    .values(valid_to=_reviewed.c.at)
    .add_cte(_revise(_reviewed).cte("revised"), _keep_revision(_reviewed).cte("kept"))
)

_decided = parameter_rows(image_id=Text, at=BigInteger, **_changed)
_decide = _revise(_decided).add_cte(_keep_revision(_decided).cte("kept"))
"""Decisions and blind annotations change the image's revision alone."""

Row = dict[str, Any]


class _Batch(NamedTuple):
    """Events of different images; their order does not matter."""

    added: list[Row]
    moved: list[Row]
    removed: list[Row]
    erased: list[Row]
    annotated: list[Row]
    reviewed: list[Row]
    withdrawn: list[Row]
    decided: list[Row]


def project(page: Sequence[Recorded]) -> Iterator[Write]:
    """Write each image's first event of the page, then each image's second one, and so on."""
    batches: list[_Batch] = []
    seen: Counter[str] = Counter()
    for recorded in page:
        if not isinstance(
            recorded.event,
            ImageAdded
            | ImageSplitAssigned
            | ImageRemoved
            | ImageErased
            | ImageAnnotated
            | ImageReviewed
            | ImageReviewWithdrawn
            | SuspectUpheld
            | SuspectLeftUnsure
            | SuspectCorrected
            | ImageAnnotatedBlindly
            | SuggestionAccepted
            | SuggestionRejected,
        ):
            continue
        number = seen[recorded.entity_id]
        seen[recorded.entity_id] += 1
        if number == len(batches):
            batches.append(_Batch([], [], [], [], [], [], [], []))
        _add(batches[number], recorded)
    for batch in batches:
        yield from _writes_of(batch)


def _add(batch: _Batch, recorded: Recorded) -> None:
    key, at = recorded.entity_id, recorded.position
    changed = {
        "revision": recorded.originator_version,
        "changed_by": recorded.metadata.actor,
        "changed_at": recorded.metadata.occurred_at,
        "changed_position": at,
    }
    match recorded.event:
        case ImageAdded() as added:
            row = {"image_id": key, "split": TRAIN, "added_position": at, "valid_from": at}
            batch.added.append(msgspec.structs.asdict(added) | row | changed)
        case ImageSplitAssigned(split=split):
            batch.moved.append({"image_id": key, "at": at, "split": split} | changed)
        case ImageRemoved():
            batch.removed.append({"image_id": key, "at": at})
        case ImageErased():
            batch.removed.append({"image_id": key, "at": at})
            batch.erased.append({"image_id": key})
        case ImageAnnotated() as annotated:
            batch.annotated.append(_annotated_row(key, at, annotated) | changed)
        case ImageReviewed(view_id=view_id):
            batch.reviewed.append({"image_id": key, "view_id": view_id, "at": at} | changed)
        case ImageReviewWithdrawn(view_id=view_id):
            batch.withdrawn.append({"image_id": key, "view_id": view_id, "at": at} | changed)
        case (
            SuspectUpheld()
            | SuspectLeftUnsure()
            | SuspectCorrected()
            | ImageAnnotatedBlindly()
            | SuggestionAccepted()
            | SuggestionRejected()
        ):
            batch.decided.append({"image_id": key, "at": at} | changed)


def _writes_of(batch: _Batch) -> Iterator[Write]:
    yield from write_rows(_add_images, batch.added)
    yield from index_images(batch.added)
    yield from write_rows(_move_images, batch.moved)
    yield from index_splits(batch.moved)
    yield from write_rows(_remove_images, batch.removed)
    yield from write_rows(_remove_annotations, batch.removed)
    yield from write_rows(_remove_reviews, batch.removed)
    yield from remove_images(batch.removed)
    yield from write_rows(_scrub, batch.erased)
    yield from write_rows(_annotate, batch.annotated)
    yield from index_annotations(batch.annotated)
    yield from write_rows(_review, batch.reviewed)
    yield from index_reviews(batch.reviewed)
    yield from write_rows(_withdraw, batch.withdrawn)
    yield from remove_reviews(batch.withdrawn)
    yield from write_rows(_decide, batch.decided)


def _annotated_row(key: str, at: int, annotated: ImageAnnotated) -> Row:
    items = [
        {"concept_id": annotation.concept_id}
        | (msgspec.structs.asdict(annotation.box) if annotation.box else {})
        for annotation in annotated.annotations
    ]
    if annotated.without_concept:
        items.append({})  # beside it, a tagging view of crops lists those that hold some
    return {
        "image_id": key,
        "view_id": annotated.view_id,
        "at": at,
        "without_concept": annotated.without_concept,
        "annotations": items,
        "terms": terms_of(annotated),
    }


DATASET = ReadModel("dataset_v4", metadata, project, ("image.",))
