"""The dataset: images, their splits and their annotations, each with the positions it held at.

A row holds from the position `valid_from` until before `valid_to`; NULL there means that it still
holds. So the dataset as of any position is a query.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    and_,
    bindparam,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from domain.event import Recorded
from domain.image import (
    TRAIN,
    Annotation,
    Box,
    ImageAdded,
    ImageAnnotated,
    ImageRemoved,
    ImageSplitAssigned,
)
from projections.read_model import SCHEMA, ReadModel, Write

metadata = MetaData(schema=SCHEMA)


def _validity() -> tuple[Column[int], Column[int | None]]:
    return (
        Column("valid_from", BigInteger, nullable=False),
        Column("valid_to", BigInteger, nullable=True),
    )


images = Table(
    "dataset_v1_images",
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
    Index("dataset_v1_images_by_id", "image_id", "valid_to"),
    Index("dataset_v1_images_by_project", "project_id", "added_position"),
)
"""A row lasts until the image is removed or changes its split; the next one takes over."""

annotations = Table(
    "dataset_v1_annotations",
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
    Index("dataset_v1_annotations_by_image", "image_id", "view_id"),
    Index("dataset_v1_annotations_by_concept", "view_id", "concept_id"),
)
"""One row an annotation; *without concept* is a row that names none."""

_live_image = and_(images.c.image_id == bindparam("key"), images.c.valid_to.is_(None))
_live_annotations = and_(
    annotations.c.image_id == bindparam("key"),
    annotations.c.view_id == bindparam("view"),
    annotations.c.valid_to.is_(None),
)

_add_image = insert(images)
_close_image = update(images).where(_live_image).values(valid_to=bindparam("at"))
_revise_image = update(images).where(_live_image).values(revision=bindparam("to"))
_copied = [
    column
    for column in images.c
    if column.name not in {"split", "valid_from", "valid_to", "revision"}
]
_split_again = insert(images).from_select(
    [*(column.name for column in _copied), "split", "valid_from", "valid_to", "revision"],
    select(
        *_copied,
        bindparam("split", type_=Text),
        bindparam("at", type_=BigInteger),
        bindparam("none", type_=BigInteger),
        bindparam("to", type_=BigInteger),
    ).where(images.c.image_id == bindparam("key"), images.c.valid_to == bindparam("at")),
)
_close_annotations = update(annotations).where(_live_annotations).values(valid_to=bindparam("at"))
_close_all_annotations = (
    update(annotations)
    .where(annotations.c.image_id == bindparam("key"), annotations.c.valid_to.is_(None))
    .values(valid_to=bindparam("at"))
)
_add_annotation = insert(annotations)


def project(recorded: Recorded) -> Iterator[Write]:
    key, at, to = recorded.entity_id, recorded.position, recorded.originator_version
    match recorded.event:
        case ImageAdded() as added:
            yield Write(_add_image, _image_row(recorded, added))
        case ImageSplitAssigned(split=split):
            yield Write(_close_image, {"key": key, "at": at})
            yield Write(
                _split_again, {"key": key, "at": at, "split": split, "none": None, "to": to}
            )
        case ImageRemoved():
            yield Write(_close_image, {"key": key, "at": at})
            yield Write(_close_all_annotations, {"key": key, "at": at})
        case ImageAnnotated() as annotated:
            yield Write(_close_annotations, {"key": key, "view": annotated.view_id, "at": at})
            for row in _annotation_rows(key, at, annotated):
                yield Write(_add_annotation, row)
            yield Write(_revise_image, {"key": key, "to": to})


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
    }


def _annotation_rows(key: str, at: int, annotated: ImageAnnotated) -> Iterator[dict[str, Any]]:
    said: list[Annotation | None] = list(annotated.annotations)
    if annotated.without_concept:
        said = [None]
    for annotation in said:
        box = annotation.box if annotation else None
        yield {
            "image_id": key,
            "view_id": annotated.view_id,
            "concept_id": annotation.concept_id if annotation else None,
            "x": box and box.x,
            "y": box and box.y,
            "width": box and box.width,
            "height": box and box.height,
            "without_concept": annotated.without_concept,
            "valid_from": at,
            "valid_to": None,
        }


DATASET = ReadModel("dataset_v1", metadata, project)


class ImageRow(msgspec.Struct, frozen=True):
    """An image as a list shows it; `annotations` are those of the view asked for."""

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


def _held(table: Table, as_of: int | None) -> Any:
    if as_of is None:
        return table.c.valid_to.is_(None)
    return and_(
        table.c.valid_from <= as_of, or_(table.c.valid_to.is_(None), table.c.valid_to > as_of)
    )


def list_images(
    connection: Connection,
    project_id: str,
    *,
    view_id: str | None = None,
    split: str | None = None,
    concept_id: str | None = None,
    annotated: bool | None = None,
    after: int | None = None,
    limit: int = 50,
    as_of: int | None = None,
) -> list[ImageRow]:
    """A project's images in the order they were added, filtered in one view.

    `after` is the `added_position` of the last one seen; `as_of` a past position of the log.
    """
    query = (
        select(images)
        .where(images.c.project_id == project_id, _held(images, as_of))
        .order_by(images.c.added_position)
        .limit(limit)
    )
    if after is not None:
        query = query.where(images.c.added_position > after)
    if split is not None:
        query = query.where(images.c.split == split)
    said = and_(
        annotations.c.image_id == images.c.image_id,
        annotations.c.view_id == view_id,
        _held(annotations, as_of),
    )
    if concept_id is not None:
        query = query.where(exists().where(said, annotations.c.concept_id == concept_id))
    if annotated is not None:
        found = exists().where(said)
        query = query.where(found if annotated else ~found)
    return _with_annotations(connection, connection.execute(query).all(), view_id, as_of)


def find_image(
    connection: Connection, image_id: str, *, view_id: str | None = None
) -> ImageRow | None:
    query = select(images).where(images.c.image_id == image_id, _held(images, None))
    rows = _with_annotations(connection, connection.execute(query).all(), view_id, None)
    return rows[0] if rows else None


def _with_annotations(
    connection: Connection, rows: Any, view_id: str | None, as_of: int | None
) -> list[ImageRow]:
    said: dict[str, list[Any]] = {}
    if view_id is not None:
        query = select(annotations).where(
            annotations.c.image_id.in_([row.image_id for row in rows]),
            annotations.c.view_id == view_id,
            _held(annotations, as_of),
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


def count_images(connection: Connection, project_id: str) -> DatasetCounts:
    query = (
        select(images.c.split, func.count())
        .where(images.c.project_id == project_id, _held(images, None))
        .group_by(images.c.split)
    )
    found = {row[0]: row[1] for row in connection.execute(query)}
    train, validation = found.get("train", 0), found.get("validation", 0)
    return DatasetCounts(train + validation, train, validation)


def count_concepts(connection: Connection, view_id: str) -> list[ConceptCount]:
    """How many live images hold each concept of a view."""
    query = (
        select(
            annotations.c.concept_id,
            func.count().filter(images.c.split == "train").label("train"),
            func.count().filter(images.c.split == "validation").label("validation"),
        )
        .join(images, and_(images.c.image_id == annotations.c.image_id, _held(images, None)))
        .where(
            annotations.c.view_id == view_id,
            annotations.c.concept_id.is_not(None),
            _held(annotations, None),
        )
        .group_by(annotations.c.concept_id)
    )
    return [ConceptCount(*row) for row in connection.execute(query)]
