"""Marks: the dataset of now in the order of its pages, and how many images have each mark.

A mark says one thing of an image: in the scope of its project that it is there; in that of a view
that it is annotated, and with which concepts or without. So each list of images is a walk along
one mark, and each count is kept, not counted.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    Column,
    Index,
    MetaData,
    Table,
    Text,
    all_,
    and_,
    case,
    delete,
    exists,
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
from projections.engine.read_model import SCHEMA, Write, parameter_rows, write_rows

metadata = MetaData(schema=SCHEMA)

BLOCK = 512
"""Positions of the log that are counted together, to find the few images that lack a mark."""

SHARDS = 16
"""Rows that hold a mark's total together, at blocks below 0: one that every event of a page changes
would cost each of them the steps over all its former versions."""

PRESENT, ANNOTATED, WITHOUT = "*present", "*annotated", "*without concept"
"""The marks that are no concept's id."""

entries = Table(
    "dataset_v3_marks",
    metadata,
    Column("image_id", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("mark", Text, nullable=False),
    Column("split", Text, nullable=False),
    Column("block", BigInteger, nullable=False),
    Column("added_position", BigInteger, nullable=False),
    Index("dataset_v3_marks_by_image", "image_id", "scope", "mark"),
    Index("dataset_v3_marks_in_order", "scope", "mark", "split", "added_position"),
)
"""Each mark of an image once. `scope` is a project or a view; `block` is that of its
count, or a shard."""

counts = Table(
    "dataset_v3_counts",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("block", BigInteger, primary_key=True),
    Column("mark", Text, primary_key=True),
    Column("split", Text, primary_key=True),
    Column("images", BigInteger, nullable=False),
)
"""How many images have a mark: in total, over its shards, and of those present and annotated block
by block too."""

_counted = [
    entries.c.scope,
    entries.c.mark,
    entries.c.split,
    entries.c.block,
    entries.c.added_position,
]


def _shard(position: Any) -> Any:
    return literal_column("-1", BigInteger) - position % literal_column(str(SHARDS), BigInteger)


def _places(one: Any) -> Any:
    """The counts that marks are in, each place once, with how many of them are in it."""
    named = one.c.scope, one.c.mark, one.c.split
    shard = _shard(one.c.added_position).label("block")
    by_block = select(*named, one.c.block).where(one.c.block >= 0)
    each = union_all(by_block, select(*named, shard)).subquery()
    return select(*each.c, func.count().label("images")).group_by(*each.c).subquery()


def _uncount(gone: Any) -> Any:
    places = _places(gone)
    same = and_(*(column == places.c[column.name] for column in counts.primary_key.columns))
    return update(counts).where(same).values(images=counts.c.images - places.c.images)


def _count(come: Any) -> Any:
    places = _places(come)
    statement = upsert(counts).from_select(list(places.c.keys()), select(*places.c))
    return statement.on_conflict_do_update(
        index_elements=list(counts.primary_key.columns),
        set_={"images": counts.c.images + statement.excluded.images},
    )


def _unmark(*which: Any) -> Any:
    return _uncount(delete(entries).where(*which).returning(*_counted).cte("gone"))


_added = parameter_rows(
    image_id=Text, project_id=Text, split=Text, block=BigInteger, added_position=BigInteger
)
_mark_present = _count(
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
    .cte("come")
)

_annotated = parameter_rows(image_id=Text, view_id=Text, marks=ARRAY(Text))
_said = func.unnest(_annotated.c.marks).table_valued("mark").render_derived(name="said").lateral()
_has = entries.alias("has")
_of_annotated = entries.c.image_id == _annotated.c.image_id
_mark_annotated = _count(
    insert(entries)
    .from_select(
        ["image_id", "scope", "mark", "split", "block", "added_position"],
        select(
            entries.c.image_id,
            _annotated.c.view_id,
            _said.c.mark,
            entries.c.split,
            case(
                (_said.c.mark == literal(ANNOTATED), entries.c.block),
                else_=_shard(entries.c.added_position),
            ),
            entries.c.added_position,
        )
        .select_from(_annotated.join(_said, true()).join(entries, _of_annotated))
        .where(
            entries.c.mark == literal(PRESENT),
            ~exists().where(
                _has.c.image_id == _annotated.c.image_id,
                _has.c.scope == _annotated.c.view_id,
                _has.c.mark == _said.c.mark,
            ),
        ),
    )
    .returning(*_counted)
    .cte("come")
)
# What stays said is left alone: its counts would change twice for nothing.
_unmark_view = _unmark(
    _of_annotated,
    entries.c.scope == _annotated.c.view_id,
    entries.c.mark != all_(_annotated.c.marks),
)

_removed = parameter_rows(image_id=Text)
_unmark_all = _unmark(entries.c.image_id == _removed.c.image_id)

_moved = parameter_rows(image_id=Text, split=Text)
_of_moved = entries.c.image_id == _moved.c.image_id
_uncount_images = _uncount(select(*_counted).where(_of_moved).cte("gone"))
_move_marks = _count(
    update(entries).where(_of_moved).values(split=_moved.c.split).returning(*_counted).cte("come")
)

Rows = Sequence[Mapping[str, Any]]


def mark_present(added: Rows) -> Iterator[Write]:
    """Images of `image_id` and `split` join their `project_id` at `added_position`."""
    rows = [{**row, "block": row["added_position"] // BLOCK} for row in added]
    yield from write_rows(_mark_present, _only(_added, rows))


def move_marks(moved: Rows) -> Iterator[Write]:
    """All that is said of each image, an `image_id`, is said of its `split`."""
    rows = _only(_moved, moved)
    yield from write_rows(_uncount_images, rows)
    yield from write_rows(_move_marks, rows)


def unmark_all(removed: Rows) -> Iterator[Write]:
    yield from write_rows(_unmark_all, _only(_removed, removed))


def mark_annotated(annotated: Rows) -> Iterator[Write]:
    """Of each image, an `image_id`, just its `marks` are said in its `view_id`."""
    rows = _only(_annotated, annotated)
    yield from write_rows(_unmark_view, rows)
    yield from write_rows(_mark_annotated, [row for row in rows if row["marks"]])


def marks_of(annotated: ImageAnnotated) -> list[str]:
    """What an event says of its image."""
    held = {annotation.concept_id for annotation in annotated.annotations}
    if annotated.without_concept:
        held = {WITHOUT}
    return [ANNOTATED, *sorted(held)] if held else []


def _only(given: CTE, rows: Rows) -> list[dict[str, Any]]:
    names = given.c.keys()
    return [{name: row[name] for name in names} for row in rows]
