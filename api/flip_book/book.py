"""A version's flip book, as far as it is recorded and kept."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from adapters.blobs.blobs import BlobMissing
from adapters.flip_book.arrays import Book, ItemsUnreadable
from api.backend import Backend
from domain.dataset.items import image_id_of
from domain.errors import Conflict, Gone, NotFound
from projections.dataset.erasures import ERASURES, erased_among
from projections.flip_book.flip_book import (
    FLIP_BOOK,
    Discarded,
    EpochCount,
    count_epochs,
    epochs_of,
    find_discarded,
)
from projections.training.library_queries import VersionRow, find_version
from projections.training.models_library import MODELS_LIBRARY

SHOWN = (MODELS_LIBRARY, FLIP_BOOK)
"""The read models of a flip book."""


class ItemsGone(Gone):
    """The files of a version's items were deleted, are missing or cannot be read."""


class Recording(msgspec.Struct, frozen=True):
    """What is recorded of a version; `note` explains why there is nothing to show, if so."""

    version: VersionRow
    count: EpochCount
    discarded: Discarded | None
    position: int

    @property
    def note(self) -> str:
        if self.discarded is not None:
            return _given_up(self.version, self.discarded)
        return "" if self.count.epochs else _not_recorded(self.version)


class FlipBook(msgspec.Struct, frozen=True):
    """A version's epochs up to one, with the `digests` of their files; `shown` are the indexes of
    the items to show: those of erased images are left out."""

    backend: Backend
    version: VersionRow
    book: Book
    shown: NDArray[np.int64]
    digests: list[str]
    latest: int
    position: int

    @property
    def epoch(self) -> int:
        return self.book.last.epoch

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the version's concepts at its training, by id."""
        return {concept.concept_id: concept.label for concept in self.version.concepts}


def find_recording(
    backend: Backend, version_id: str, *, at_least: int | None = None, as_of: str | None = None
) -> Recording:
    """What is recorded of a version. Raises `NotFound`."""
    with backend.reading_as_of(as_of, at_least, *SHOWN) as (connection, position, at):
        version = require_version(connection, version_id, at)
        return Recording(
            version,
            count_epochs(connection, version_id, upto=at),
            find_discarded(connection, version_id),
            position,
        )


def find_flip_book(
    backend: Backend,
    version_id: str,
    *,
    epoch: int | None = None,
    at_least: int | None = None,
    as_of: str | None = None,
) -> FlipBook:
    """A version's flip book up to an epoch, or to the last one recorded.

    Raises `NotFound`, `Conflict` if nothing is recorded, and `ItemsGone`.
    """
    with backend.reading_as_of(as_of, at_least, *SHOWN) as (connection, position, at):
        version = require_version(connection, version_id, at)
        discarded = find_discarded(connection, version_id)
        epochs = epochs_of(connection, version_id, upto=at)
    if not epochs:
        raise Conflict(_not_recorded(version))
    if epoch is not None and all(each.epoch != epoch for each in epochs):
        raise NotFound(
            f"epoch {epoch} is not recorded; {_which(version)} has epochs {epochs[0].epoch} to"
            f" {epochs[-1].epoch}"
        )
    if discarded is not None:
        raise ItemsGone(_given_up(version, discarded))
    wanted = [each.items for each in epochs if epoch is None or each.epoch <= epoch]
    with _readable(version):
        book = backend.books.get(wanted)
        if book.items.concepts != tuple(concept.concept_id for concept in version.concepts):
            raise ItemsUnreadable("its concepts are not those of the version")
    latest = epochs[-1].epoch
    return FlipBook(backend, version, book, _not_erased(backend, book), wanted, latest, position)


def require_version(connection: Connection, version_id: str, at: int | None) -> VersionRow:
    version = find_version(connection, version_id, as_of=at)
    if version is None:
        raise NotFound("version not found")
    return version


def _not_erased(backend: Backend, book: Book) -> NDArray[np.int64]:
    items = book.items
    with backend.reading(None, ERASURES) as (connection, _):
        erased = erased_among(connection, {image_id_of(key) for key in items.image_ids})
    if not erased:
        return np.arange(len(items))
    kept = np.array([image_id_of(key) not in erased for key in items.image_ids], np.bool_)
    return np.flatnonzero(kept[items.image])


def _which(version: VersionRow) -> str:
    return f"version {version.number} ({version.name})"


def _not_recorded(version: VersionRow) -> str:
    if version.trainer is not None:
        return (
            f"{_which(version)} was trained by {version.trainer.name}: only Stemma's own training"
            " records images"
        )
    if version.options.recorded_images:
        return f"{_which(version)} is {version.status}; no epoch is recorded yet"
    return (
        f"{_which(version)} was trained without recording; train a version whose option"
        " recorded_images is above 0"
    )


def _given_up(version: VersionRow, discarded: Discarded) -> str:
    since = discarded.discarded_at.isoformat(timespec="seconds")
    return (
        f"the recorded items of {_which(version)} were deleted at {since}: those of the newest"
        f" {discarded.kept_versions} versions of the view are kept (STEMMA_FLIP_BOOK_VERSIONS);"
        " train a new version to record them"
    )


@contextmanager
def _readable(version: VersionRow) -> Iterator[None]:
    which = f"the recorded items of {_which(version)}"
    try:
        yield
    except BlobMissing as error:
        raise ItemsGone(
            f"{which} are no longer stored ({error}): the blob store has lost them; train a new"
            " version to record them"
        ) from error
    except ItemsUnreadable as error:
        raise ItemsGone(f"{which} cannot be used: {error}; tell your operator") from error
