"""Routes of the flip book: epochs, points of the data map, items, one item over the epochs, CSV."""

from collections.abc import Iterator
from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from adapters.evaluation.csv_rows import Cell, csv_pieces
from api.access.rights import needs
from api.flip_book.book import SHOWN, FlipBook, find_flip_book, find_recording, require_version
from api.flip_book.listing import ITEMS_REQUEST, ItemsRequest, matching, page_of
from api.flip_book.views import (
    EpochPointsView,
    EpochsView,
    FlipBookView,
    ItemOverEpochsView,
    ItemsView,
    ItemView,
    PointsView,
    epoch_points_view,
    flip_book_view,
    item_epochs,
    item_view,
    points_view,
)
from api.http.parameters import AsOf, AtLeast, Cursor, Limit, Served, position_in
from domain.access.roles import Right
from domain.dataset.items import by_key, image_id_of
from domain.errors import NotFound
from projections.dataset.dataset import DATASET
from projections.dataset.queries import file_names
from projections.flip_book.flip_book import epochs_of

EpochQuery = Annotated[
    int | None, QueryParameter(ge=1, description="By default the last recorded epoch")
]

_COLUMNS = [
    "item",
    "image_id",
    "file_name",
    "split",
    "concept_id",
    "label",
    "positive",
    "predicted",
    "predicted_label",
    "correct",
    "probability",
    "margin",
    "loss",
    "confidence",
    "variability",
    "correctness",
    "aum",
    "forgotten",
    "first_learnt",
    "region",
    "outcome",
]
_SIDES = ["x", "y", "width", "height"]


class FlipBookController(Controller):
    """The measurements of each sampled item of a version's dataset, epoch by epoch."""

    path = "/versions/{version_id:str}/flip-book"
    tags = ("Flip Book",)

    @get(
        summary="What is recorded of a version",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_flip_book(
        self,
        backend: Served,
        version_id: FromPath[str],
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> FlipBookView:
        """A version without a recording has an answer, too: `note` names the option to set."""
        return flip_book_view(find_recording(backend, version_id, at_least=at_least, as_of=as_of))

    @get(
        "/epochs",
        summary="The recorded epochs",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def list_flip_book_epochs(
        self,
        backend: Served,
        version_id: FromPath[str],
        cursor: Cursor = None,
        limit: Limit = 200,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> EpochsView:
        """Epochs in ascending order, each with the sha256 of its file."""
        with backend.reading_as_of(as_of, at_least, *SHOWN) as (connection, position, at):
            require_version(connection, version_id, at)
            after = position_in(cursor)
            epochs = epochs_of(connection, version_id, upto=at, after_epoch=after, limit=limit + 1)
        following = str(epochs[limit - 1].epoch) if len(epochs) > limit else None
        return EpochsView(epochs[:limit], following, position)

    @get(
        "/points",
        summary="The items as points of the data map",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_flip_book_points(
        self,
        backend: Served,
        version_id: FromPath[str],
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> PointsView:
        """Arrays of the properties that do not change between epochs; erased images are left
        out."""
        return points_view(find_flip_book(backend, version_id, at_least=at_least, as_of=as_of))

    @get(
        "/epochs/{epoch:int}/points",
        summary="The points of the data map after an epoch",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_flip_book_epoch_points(
        self,
        backend: Served,
        version_id: FromPath[str],
        epoch: FromPath[int],
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> EpochPointsView:
        """Arrays in the order of `/points`: measurements, and metrics over the epochs so far."""
        return epoch_points_view(
            find_flip_book(backend, version_id, epoch=epoch, at_least=at_least, as_of=as_of)
        )

    @get(
        "/epochs/{epoch:int}/items",
        summary="The items after an epoch",
        dependencies=ITEMS_REQUEST,
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def list_flip_book_items(
        self,
        backend: Served,
        version_id: FromPath[str],
        epoch: FromPath[int],
        wanted: NamedDependency[ItemsRequest],
        cursor: Cursor = None,
        limit: Limit = 50,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> ItemsView:
        """Items by ascending confidence, or by another metric.

        `concept` is the true concept; in tagging, the concept of the item. `correct` refers to this
        epoch only.
        """
        flip_book = find_flip_book(backend, version_id, epoch=epoch, at_least=at_least, as_of=as_of)
        metrics = flip_book.book.dynamics()
        places = matching(flip_book, metrics, wanted)
        page, following = page_of(places, cursor, limit)
        names = _file_names(flip_book, page)
        items = [item_view(flip_book, metrics, place, names) for place in page]
        return ItemsView(flip_book.epoch, items, len(places), following, flip_book.position)

    @get(
        "/items/{item:str}",
        summary="An item over the epochs",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_flip_book_item(
        self,
        backend: Served,
        version_id: FromPath[str],
        item: FromPath[str],
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> ItemOverEpochsView:
        """An item by its key: `IMAGE`, in tagging `IMAGE:CONCEPT`, in detection `IMAGE:BOX`."""
        flip_book = find_flip_book(backend, version_id, at_least=at_least, as_of=as_of)
        place = flip_book.book.items.places.get(item)
        if place is None or place not in flip_book.shown:
            raise NotFound(
                "the version did not record this item; its key is that of an image, in tagging"
                " IMAGE:CONCEPT, in detection IMAGE:BOX"
            )
        names = _file_names(flip_book, [place])
        shown = item_view(flip_book, flip_book.book.dynamics(), place, names)
        return ItemOverEpochsView(shown, item_epochs(flip_book, place), flip_book.position)

    @get(
        "/items.csv",
        summary="The items after an epoch as CSV",
        media_type="text/csv",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_flip_book_items_csv(
        self,
        backend: Served,
        version_id: FromPath[str],
        epoch: EpochQuery = None,
        as_of: AsOf = None,
    ) -> Stream:
        """A row for each item, in the order of `/points`; those of erased images are left out."""
        flip_book = find_flip_book(backend, version_id, epoch=epoch, as_of=as_of)
        columns = [*_COLUMNS, *(_SIDES if flip_book.book.detects else [])]
        name = f"version-{flip_book.version.number}-items-epoch-{flip_book.epoch}.csv"
        return Stream(
            csv_pieces(columns, _rows(flip_book)),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )


def _rows(flip_book: FlipBook) -> Iterator[list[Cell]]:
    metrics = flip_book.book.dynamics()
    places = flip_book.shown.tolist()
    names = _file_names(flip_book, places)
    for place in places:
        yield _row(item_view(flip_book, metrics, place, names))


def _row(item: ItemView) -> list[Cell]:
    row: list[Cell] = [_cell(getattr(item, name)) for name in _COLUMNS]
    if item.box is not None:
        row += [getattr(item.box, side) for side in _SIDES]
    return row


def _cell(value: Cell | bool) -> Cell:
    return int(value) if isinstance(value, bool) else value


def _file_names(flip_book: FlipBook, places: list[int]) -> dict[str, str]:
    """The file names, by key, of the images or crops of some items, as they are now."""
    items = flip_book.book.items
    keys = {items.image_ids[items.image[place]] for place in places}
    with flip_book.backend.reading(None, DATASET) as (connection, _):
        return by_key(keys, file_names(connection, {image_id_of(key) for key in keys}))
