"""Pages of images as columns, which PostgreSQL puts together: no object is made for a row.

A column of texts is their UTF-8, with `SEPARATOR` between two; no name or id may hold it. Numbers
are in PostgreSQL's binary formats: big-endian, and times as microseconds since 2000.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache, reduce
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    FromClause,
    Integer,
    LargeBinary,
    Select,
    String,
    Text,
    and_,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from domain.dataset.image import Box
from projections.dataset.dataset import annotations, reviews
from projections.dataset.index_scans import ImageFilter
from projections.dataset.queries import page_of_images
from projections.dataset.validity import valid

SEPARATOR = b"\x1f"

_NOTHING: Any = literal_column("''::bytea", LargeBinary)
_SEPARATOR: Any = literal_column(f"chr({SEPARATOR[0]})", String)
_SIDES = Box.__struct_fields__


class ImageColumns(NamedTuple):
    """A page of images: `numbers` are those of `NUMBERS`, row by row; `metadata` is JSON texts."""

    rows: int
    project_id: str
    texts: Mapping[str, bytes]
    numbers: bytes
    metadata: bytes


class AnnotationColumns(NamedTuple):
    """The annotations of a page in a view, in the order of its images.

    `places` are the images' numbers in the page, from 0, one for each annotation; `has_box` is a
    byte for each. `without_concept` are the places of images that were annotated so.
    """

    places: bytes
    concept_ids: bytes
    has_box: bytes
    sides: Mapping[str, bytes]
    without_concept: bytes


class ReviewColumns(NamedTuple):
    """Who reviewed images of a page, and when; `places` are as those of annotations."""

    places: bytes
    reviewed_by: bytes
    reviewed_at: bytes


TEXTS = ("image_id", "blob", "file_name", "split", "changed_by")
INTEGERS = ("width", "height")
LONG = ("added_position", "revision")
MOMENTS = ("changed_at",)
NUMBERS = (*INTEGERS, *LONG, *MOMENTS)

_ALONG_INDEX = select(func.set_config("enable_sort", "off", True))
"""Rows of images are wide, and large pages of them would be sorted on disk."""
_AS_BEFORE = text("RESET enable_sort")


def image_columns(
    connection: Connection,
    project_id: str,
    filters: ImageFilter = ImageFilter(),  # noqa: B008
    *,
    after: int | None = None,
    newest: bool = False,
    limit: int = 50,
    as_of: int | None = None,
) -> ImageColumns:
    """The images that `list_images` lists, as columns, without their annotations."""
    if filters.is_contradictory:
        return ImageColumns(0, project_id, dict.fromkeys(TEXTS, b""), b"", b"")
    everything = not filters.uses_view and filters.split is None
    query, values = page_of_images(
        project_id, filters, after, newest, limit, as_of, by_rows=everything
    )
    if everything:
        connection.execute(_ALONG_INDEX)
    row = connection.execute(_columns(query), values).one()._mapping
    if everything:
        connection.execute(_AS_BEFORE)  # other queries of the transaction are planned as ever
    return ImageColumns(
        rows=row["rows"],
        project_id=project_id,
        texts={name: _text(row, name) for name in TEXTS},
        numbers=row["numbers"] or b"",
        metadata=_text(row, "metadata"),
    )


def annotation_columns(
    connection: Connection, view_id: str, image_ids: Sequence[str], as_of: int | None
) -> AnnotationColumns:
    """The annotations of images in a view; `image_ids` are those of a page, in its order."""
    values = {"ids": list(image_ids), "view": view_id}
    row = connection.execute(_annotations(as_of), values).one()._mapping
    return AnnotationColumns(
        places=row["places"] or b"",
        concept_ids=_text(row, "concept_id"),
        has_box=row["has_box"] or b"",
        sides={side: row[side] or b"" for side in _SIDES},
        without_concept=row["without_concept"] or b"",
    )


def review_columns(
    connection: Connection, view_id: str, image_ids: Sequence[str], as_of: int | None
) -> ReviewColumns:
    """The reviews of images in a view; `image_ids` are those of a page, in its order."""
    values = {"ids": list(image_ids), "view": view_id}
    row = connection.execute(_reviews(as_of), values).one()._mapping
    return ReviewColumns(
        places=row["places"] or b"",
        reviewed_by=_text(row, "reviewed_by"),
        reviewed_at=row["reviewed_at"] or b"",
    )


def _text(row: Any, name: str) -> bytes:
    return (row[name] or "").encode()


@lru_cache(64)
def _columns(query: Select[Any]) -> Select[Any]:
    # Aggregates take the rows of a subquery in its order.
    page = query.subquery()
    return select(
        func.count().label("rows"),
        *(_joined(page.c[name]) for name in TEXTS),
        _bytes(reduce(_followed, (_sent(page.c[name]) for name in NUMBERS))).label("numbers"),
        _joined(cast(page.c.metadata, Text).label("metadata")),
    )


def _joined(texts: ColumnElement[str]) -> ColumnElement[Any]:
    joined: ColumnElement[Any] = func.string_agg(texts, _SEPARATOR).label(str(texts.key))
    return joined


def _sent(number: ColumnElement[Any]) -> ColumnElement[Any]:
    name = str(number.key)
    if name in MOMENTS:
        return func.timestamptz_send(number)
    return func.int4send(number) if name in INTEGERS else func.int8send(number)


def _followed(numbers: ColumnElement[Any], by: ColumnElement[Any]) -> ColumnElement[Any]:
    return numbers.op("||", return_type=LargeBinary())(by)


def _bytes(each: ColumnElement[Any]) -> Any:
    return func.string_agg(each, _NOTHING)


_of_page = (
    func.unnest(bindparam("ids", type_=ARRAY(Text)))
    .table_valued(column("image_id", Text), with_ordinality="number")
    .render_derived(name="of_page")
)
_place = (cast(_of_page.c.number, Integer) - literal_column("1", Integer)).label("place")


def _found(table: FromClause, as_of: int | None, *order: ColumnElement[Any]) -> Any:
    """The rows of a page's images in a view, in the page's order."""
    of_image = and_(
        table.c.image_id == _of_page.c.image_id,
        table.c.view_id == bindparam("view"),
        valid(table, as_of),
    )
    found = select(_place, *table.c).select_from(_of_page.join(table, of_image))
    return found.order_by(_of_page.c.number, *order).subquery()


def _annotations(as_of: int | None) -> Select[Any]:
    sides = (annotations.c[side] for side in _SIDES)
    found = _found(annotations, as_of, annotations.c.concept_id, *sides)
    named = found.c.concept_id.is_not(None)
    zero = literal_column("0", Float)
    return select(
        _bytes(func.int4send(found.c.place)).filter(named).label("places"),
        _joined(found.c.concept_id),
        _bytes(func.boolsend(found.c.x.is_not(None))).filter(named).label("has_box"),
        *(
            _bytes(func.float8send(func.coalesce(found.c[side], zero))).filter(named).label(side)
            for side in _SIDES
        ),
        _bytes(func.int4send(found.c.place))
        .filter(found.c.without_concept)
        .label("without_concept"),
    )


def _reviews(as_of: int | None) -> Select[Any]:
    found = _found(reviews, as_of)
    return select(
        _bytes(func.int4send(found.c.place)).label("places"),
        _joined(found.c.reviewed_by),
        _bytes(func.timestamptz_send(found.c.reviewed_at)).label("reviewed_at"),
    )
