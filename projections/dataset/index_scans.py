"""Index scans: the images that match a filter, in order, and the number of images of each term."""

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

from domain.dataset.image import SPLITS
from domain.dataset.items import Parent
from projections.dataset.inverted_index import (
    ANNOTATED,
    BLOCK,
    PRESENT,
    REVIEWED,
    WITHOUT,
    counts,
    entries,
)


class ImageFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A filter of images; all fields but `split` and `file_names` are about their annotations in
    `view_id`."""

    split: str | None = None
    view_id: str | None = None
    concept_id: str | None = None
    annotated: bool | None = None
    without_concept: bool = False
    reviewed: bool | None = None
    """Of annotated images: whether their annotations were reviewed as they are now."""
    parents: tuple[Parent, ...] = ()
    """The views above a child view: then only images that have an item in it match."""
    file_names: tuple[str, ...] = ()
    """The names of files, if only images with one of them match."""

    @property
    def uses_view(self) -> bool:
        return self._names_annotation or self.annotated is not None or self.reviewed is not None

    @property
    def is_contradictory(self) -> bool:
        needs_annotation = self._names_annotation or self.reviewed is not None
        both = self.concept_id is not None and self.without_concept
        return both or (needs_annotation and self.annotated is False)

    @property
    def _names_annotation(self) -> bool:
        return self.concept_id is not None or self.without_concept

    @property
    def lacks(self) -> "Lacking | None":
        """What the images lack, where that is all that they have in common."""
        if self.annotated is False:
            return _UNANNOTATED
        return _UNREVIEWED if self.reviewed is False and not self._names_annotation else None

    @property
    def checks_review(self) -> bool | None:
        """Whether each image with the term must be reviewed, or must not be; None if neither."""
        return self.reviewed if self._names_annotation else None


class Lacking(msgspec.Struct, frozen=True):
    """Images with a term, in the scope of the project or of the view, that lack another of the
    view's. Both are counted in blocks."""

    scope: str
    has: str
    lacks: str


_UNANNOTATED = Lacking("project", PRESENT, ANNOTATED)
_UNREVIEWED = Lacking("scope", ANNOTATED, REVIEWED)


class SplitCount(msgspec.Struct, frozen=True):
    """The number of images in each split."""

    train: int = 0
    validation: int = 0
    test: int = 0

    @property
    def all(self) -> int:
        return self.train + self.validation + self.test

    def less(self, other: "SplitCount") -> "SplitCount":
        return SplitCount(
            self.train - other.train,
            self.validation - other.validation,
            self.test - other.test,
        )


def page_of(filters: ImageFilter, newest: bool, bounded: bool) -> Subquery:
    """A query for `image_id` and `added_position` of the first images that match, to run with
    `parameters`.

    It is cached for all filters of the same form: building it takes longer than running it.
    """
    splits = (filters.split,) if filters.split else SPLITS
    return _page_of(filters.lacks, filters.checks_review, splits, newest, bounded)


def parameters(
    project_id: str, filters: ImageFilter, after: int | None, limit: int
) -> dict[str, str | int | None]:
    scope, mark = filters.view_id, ANNOTATED
    if filters.concept_id is not None:
        mark = filters.concept_id
    elif filters.without_concept:
        mark = WITHOUT
    elif filters.reviewed:
        mark = REVIEWED
    elif filters.annotated is None and filters.reviewed is None:
        scope, mark = project_id, PRESENT
    page = {"after": after} if after is not None else {}
    if filters.lacks is not None:
        page |= {"block": BLOCK}
    return {"project": project_id, "scope": scope, "mark": mark, "limit": limit} | page


_limit = bindparam("limit", type_=Integer)
_after = bindparam("after", type_=BigInteger)
_block = bindparam("block", type_=BigInteger)


@lru_cache
def _page_of(
    lacking: Lacking | None,
    reviewed: bool | None,
    splits: tuple[str, ...],
    newest: bool,
    bounded: bool,
) -> Subquery:
    scans = [
        (
            _scan(split, newest, bounded, reviewed)
            if lacking is None
            else _scan_lacking(lacking, split, newest, bounded)
        )
        .limit(_limit)
        .subquery()
        for split in splits
    ]
    rows = union_all(*(select(scan) for scan in scans)).subquery()
    return select(rows).order_by(order(rows.c.added_position, newest)).limit(_limit).subquery()


