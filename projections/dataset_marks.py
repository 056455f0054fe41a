"""Marks: the dataset of now in the order of its pages, and how many images have each mark.

A mark says one thing of an image: in the scope of its project that it is there; in that of a view
that it is annotated, and with which concepts or without. So each list of images is a walk along
one mark, and each count is kept, not counted.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    MetaData,
    Table,
    Text,
    all_,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    select,
    union,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from domain.image import TRAIN, ImageAnnotated
from projections.read_model import SCHEMA, Write

metadata = MetaData(schema=SCHEMA)

BLOCK = 512
"""Positions of the log that are counted together, to find the few images that lack a mark."""

SHARDS = 16
"""Rows that hold a mark's total together, at blocks below 0: one that every event of a page changes
would cost each of them the steps over all its former versions."""

PRESENT, ANNOTATED, WITHOUT = "*present", "*annotated", "*without concept"
"""The marks that are no concept's id."""

marks = Table(
    "dataset_v2_marks",
    metadata,
    Column("image_id", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("mark", Text, nullable=False),
    Column("split", Text, nullable=False),
    Column("block", BigInteger, nullable=False),
    Column("added_position", BigInteger, nullable=False),
    Index("dataset_v2_marks_by_image", "image_id", "scope", "mark"),
    Index("dataset_v2_marks_in_order", "scope", "mark", "split", "added_position"),
)
"""Each mark of an image once. `scope` is a project or a view; `block` is that of its
count, or a shard."""

counts = Table(
    "dataset_v2_counts",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("block", BigInteger, primary_key=True),
    Column("mark", Text, primary_key=True),
    Column("split", Text, primary_key=True),
    Column("images", BigInteger, nullable=False),
)
"""How many images have a mark: in total, over its shards, and of those present and annotated block
by block too."""

_counted = [marks.c.scope, marks.c.mark, marks.c.split, marks.c.block, marks.c.added_position]
_one = literal_column("1", BigInteger)


def _shard(position: Any) -> Any:
    return -_one - position % literal_column(str(SHARDS), BigInteger)


def _places(one: Any) -> Any:
    """The counts that the marks of one image are in, each once."""
    named = one.c.scope, one.c.mark, one.c.split
    shard = _shard(one.c.added_position).label("block")
    return union(select(*named, one.c.block), select(*named, shard)).subquery()


def _uncount(gone: Any) -> Any:
    places = _places(gone)
    same = and_(*(counts.c[column.name] == column for column in places.c))
    return update(counts).where(same).values(images=counts.c.images - _one)


def _count(come: Any) -> Any:
    places = _places(come)
    statement = upsert(counts).from_select(
        [*(column.name for column in places.c), "images"], select(*places.c, _one)
    )
    return statement.on_conflict_do_update(
        index_elements=list(counts.primary_key.columns), set_={"images": counts.c.images + _one}
    )


def _unmark(*which: Any) -> Any:
    return _uncount(delete(marks).where(*which).returning(*_counted).cte("gone"))


_of_image = marks.c.image_id == bindparam("key")
_mark_present = _count(
    insert(marks)
    .values(
        image_id=bindparam("key"),
        scope=bindparam("project"),
        mark=bindparam("present"),
        split=bindparam("split"),
        block=bindparam("block"),
        added_position=bindparam("at"),
    )
    .returning(*_counted)
    .cte("come")
)
_wanted = bindparam("marks", type_=ARRAY(Text))
_said = func.unnest(_wanted).column_valued("said")
_has = marks.alias()
_mark_annotated = _count(
    insert(marks)
    .from_select(
        ["image_id", "scope", "mark", "split", "block", "added_position"],
        select(
            marks.c.image_id,
            bindparam("view", type_=Text),
            _said,
            marks.c.split,
            case(
                (_said == bindparam("annotated"), marks.c.block),
                else_=_shard(marks.c.added_position),
            ),
            marks.c.added_position,
        ).where(
            _of_image,
            marks.c.mark == bindparam("present"),
            _said.not_in(
                select(_has.c.mark).where(
                    _has.c.image_id == bindparam("key"), _has.c.scope == bindparam("view")
                )
            ),
        ),
    )
    .returning(*_counted)
    .cte("come")
)
# What stays said is left alone: its counts would change twice for nothing.
_unmark_view = _unmark(_of_image, marks.c.scope == bindparam("view"), marks.c.mark != all_(_wanted))
_unmark_all = _unmark(_of_image)
_uncount_image = _uncount(select(*_counted).where(_of_image).cte("gone"))
_move_marks = _count(
    update(marks)
    .where(_of_image)
    .values(split=bindparam("new_split"))
    .returning(*_counted)
    .cte("come")
)


def mark_present(image_id: str, project_id: str, position: int) -> Write:
    """The image joins its project at a position, in training."""
    return Write(
        _mark_present,
        {
            "key": image_id,
            "project": project_id,
            "present": PRESENT,
            "split": TRAIN,
            "block": position // BLOCK,
            "at": position,
        },
    )


def move(image_id: str, split: str) -> Iterator[Write]:
    """All that is said of the image is said of this split."""
    yield Write(_uncount_image, {"key": image_id})
    yield Write(_move_marks, {"key": image_id, "new_split": split})


def unmark_all(image_id: str) -> Write:
    return Write(_unmark_all, {"key": image_id})


def mark_annotated(image_id: str, annotated: ImageAnnotated) -> Iterator[Write]:
    """In this view just this is said of the image."""
    held = {annotation.concept_id for annotation in annotated.annotations}
    if annotated.without_concept:
        held = {WITHOUT}
    said = [ANNOTATED, *sorted(held)] if held else []
    place = {"key": image_id, "view": annotated.view_id, "marks": said}
    yield Write(_unmark_view, place)
    if said:
        names = {"present": PRESENT, "annotated": ANNOTATED}
        yield Write(_mark_annotated, place | names)
