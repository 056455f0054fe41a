"""The dataset: images, their splits and their annotations, each with the positions it held at.

A row of images or annotations holds from the position `valid_from` until before `valid_to`; NULL
there means that it still holds. So the dataset as of any position is a query.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    Table,
    Text,
    and_,
    bindparam,
    cast,
    column,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB

from domain.event import Recorded
from domain.image import (
    TRAIN,
    ImageAdded,
    ImageAnnotated,
    ImageRemoved,
    ImageSplitAssigned,
)
from projections.dataset_marks import mark_annotated, mark_present, metadata, move, unmark_all
from projections.read_model import ReadModel, Write


def _validity() -> tuple[Column[int], Column[int | None]]:
    return (
        Column("valid_from", BigInteger, nullable=False),
        Column("valid_to", BigInteger, nullable=True),
    )


images = Table(
    "dataset_v2_images",
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
    Index("dataset_v2_images_by_id", "image_id", "valid_to"),
    Index("dataset_v2_images_by_project", "project_id", "added_position"),
)
"""A row lasts until the image is removed or changes its split; the next one takes over."""

annotations = Table(
    "dataset_v2_annotations",
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
    Index("dataset_v2_annotations_by_image", "image_id", "view_id"),
)
"""One row an annotation; *without concept* is a row that names none."""

_live_image = and_(images.c.image_id == bindparam("key"), images.c.valid_to.is_(None))
_live_annotations = and_(
    annotations.c.image_id == bindparam("key"),
    annotations.c.view_id == bindparam("view"),
    annotations.c.valid_to.is_(None),
)
_changed: dict[str, Any] = {
    column: bindparam(f"new_{column}") for column in ("revision", "changed_by", "changed_at")
}

_add_image = insert(images)
_close_image = update(images).where(_live_image).values(valid_to=bindparam("at"))
_revise_image = update(images).where(_live_image).values(_changed)
_copied = [
    column
    for column in images.c
    if column.name not in {"split", "valid_from", "valid_to", *_changed}
]
_split_again = insert(images).from_select(
    [*(column.name for column in _copied), "split", "valid_from", *_changed],
    select(
        *_copied,
        bindparam("split", type_=Text),
        bindparam("at", type_=BigInteger),
        *(bindparam(f"new_{name}", type_=images.c[name].type) for name in _changed),
    ).where(images.c.image_id == bindparam("key"), images.c.valid_to == bindparam("at")),
)
_close_annotations = update(annotations).where(_live_annotations).values(valid_to=bindparam("at"))
_close_all_annotations = (
    update(annotations)
    .where(annotations.c.image_id == bindparam("key"), annotations.c.valid_to.is_(None))
    .values(valid_to=bindparam("at"))
)
_said = (
    func.json_to_recordset(cast(bindparam("said", type_=Text), JSON))
    .table_valued(
        column("concept_id", Text),
        *(column(side, Float) for side in ("x", "y", "width", "height")),
    )
    .render_derived(name="said", with_types=True)
)
_annotate = (
    # One statement instead of several: sending each takes longer than carrying it out.
    insert(annotations)
    .from_select(
        [
            *("image_id", "view_id", "concept_id", "x", "y", "width", "height"),
            *("without_concept", "valid_from"),
        ],
        select(
            bindparam("key", type_=Text),
            bindparam("view", type_=Text),
            *_said.c,
            bindparam("without", type_=Boolean),
            bindparam("at", type_=BigInteger),
        ),
    )
    .add_cte(_close_annotations.cte("closed"), _revise_image.cte("revised"))
)


def project(recorded: Recorded) -> Iterator[Write]:
    key, at = recorded.entity_id, recorded.position
    changed = {
        "new_revision": recorded.originator_version,
        "new_changed_by": recorded.metadata.actor,
        "new_changed_at": recorded.metadata.occurred_at,
    }
    match recorded.event:
        case ImageAdded() as added:
            yield Write(_add_image, _image_row(recorded, added))
            yield mark_present(key, added.project_id, at)
        case ImageSplitAssigned(split=split):
            yield Write(_close_image, {"key": key, "at": at})
            yield Write(_split_again, {"key": key, "at": at, "split": split} | changed)
            yield from move(key, split)
        case ImageRemoved():
            yield Write(_close_image, {"key": key, "at": at})
            yield Write(_close_all_annotations, {"key": key, "at": at})
            yield unmark_all(key)
        case ImageAnnotated() as annotated:
            yield Write(_annotate, _said_of(key, at, annotated) | changed)
            yield from mark_annotated(key, annotated)


def _image_row(recorded: Recorded, added: ImageAdded) -> dict[str, Any]:
    return {
        "image_id": recorded.entity_id,
        "project_id": added.project_id,
        "blob": added.blob,
        "width": added.width,
        "height": added.height,
        "file_name": added.file_name,
        "metadata": added.metadata,
        "split": TRAIN,
        "added_position": recorded.position,
        "valid_from": recorded.position,
        "valid_to": None,
        "revision": recorded.originator_version,
        "changed_by": recorded.metadata.actor,
        "changed_at": recorded.metadata.occurred_at,
    }


def _said_of(key: str, at: int, annotated: ImageAnnotated) -> dict[str, Any]:
    said = [
        {"concept_id": annotation.concept_id}
        | (msgspec.structs.asdict(annotation.box) if annotation.box else {})
        for annotation in annotated.annotations
    ]
    if annotated.without_concept:
        said = [{}]
    return {
        "key": key,
        "view": annotated.view_id,
        "at": at,
        "without": annotated.without_concept,
        "said": msgspec.json.encode(said).decode(),
    }


DATASET = ReadModel("dataset_v2", metadata, project)
