"""The items of an epoch that a request asks for, in its order."""

from typing import Any, Literal

import msgspec
import numpy as np
from litestar.params import FromQuery
from numpy.typing import NDArray

from adapters.flip_book.boxes import OUTCOMES
from adapters.flip_book.folds import REGIONS, Dynamics
from api.flip_book.book import FlipBook
from api.http.parameters import provided
from api.http.schemas import Split
from domain.dataset.image import TRAIN
from domain.dataset.items import image_id_of
from domain.errors import Invalid

Region = Literal["easy", "ambiguous", "hard"]
Outcome = Literal["found", "swapped", "shifted", "missed"]
Sort = Literal[
    "confidence",
    "variability",
    "correctness",
    "aum",
    "forgotten",
    "first_learnt",
    "probability",
    "margin",
    "loss",
    "item",
]
Order = Literal["ascending", "descending"]


class ItemsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A query of items; `concept` is the id of their true concept, or of the requested one."""

    concept: str | None = None
    split: str | None = None
    region: str | None = None
    correct: bool | None = None
    outcome: str | None = None
    image: str | None = None
    sort: str = "confidence"
    order: str = "ascending"


def items_request(
    concept: FromQuery[str | None] = None,
    split: FromQuery[Split | None] = None,
    region: FromQuery[Region | None] = None,
    correct: FromQuery[bool | None] = None,
    outcome: FromQuery[Outcome | None] = None,
    image: FromQuery[str | None] = None,
    sort: FromQuery[Sort] = "confidence",
    order: FromQuery[Order] = "ascending",
) -> ItemsRequest:
    return ItemsRequest(
        concept=concept or None,
        split=split,
        region=region,
        correct=correct,
        outcome=outcome,
        image=image or None,
        sort=sort,
        order=order,
    )


ITEMS_REQUEST = provided(wanted=items_request)


def matching(flip_book: FlipBook, metrics: Dynamics, wanted: ItemsRequest) -> NDArray[np.int64]:
    """The indexes of the items that match, in the order of the request. Raises `Invalid`."""
    shown = flip_book.shown
    places = shown[_filtered(flip_book, metrics, wanted)[shown]]
    if wanted.sort == "item":
        return places if wanted.order == "ascending" else places[::-1]
    values = _column(flip_book, metrics, wanted.sort)[places]
    if wanted.order == "descending":
        values = -values
    sorted_places: NDArray[np.int64] = places[np.argsort(values, kind="stable")]
    return sorted_places


def page_of(
    places: NDArray[np.int64], cursor: str | None, limit: int
) -> tuple[list[int], str | None]:
    """The items of a page and the cursor of the next one. Raises `Invalid`."""
    start = 0
    if cursor is not None:
        if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 12):
            raise Invalid(
                "cursor must be the `next` of the previous page, unchanged", field="cursor"
            )
        start = int(cursor)
    page = places[start : start + limit].tolist()
    following = start + limit
    return page, str(following) if following < len(places) else None


def _filtered(flip_book: FlipBook, metrics: Dynamics, wanted: ItemsRequest) -> NDArray[np.bool_]:
    items, last = flip_book.book.items, flip_book.book.last
    chosen = np.ones(len(items), np.bool_)
    if wanted.concept is not None:
        if wanted.concept not in items.concepts:
            raise Invalid("this is not a concept of the version", field="concept")
        chosen &= items.concept == items.concepts.index(wanted.concept)
    if wanted.split is not None:
        chosen &= items.of_training == (wanted.split == TRAIN)
    if wanted.region is not None:
        chosen &= metrics.region == REGIONS.index(wanted.region)
    if wanted.correct is not None:
        chosen &= last.correct == wanted.correct
    if wanted.outcome is not None:
        if last.outcome is None:
            raise Invalid("outcome is for detection only", field="outcome")
        chosen &= last.outcome == OUTCOMES.index(wanted.outcome)
    if wanted.image is not None:
        places = [
            n for n, key in enumerate(items.image_ids) if wanted.image in {key, image_id_of(key)}
        ]
        chosen &= np.isin(items.image, places)
    return chosen


def _column(flip_book: FlipBook, metrics: Dynamics, name: str) -> NDArray[Any]:
    last = flip_book.book.last
    column: NDArray[Any] = getattr(metrics if hasattr(metrics, name) else last, name)
    return column.astype(np.float64)
