"""The dataset: images, their splits and their annotations, each with the positions it held at.

A row holds from the position `valid_from` until before `valid_to`; NULL there means that it still
holds. So the dataset as of any position is a query.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

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
    ImageErased,
    ImageRemoved,
    ImageSplitAssigned,
)
from domain.event import Recorded
from domain.personal import erased_values
from projections.dataset.inverted_index import (
    mark_annotated,
    mark_present,
    marks_of,
    metadata,
    move_marks,
    unmark_all,
)
from projections.engine.read_model import ReadModel, Write, parameter_rows, write_rows


def _validity() -> tuple[Column[int], Column[int | None]]:
    return (
        Column("valid_from", BigInteger, nullable=False),
        Column("valid_to", BigInteger, nullable=True),
    )


images = Table(
    "dataset_v3_images",
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
    Index("dataset_v3_images_by_id", "image_id", "valid_to"),
    Index("dataset_v3_images_by_project", "project_id", "added_position"),
)
"""A row lasts until the image is removed or changes its split; the next one takes over. What is
said of it only gives it another revision."""

revisions = Table(
    "dataset_v3_revisions",
    metadata,
    Column("image_id", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("valid_from", BigInteger, nullable=False),
    Column("valid_to", BigInteger, nullable=False),
    Index("dataset_v3_revisions_by_image", "image_id", "valid_from", "valid_to"),
)
"""The revisions that rows of images had before those that they show."""

annotations = Table(
    "dataset_v3_annotations",
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
    Index("dataset_v3_annotations_by_image", "image_id", "view_id"),
)
"""One row an annotation; *without concept* is a row that names none."""

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
_left = (
    update(images)
    .where(images.c.image_id == _moved.c.image_id, images.c.valid_to.is_(None))
    .values(valid_to=_moved.c.at)
    .returning(
        *(
            one
            for one in images.c
            if one.name not in {"split", "valid_from", "valid_to", *_changed}
        ),
        _moved.c.split,
        _moved.c.at.label("valid_from"),
        *(_moved.c[name] for name in _changed),
    )
    .cte("left")
)
_move_images = insert(images).from_select(list(_left.c.keys()), select(_left))

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

_erased = parameter_rows(image_id=Text)
_scrub = (
    # All rows, past ones too: none may keep what the log does not say any more.
    update(images).where(images.c.image_id == _erased.c.image_id).values(erased_values(ImageAdded))
)

_annotated = parameter_rows(
    image_id=Text,
    view_id=Text,
    at=BigInteger,
    without_concept=Boolean,
    said=JSON,
    **_changed,
)
_said = (
    func.json_to_recordset(_annotated.c.said)
    .table_valued(
        column("concept_id", Text),
        *(column(side, Float) for side in ("x", "y", "width", "height")),
    )
    .render_derived(name="said", with_types=True)
    .lateral()
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
            _annotated.c.image_id,
            _annotated.c.view_id,
            *_said.c,
            _annotated.c.without_concept,
            _annotated.c.at,
        ).select_from(_annotated.join(_said, true())),
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
        update(images)
        .where(images.c.image_id == _annotated.c.image_id, images.c.valid_to.is_(None))
        .values({name: _annotated.c[name] for name in _changed})
        .cte("revised"),
        insert(revisions)
        .from_select(
            ["image_id", "revision", "changed_by", "changed_at", "valid_from", "valid_to"],
            select(
                images.c.image_id,
                images.c.revision,
                images.c.changed_by,
                images.c.changed_at,
                images.c.changed_position,
                _annotated.c.at,
            ).where(images.c.image_id == _annotated.c.image_id, images.c.valid_to.is_(None)),
        )
        .cte("kept"),
    )
)

Row = dict[str, Any]


class _Turn(NamedTuple):
    """Events of different images: whatever their order, the outcome is the same."""

    added: list[Row]
    moved: list[Row]
    removed: list[Row]
    erased: list[Row]
    annotated: list[Row]


def project(page: Sequence[Recorded]) -> Iterator[Write]:
    """Each image's first event of the page, then each one's second, and so on."""
    turns: list[_Turn] = []
    taken: Counter[str] = Counter()
    for recorded in page:
        if not isinstance(
            recorded.event,
            ImageAdded | ImageSplitAssigned | ImageRemoved | ImageErased | ImageAnnotated,
        ):
            continue
        place = taken[recorded.entity_id]
        taken[recorded.entity_id] += 1
        if place == len(turns):
            turns.append(_Turn([], [], [], [], []))
        _take(turns[place], recorded)
    for turn in turns:
        yield from _writes_of(turn)


def _take(turn: _Turn, recorded: Recorded) -> None:
    key, at = recorded.entity_id, recorded.position
    changed = {
        "revision": recorded.originator_version,
        "changed_by": recorded.metadata.actor,
        "changed_at": recorded.metadata.occurred_at,
        "changed_position": at,
    }
    match recorded.event:
        case ImageAdded() as added:
            place = {"image_id": key, "split": TRAIN, "added_position": at, "valid_from": at}
            turn.added.append(msgspec.structs.asdict(added) | place | changed)
        case ImageSplitAssigned(split=split):
            turn.moved.append({"image_id": key, "at": at, "split": split} | changed)
        case ImageRemoved():
            turn.removed.append({"image_id": key, "at": at})
        case ImageErased():
            turn.removed.append({"image_id": key, "at": at})
            turn.erased.append({"image_id": key})
        case ImageAnnotated() as annotated:
            turn.annotated.append(_said_of(key, at, annotated) | changed)


def _writes_of(turn: _Turn) -> Iterator[Write]:
    yield from write_rows(_add_images, turn.added)
    yield from mark_present(turn.added)
    yield from write_rows(_move_images, turn.moved)
    yield from move_marks(turn.moved)
    yield from write_rows(_remove_images, turn.removed)
    yield from write_rows(_remove_annotations, turn.removed)
    yield from unmark_all(turn.removed)
    yield from write_rows(_scrub, turn.erased)
    yield from write_rows(_annotate, turn.annotated)
    yield from mark_annotated(turn.annotated)


def _said_of(key: str, at: int, annotated: ImageAnnotated) -> Row:
    said = [
        {"concept_id": annotation.concept_id}
        | (msgspec.structs.asdict(annotation.box) if annotation.box else {})
        for annotation in annotated.annotations
    ]
    if annotated.without_concept:
        said = [{}]
    return {
        "image_id": key,
        "view_id": annotated.view_id,
        "at": at,
        "without_concept": annotated.without_concept,
        "said": said,
        "marks": marks_of(annotated),
    }


DATASET = ReadModel("dataset_v3", metadata, project, ("image.",))
