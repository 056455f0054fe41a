"""The inverted index of the current dataset, and the number of images for each term.

A term of an image, in the scope of its project, is that it is present. In the scope of a view, its
terms are that it is annotated, and each of its concepts, or that it is without concept, and that
it is reviewed, until it is annotated again. So each
list of images is a scan of one term, and each count is stored. The terms are in the columns `mark`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    Column,
    Index,
    MetaData,
    Select,
    Table,
    Text,
    all_,
    and_,
    case,
    delete,
    func,
    insert,
    literal,
    literal_column,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from domain.dataset.image import ImageAnnotated
from projections.engine.read_model import ONLY_READ, SCHEMA, Write, parameter_rows, write_rows

metadata = MetaData(schema=SCHEMA)

BLOCK = 512
"""The number of log positions in a block; blocks are counted, to find the few images without a
term."""

SHARDS = 16
"""The number of rows among which a term's total is divided, at blocks below 0. If every event of a
page updated the same row, each update would have to step over all its dead tuples."""

PRESENT, ANNOTATED, WITHOUT = "*present", "*annotated", "*without concept"
REVIEWED = "*reviewed"
"""The terms that are not a concept's id."""

entries = Table(
    "dataset_v4_marks",
    metadata,
    Column("image_id", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("mark", Text, nullable=False),
    Column("split", Text, nullable=False),
    Column("block", BigInteger, nullable=False),
    Column("added_position", BigInteger, nullable=False),
    Index("dataset_v4_marks_by_image", "image_id", "scope", "mark"),
    Index("dataset_v4_marks_in_order", "scope", "mark", "split", "added_position", info=ONLY_READ),
)
"""Each term of an image once. `scope` is a project or a view; `block` is the block in which it is
counted, or a shard."""

counts = Table(
    "dataset_v4_counts",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("block", BigInteger, primary_key=True),
    Column("mark", Text, primary_key=True),
    Column("split", Text, primary_key=True),
    Column("images", BigInteger, nullable=False),
)
"""The number of images with a term: in total, divided among shards. Present, annotated and reviewed
images are also counted in blocks."""

_counted = [
    entries.c.scope,
    entries.c.mark,
    entries.c.split,
    entries.c.block,
    entries.c.added_position,
]


def _shard(position: Any) -> Any:
    return literal_column("-1", BigInteger) - position % literal_column(str(SHARDS), BigInteger)


def _counts_of(changed: Any) -> Any:
    """The number of changed entries in each row of `counts`."""
    key = changed.c.scope, changed.c.mark, changed.c.split
    shard = _shard(changed.c.added_position).label("block")
    by_block = select(*key, changed.c.block).where(changed.c.block >= 0)
    each = union_all(by_block, select(*key, shard)).subquery()
    return select(*each.c, func.count().label("images")).group_by(*each.c).subquery()


def _subtract_counts(removed: Any) -> Any:
    changes = _counts_of(removed)
    same = and_(*(column == changes.c[column.name] for column in counts.primary_key.columns))
    return update(counts).where(same).values(images=counts.c.images - changes.c.images)


def _add_counts(added: Any) -> Any:
    changes = _counts_of(added)
    statement = upsert(counts).from_select(list(changes.c.keys()), select(*changes.c))
    return statement.on_conflict_do_update(
        index_elements=list(counts.primary_key.columns),
        set_={"images": counts.c.images + statement.excluded.images},
    )


def _remove(*which: Any) -> Any:
    return _subtract_counts(delete(entries).where(*which).returning(*_counted).cte("removed"))


_added = parameter_rows(
    image_id=Text, project_id=Text, split=Text, block=BigInteger, added_position=BigInteger
)
_index_images = _add_counts(
    insert(entries)
    .from_select(
        ["image_id", "scope", "mark", "split", "block", "added_position"],
        select(
            _added.c.image_id,
            _added.c.project_id,
            literal(PRESENT),
            _added.c.split,
            _added.c.block,
            _added.c.added_position,
        ),
    )
    .returning(*_counted)
    .cte("added")
)

_annotated = parameter_rows(image_id=Text, view_id=Text, terms=ARRAY(Text))
_terms = func.unnest(_annotated.c.terms).table_valued("mark").render_derived(name="terms").lateral()
_has = entries.alias("has")
_of_annotated = entries.c.image_id == _annotated.c.image_id
# Looked up image by image, which LIMIT and OFFSET keep PostgreSQL to, however it expects the tables
# to have grown. An image has one project, and one such entry.
_image = select(entries).where(_of_annotated, entries.c.mark == literal(PRESENT)).limit(1).lateral()
_has_term: Select[Any] = (
    select(literal_column("1"))
    .where(
        _has.c.image_id == _annotated.c.image_id,
        _has.c.scope == _annotated.c.view_id,
        _has.c.mark == _terms.c.mark,
    )
    .offset(literal_column("0"))
)
_index_annotations = _add_counts(
    insert(entries)
    .from_select(
        ["image_id", "scope", "mark", "split", "block", "added_position"],
        select(
            _image.c.image_id,
            _annotated.c.view_id,
            _terms.c.mark,
            _image.c.split,
            case(
                (_terms.c.mark.in_([literal(ANNOTATED), literal(REVIEWED)]), _image.c.block),
                else_=_shard(_image.c.added_position),
            ),
            _image.c.added_position,
        )
        .select_from(_annotated.join(_image, true()).join(_terms, true()))
        .where(~_has_term.exists()),
    )
    .returning(*_counted)
    .cte("added")
)
# Terms that do not change are not removed: their counts would change twice for nothing.
_remove_annotations = _remove(
    _of_annotated,
    entries.c.scope == _annotated.c.view_id,
    entries.c.mark != all_(_annotated.c.terms),
)

_withdrawn = parameter_rows(image_id=Text, view_id=Text)
_remove_reviews = _remove(
    entries.c.image_id == _withdrawn.c.image_id,
    entries.c.scope == _withdrawn.c.view_id,
    entries.c.mark == literal(REVIEWED),
)

_removed = parameter_rows(image_id=Text)
_remove_images = _remove(entries.c.image_id == _removed.c.image_id)

_moved = parameter_rows(image_id=Text, split=Text)
_of_moved = entries.c.image_id == _moved.c.image_id
_subtract_splits = _subtract_counts(select(*_counted).where(_of_moved).cte("removed"))
_index_splits = _add_counts(
    update(entries).where(_of_moved).values(split=_moved.c.split).returning(*_counted).cte("added")
)

Rows = Sequence[Mapping[str, Any]]


def index_images(added: Rows) -> Iterator[Write]:
    """Index images added to `project_id`: rows of `image_id`, `split` and `added_position`."""
    rows = [{**row, "block": row["added_position"] // BLOCK} for row in added]
    yield from write_rows(_index_images, _only(_added, rows))


def index_splits(moved: Rows) -> Iterator[Write]:
    """Move the entries of images to another split: rows of `image_id` and `split`."""
    rows = _only(_moved, moved)
    yield from write_rows(_subtract_splits, rows)
    yield from write_rows(_index_splits, rows)


def remove_images(removed: Rows) -> Iterator[Write]:
    """Remove all entries of images: rows of `image_id`."""
    yield from write_rows(_remove_images, _only(_removed, removed))


def index_annotations(annotated: Rows) -> Iterator[Write]:
    """Replace the entries of images in a view: rows of `image_id`, `view_id` and `terms`."""
    rows = _only(_annotated, annotated)
    yield from write_rows(_remove_annotations, rows)
    yield from write_rows(_index_annotations, [row for row in rows if row["terms"]])


def index_reviews(reviewed: Rows) -> Iterator[Write]:
    """Mark images as reviewed in a view: rows of `image_id` and `view_id`."""
    rows = [{**row, "terms": [REVIEWED]} for row in reviewed]
    yield from write_rows(_index_annotations, _only(_annotated, rows))


def remove_reviews(withdrawn: Rows) -> Iterator[Write]:
    """Mark images as not reviewed in a view: rows of `image_id` and `view_id`."""
    yield from write_rows(_remove_reviews, _only(_withdrawn, withdrawn))


def terms_of(annotated: ImageAnnotated) -> list[str]:
    """The terms of an image in a view after an annotation."""
    terms = {annotation.concept_id for annotation in annotated.annotations}
    if annotated.without_concept:
        terms.add(WITHOUT)
    return [ANNOTATED, *sorted(terms)] if terms else []


def _only(parameters: CTE, rows: Rows) -> list[dict[str, Any]]:
    names = parameters.c.keys()
    return [{name: row[name] for name in names} for row in rows]
