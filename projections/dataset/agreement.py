"""Blind annotations, beside those of the dataset that they are compared with."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Index,
    MetaData,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    delete,
    exists,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, BIT, JSONB, insert

from domain.dataset.agreement import TwoAnnotations
from domain.dataset.annotation import Annotation
from domain.dataset.image import ImageAnnotatedBlindly, ImageErased, ImageRemoved
from domain.dataset.items import Parent
from domain.event import Recorded
from projections.dataset.dataset import annotations, images, revisions
from projections.dataset.label_history import LabelHistory, label_histories
from projections.dataset.queries import ImageRow, find_image
from projections.engine.read_model import SCHEMA, ReadModel, Write, event_by_event

metadata = MetaData(schema=SCHEMA)

blind = Table(
    "agreement_v1_annotations",
    metadata,
    Column("view_id", Text, primary_key=True),
    Column("image_id", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("annotations", JSONB, nullable=False),
    Column("without_concept", Boolean, nullable=False),
    Column("position", BigInteger, nullable=False),
    Index("agreement_v1_annotations_by_image", "image_id"),
    Index("agreement_v1_annotations_by_position", "view_id", "position"),
)
"""Each account's last one of an image in a view."""

_given = insert(blind)
_annotate = _given.on_conflict_do_update(
    index_elements=["view_id", "image_id", "account"],
    set_={name: _given.excluded[name] for name in ("annotations", "without_concept", "position")},
)
_withdraw = delete(blind).where(
    blind.c.view_id == bindparam("view"),
    blind.c.image_id == bindparam("image"),
    blind.c.account == bindparam("who"),
)
_remove = delete(blind).where(blind.c.image_id == bindparam("image"))


def project(recorded: Recorded) -> Iterator[Write]:
    key = recorded.entity_id
    match recorded.event:
        case ImageAnnotatedBlindly() as event if event.annotations or event.without_concept:
            row = {
                "view_id": event.view_id,
                "image_id": key,
                "account": recorded.metadata.actor,
                "annotations": msgspec.to_builtins(event.annotations),
                "without_concept": event.without_concept,
                "position": recorded.position,
            }
            yield Write(_annotate, row)
        case ImageAnnotatedBlindly(view_id=view_id):
            own = {"view": view_id, "image": key, "who": recorded.metadata.actor}
            yield Write(_withdraw, own)
        case ImageRemoved() | ImageErased():
            yield Write(_remove, {"image": key})


AGREEMENT = ReadModel(
    "agreement_v1",
    metadata,
    event_by_event(project),
    ("image.annotated_blindly", "image.removed", "image.erased"),
)


class Compared(msgspec.Struct, frozen=True):
    """An image that two accounts annotated, the second without seeing the first's annotations."""

    image_id: str
    first_by: str
    second_by: str
    annotations: TwoAnnotations
    position: int


def compared(
    connection: Connection, view_id: str, *, before: int | None = None, limit: int
) -> list[Compared]:
    """The blind annotations of a view, the newest first, each with what was in force then."""
    query = select(blind).where(blind.c.view_id == view_id)
    if before is not None:
        query = query.where(blind.c.position < before)
    rows = connection.execute(query.order_by(blind.c.position.desc()).limit(limit)).all()
    if not rows:
        return []
    ids = {row.image_id for row in rows}
    histories = label_histories(connection, view_id, ids, since=rows[-1].position - 1)
    authors = _authors(connection, ids)
    found = []
    for row in rows:
        history = histories.get(row.image_id, LabelHistory([]))
        spans = (
            span
            for span in history.spans
            if span.valid_from < row.position
            and (span.valid_to is None or span.valid_to > row.position)
        )
        first = next(spans, None)
        if first is None:
            continue  # the dataset is not as far as this read model
        second = msgspec.convert(row.annotations, tuple[Annotation, ...])
        found.append(
            Compared(
                row.image_id,
                authors.get((row.image_id, first.valid_from), ""),
                row.account,
                TwoAnnotations(tuple(first.annotations), second),
                row.position,
            )
        )
    return found


def count_blind(connection: Connection, view_id: str) -> int:
    query = select(func.count()).select_from(blind).where(blind.c.view_id == view_id)
    return int(connection.scalar(query) or 0)


def images_for(
    connection: Connection,
    project_id: str,
    view_id: str,
    account: str,
    share: float,
    *,
    parents: Sequence[Parent] = (),
    after: int | None = None,
    limit: int,
) -> list[ImageRow]:
    """Images of a view that others annotated and the account did not yet, in the order they were
    added, without their annotations.

    The share of all images, 0 to 1, is drawn by their ids, so that everybody is given the same.
    """
    mine = exists().where(
        blind.c.view_id == view_id,
        blind.c.image_id == images.c.image_id,
        blind.c.account == account,
    )
    own = exists().where(
        annotations.c.view_id == view_id,
        annotations.c.image_id == images.c.image_id,
        annotations.c.valid_to.is_(None),
        _author_at(annotations.c.valid_from) == account,
    )
    annotated = exists().where(
        annotations.c.view_id == view_id,
        annotations.c.image_id == images.c.image_id,
        annotations.c.valid_to.is_(None),
    )
    query = (
        select(images.c.image_id)
        .where(
            images.c.project_id == project_id,
            images.c.valid_to.is_(None),
            _in_share(share),
            annotated,
            ~own,
            ~mine,
        )
        .order_by(images.c.added_position)
        .limit(limit)
    )
    if after is not None:
        query = query.where(images.c.added_position > after)
    found = (
        find_image(connection, image_id, view_id=view_id, parents=parents)
        for image_id in connection.scalars(query).all()
    )
    return [hidden(image) for image in found if image is not None]


def hidden(image: ImageRow) -> ImageRow:
    """The image without its annotations."""
    return msgspec.structs.replace(
        image, annotations=[], without_concept=False, reviewed_by=None, reviewed_at=None
    )


def _in_share(share: float) -> ColumnElement[bool]:
    number = cast(
        cast(literal("x", Text).concat(func.left(func.md5(images.c.image_id), 8)), BIT(32)),
        BigInteger,
    )
    return number < share * 2**32


def _author_at(position: ColumnElement[int]) -> ColumnElement[str]:
    """Who changed an image, the one of the outer query, at a position."""
    changed = images.alias("changed")
    former = select(revisions.c.changed_by).where(
        revisions.c.image_id == images.c.image_id, revisions.c.valid_from == position
    )
    latest = select(changed.c.changed_by).where(
        changed.c.image_id == images.c.image_id, changed.c.changed_position == position
    )
    return func.coalesce(former.limit(1).scalar_subquery(), latest.limit(1).scalar_subquery())


def _authors(connection: Connection, image_ids: Collection[str]) -> dict[tuple[str, int], str]:
    """Who changed the images at which positions."""
    among: Any = any_(bindparam("ids", list(image_ids), type_=ARRAY(Text)))
    former = select(revisions.c.image_id, revisions.c.valid_from, revisions.c.changed_by)
    latest = select(images.c.image_id, images.c.changed_position, images.c.changed_by)
    query = union_all(
        former.where(revisions.c.image_id == among), latest.where(images.c.image_id == among)
    )
    return {(image_id, at): by for image_id, at, by in connection.execute(query)}
