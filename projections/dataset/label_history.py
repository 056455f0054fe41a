"""How the annotations of images changed in a view, over a span of the log."""

from collections.abc import Collection
from itertools import pairwise

import msgspec
from sqlalchemy import Connection, Text, any_, bindparam, or_, select
from sqlalchemy.dialects.postgresql import ARRAY

from domain.dataset.annotation import Annotation, Box
from projections.dataset.dataset import annotations


class Annotated(msgspec.Struct, frozen=True):
    """The annotations of an image from a position until before another, which is None for those
    in force."""

    valid_from: int
    valid_to: int | None
    annotations: list[Annotation]


class LabelHistory(msgspec.Struct, frozen=True):
    """What an image was annotated with, in order; there are gaps where it was not annotated."""

    spans: list[Annotated]

    @property
    def current(self) -> list[Annotation] | None:
        """The annotations in force; None where there are none, not even *without concept*."""
        last = self.spans[-1] if self.spans else None
        return None if last is None or last.valid_to is not None else last.annotations

    def since(self, position: int) -> list[Annotated] | None:
        """The annotations in force at a position and since then; None if there was a gap."""
        spans = [s for s in self.spans if s.valid_to is None or s.valid_to > position]
        whole = (
            bool(spans)
            and spans[0].valid_from <= position
            and spans[-1].valid_to is None
            and all(first.valid_to == then.valid_from for first, then in pairwise(spans))
        )
        return spans if whole else None


def label_histories(
    connection: Connection,
    view_id: str,
    image_ids: Collection[str],
    *,
    since: int,
    as_of: int | None = None,
) -> dict[str, LabelHistory]:
    """The histories of images, of which there may be very many, from a position on, by id.

    An image that was not annotated since then is missing.
    """
    among = bindparam("ids", list(image_ids), type_=ARRAY(Text))
    query = (
        select(annotations)
        .where(
            annotations.c.image_id == any_(among),
            annotations.c.view_id == view_id,
            or_(annotations.c.valid_to.is_(None), annotations.c.valid_to > since),
        )
        .order_by(annotations.c.image_id, annotations.c.valid_from)
    )
    if as_of is not None:
        query = query.where(annotations.c.valid_from <= as_of)
    by_image: dict[str, dict[int, Annotated]] = {}
    for row in connection.execute(query):
        ended = row.valid_to is not None and (as_of is None or row.valid_to <= as_of)
        new = Annotated(row.valid_from, row.valid_to if ended else None, [])
        span = by_image.setdefault(row.image_id, {}).setdefault(row.valid_from, new)
        if row.concept_id is not None:
            box = None if row.x is None else Box(row.x, row.y, row.width, row.height)
            span.annotations.append(Annotation(row.concept_id, box))
    return {image_id: LabelHistory(list(spans.values())) for image_id, spans in by_image.items()}