def order(column: Any, newest: bool) -> ColumnElement[Any]:
    ordered: ColumnElement[Any] = column.desc() if newest else column.asc()
    return ordered


def beyond(column: Any, after: Any, newest: bool) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = column < after if newest else column > after
    return condition


def _scan(split: str, newest: bool, bounded: bool, reviewed: bool | None) -> Select[Any]:
    """A scan of one split's images with a term, along an index; each is looked up among the
    reviewed ones on request."""
    query = (
        select(entries.c.image_id, entries.c.added_position)
        .where(
            entries.c.scope == bindparam("scope"),
            entries.c.mark == bindparam("mark"),
            entries.c.split == split,
        )
        .order_by(order(entries.c.added_position, newest))
    )
    if reviewed is not None:
        of_image = entries.alias()
        is_reviewed = exists().where(
            of_image.c.image_id == entries.c.image_id,
            of_image.c.scope == bindparam("scope"),
            of_image.c.mark == REVIEWED,
        )
        query = query.where(is_reviewed if reviewed else ~is_reviewed)
    return query.where(beyond(entries.c.added_position, _after, newest)) if bounded else query


def _scan_lacking(lacking: Lacking, split: str, newest: bool, bounded: bool) -> Select[Any]:
    """A scan of the blocks that have images without a term, skipping all others."""

    def blocks(scope: str, mark: str) -> Subquery:
        query = select(counts.c.block, counts.c.images).where(
            counts.c.scope == bindparam(scope),
            counts.c.block >= 0,
            counts.c.mark == mark,
            counts.c.split == split,
        )
        return query.subquery()

    outer, inner = blocks(lacking.scope, lacking.has), blocks("scope", lacking.lacks)
    some = (
        select(outer.c.block)
        .outerjoin(inner, inner.c.block == outer.c.block)
        .where(outer.c.images > func.coalesce(inner.c.images, 0))
        .order_by(order(outer.c.block, newest))
        # Each has at least one, but that of the first block may lie before `after`.
        .limit(_limit + 1)
    )
    if bounded:
        near = _after // _block
        some = some.where(outer.c.block <= near if newest else outer.c.block >= near)
    block = some.subquery()
    of_view = entries.alias()

    def inside(position: ColumnElement[int]) -> ColumnElement[bool]:
        begin = block.c.block * _block
        return and_(position >= begin, position < begin + _block)

    query = (
        select(entries.c.image_id, entries.c.added_position)
        .where(
            entries.c.scope == bindparam(lacking.scope),
            entries.c.mark == lacking.has,
            entries.c.split == split,
            inside(entries.c.added_position),
            ~exists()
            .where(
                of_view.c.scope == bindparam("scope"),
                of_view.c.mark == lacking.lacks,
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
        query = query.where(beyond(entries.c.added_position, _after, newest))
    found = query.lateral()
    return (
        select(found)
        .select_from(block.join(found, true()))
        .order_by(order(block.c.block, newest), order(found.c.added_position, newest))
    )


def count_by_term(connection: Connection, scopes: list[str]) -> dict[str, dict[str, SplitCount]]:
    """The number of images of each term, by scope and term."""
    query = (
        select(counts.c.scope, counts.c.mark, counts.c.split, func.sum(counts.c.images))
        .where(counts.c.scope.in_(scopes), counts.c.block < 0)
        .group_by(counts.c.scope, counts.c.mark, counts.c.split)
    )
    return by_scope(scopes, connection.execute(query))


def by_scope(scopes: list[str], counted: Iterable[Any]) -> dict[str, dict[str, SplitCount]]:
    """Numbers of images by scope and term, from rows of scope, term, split and number."""
    by_split: dict[str, dict[str, dict[str, int]]] = {scope: {} for scope in scopes}
    for scope, term, split, total in counted:
        by_split[scope].setdefault(term, {})[split] = int(total)
    return {
        scope: {term: SplitCount(**of_split) for term, of_split in of_scope.items()}
        for scope, of_scope in by_split.items()
    }
