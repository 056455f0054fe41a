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
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    or_,
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

TOTAL = -1
"""In place of a block: all of them."""

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
    Index("dataset_v2_marks_by_image", "image_id"),
    Index("dataset_v2_marks_in_order", "scope", "mark", "split", "added_position"),
)
"""Each mark of an image once. `scope` is a project or a view; `block` that of its count, or
`TOTAL`."""

counts = Table(
    "dataset_v2_counts",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("block", BigInteger, primary_key=True),
    Column("mark", Text, primary_key=True),
    Column("split", Text, primary_key=True),
    Column("images", BigInteger, nullable=False),
)
"""How many images have a mark: in total, and of those present and annotated block by block too."""

_counted = [marks.c.scope, marks.c.mark, marks.c.split, marks.c.block]
_one = literal_column("1", BigInteger)
_total = literal_column(str(TOTAL), BigInteger)


def _uncount(gone: Any) -> Any:
    """Count what is gone no more. It is about one image, so each count changes by one."""
    same = and_(
        counts.c.scope == gone.c.scope,
        counts.c.mark == gone.c.mark,
        counts.c.split == gone.c.split,
        or_(counts.c.block == gone.c.block, counts.c.block == _total),
    )
    return update(counts).where(same).values(images=counts.c.images - _one)


def _count(come: Any) -> Any:
    named = come.c.scope, come.c.mark, come.c.split
    both = union(select(*named, come.c.block), select(*named, _total)).subquery()
    statement = upsert(counts).from_select(
        [*(column.name for column in _counted), "images"], select(*both.c, _one)
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
_said = func.unnest(bindparam("marks", type_=ARRAY(Text))).column_valued("said")
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
                else_=_total,
            ),
            marks.c.added_position,
        ).where(_of_image, marks.c.mark == bindparam("present")),
    )
    .returning(*_counted)
    .cte("come")
)
_unmark_view = _unmark(_of_image, marks.c.scope == bindparam("view"))
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
    place = {"key": image_id, "view": annotated.view_id}
    yield Write(_unmark_view, place)
    said = {annotation.concept_id for annotation in annotated.annotations}
    if annotated.without_concept:
        said = {WITHOUT}
    if said:
        names = {"present": PRESENT, "annotated": ANNOTATED, "marks": [ANNOTATED, *sorted(said)]}
        yield Write(_mark_annotated, place | names)
