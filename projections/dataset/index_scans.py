"""Walks along the marks: the images of a filter in their order, and how many a mark has."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Select,
    Subquery,
    and_,
    bindparam,
    exists,
    func,
    select,
    true,
    union_all,
)

from domain.dataset.image import TRAIN, VALIDATION
from projections.dataset.inverted_index import ANNOTATED, BLOCK, PRESENT, WITHOUT, counts, entries

SPLITS = (TRAIN, VALIDATION)


class ImageFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which images are meant; all but `split` is about what `view_id` says of them."""

    split: str | None = None
    view_id: str | None = None
    concept_id: str | None = None
    annotated: bool | None = None
    without_concept: bool = False

    @property
    def asks_a_view(self) -> bool:
        return self.concept_id is not None or self.annotated is not None or self.without_concept

    @property
    def contradicts_itself(self) -> bool:
        said = self.concept_id is not None or self.without_concept
        both = self.concept_id is not None and self.without_concept
        return both or (said and self.annotated is False)


class SplitCount(msgspec.Struct, frozen=True):
    """Images of each split."""

    train: int = 0
    validation: int = 0

    @property
    def all(self) -> int:
        return self.train + self.validation

    def less(self, other: "SplitCount") -> "SplitCount":
        return SplitCount(self.train - other.train, self.validation - other.validation)


def page_of(wanted: ImageFilter, newest: bool, bounded: bool) -> Subquery:
    """`image_id` and `added_position` of the first images wanted, with `parameters` for values.

    It is made once for all filters of a shape: making it takes longer than answering it.
    """
    splits = (wanted.split,) if wanted.split else SPLITS
    return _page_of(wanted.annotated is False, splits, newest, bounded)


def parameters(
    project_id: str, wanted: ImageFilter, after: int | None, limit: int
) -> dict[str, str | int | None]:
    scope, mark = wanted.view_id, ANNOTATED
    if wanted.concept_id is not None:
        mark = wanted.concept_id
    elif wanted.without_concept:
        mark = WITHOUT
    elif wanted.annotated is None:
        scope, mark = project_id, PRESENT
    page = {"after": after} if after is not None else {}
    if wanted.annotated is False:
        page |= {"block": BLOCK}
    return {"project": project_id, "scope": scope, "mark": mark, "limit": limit} | page


_limit = bindparam("limit", type_=Integer)
_after = bindparam("after", type_=BigInteger)
_block = bindparam("block", type_=BigInteger)


@lru_cache
def _page_of(unannotated: bool, splits: tuple[str, ...], newest: bool, bounded: bool) -> Subquery:
    walk = _walk_unannotated if unannotated else _walk
    walks = [walk(split, newest, bounded).limit(_limit).subquery() for split in splits]
    found = union_all(*(select(one) for one in walks)).subquery()
    return select(found).order_by(order(found.c.added_position, newest)).limit(_limit).subquery()


def order(column: Any, newest: bool) -> ColumnElement[Any]:
    ordered: ColumnElement[Any] = column.desc() if newest else column.asc()
    return ordered


def beyond(column: Any, after: Any, newest: bool) -> ColumnElement[bool]:
    found: ColumnElement[bool] = column < after if newest else column > after
    return found


def _walk(split: str, newest: bool, bounded: bool) -> Select[Any]:
    """One split's images with a mark, along an index."""
    query = (
        select(entries.c.image_id, entries.c.added_position)
        .where(
            entries.c.scope == bindparam("scope"),
            entries.c.mark == bindparam("mark"),
            entries.c.split == split,
        )
        .order_by(order(entries.c.added_position, newest))
    )
    return query.where(beyond(entries.c.added_position, _after, newest)) if bounded else query


def _walk_unannotated(split: str, newest: bool, bounded: bool) -> Select[Any]:
    """Along the blocks that have more images than annotated ones, and only in those."""

    def blocks(scope: str, mark: str) -> Subquery:
        query = select(counts.c.block, counts.c.images).where(
            counts.c.scope == bindparam(scope),
            counts.c.block >= 0,
            counts.c.mark == mark,
            counts.c.split == split,
        )
        return query.subquery()

    present, annotated = blocks("project", PRESENT), blocks("scope", ANNOTATED)
    lacking = (
        select(present.c.block)
        .outerjoin(annotated, annotated.c.block == present.c.block)
        .where(present.c.images > func.coalesce(annotated.c.images, 0))
        .order_by(order(present.c.block, newest))
        # Each has one at least, but the first perhaps on the other side of `after`.
        .limit(_limit + 1)
    )
    if bounded:
        near = _after // _block
        lacking = lacking.where(present.c.block <= near if newest else present.c.block >= near)
    block = lacking.subquery()
    of_view = entries.alias()

    def inside(position: ColumnElement[int]) -> ColumnElement[bool]:
        begin = block.c.block * _block
        return and_(position >= begin, position < begin + _block)

    found = (
        select(entries.c.image_id, entries.c.added_position)
        .where(
            entries.c.scope == bindparam("project"),
            entries.c.mark == PRESENT,
            entries.c.split == split,
            inside(entries.c.added_position),
            ~exists()
            .where(
                of_view.c.scope == bindparam("scope"),
                of_view.c.mark == ANNOTATED,
                of_view.c.split == split,
                of_view.c.added_position == entries.c.added_position,
                inside(of_view.c.added_position),
            )
            .correlate(entries, block),
        )
        .order_by(order(entries.c.added_position, newest))
        .correlate(block)
    )
    if bounded:
        found = found.where(beyond(entries.c.added_position, _after, newest))
    inner = found.lateral()
    return (
        select(inner)
        .select_from(block.join(inner, true()))
        .order_by(order(block.c.block, newest), order(inner.c.added_position, newest))
    )


def count_marks(connection: Connection, scopes: list[str]) -> dict[str, dict[str, SplitCount]]:
    """The images of each mark, by scope and mark."""
    query = (
        select(counts.c.scope, counts.c.mark, counts.c.split, func.sum(counts.c.images))
        .where(counts.c.scope.in_(scopes), counts.c.block < 0)
        .group_by(counts.c.scope, counts.c.mark, counts.c.split)
    )
    return by_scope(scopes, connection.execute(query))


def by_scope(scopes: list[str], counted: Iterable[Any]) -> dict[str, dict[str, SplitCount]]:
    """Numbers of images by scope and mark, from rows of scope, mark, split and number."""
    by_split: dict[str, dict[str, dict[str, int]]] = {scope: {} for scope in scopes}
    for scope, mark, split, total in counted:
        by_split[scope].setdefault(mark, {})[split] = int(total)
    return {
        scope: {mark: SplitCount(**of_split) for mark, of_split in of_scope.items()}
        for scope, of_scope in by_split.items()
    }
