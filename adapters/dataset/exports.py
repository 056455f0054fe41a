"""Exports: a project's annotations as they were at a position of the log, as a zip archive."""

import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO

import msgspec

from adapters.blobs.blobs import BlobMissing, BlobStore
from adapters.formats.items import DeclaredView, SourceAnnotation, SourceImage, ViewAnnotations
from adapters.formats.registry import FORMATS
from application.dataset.dataset import images_at
from application.dataset.erasure import erased_among
from application.dataset.imports import views_of
from application.log.store import Store
from domain.dataset.image import ImageAnnotated
from domain.errors import Conflict, Invalid, NotFound
from domain.library.view import View
from domain.training.manifest import PlacedImage

FOLDER = "images"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The oldest time that a zip can hold: the same export is the same bytes."""


class ExportRequest(msgspec.Struct, frozen=True):
    """What to export: `view_ids` none for all views, `with_images` for the files too."""

    project_id: str
    format: str
    position: int
    view_ids: tuple[str, ...] = ()
    with_images: bool = False


def export(store: Store, blobs: BlobStore, request: ExportRequest, into: IO[bytes]) -> None:
    """Write the archive.

    Raises `Invalid` for what the format cannot hold, `NotFound`, and `Conflict` for files that are
    erased by now.

    A pure function of the log up to the position; memory does not grow with the images.
    """
    form = FORMATS.get(request.format)
    if form is None or form.write is None:
        known = ", ".join(name for name, each in FORMATS.items() if each.write)
        raise Invalid(f"format is {request.format!r}; it is one of {known}", field="format")
    views = _views(store, request)
    declared = [
        DeclaredView(view.name, view.kind, tuple(view.concepts.values())) for view in views.values()
    ]

    def placed() -> Iterator[PlacedImage]:
        return images_at(store, request.project_id, request.position, personal=True)

    names = _Names(placed())

    def images() -> Iterator[SourceImage]:
        for image in placed():
            yield _source_image(image, names, views)

    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        for written in form.write(declared, images):
            with archive.open(zip_entry(written.path), "w", force_zip64=True) as file:
                for chunk in written.chunks:
                    file.write(chunk)
        if request.with_images:
            for image in placed():
                entry = zip_entry(names.path(image))
                entry.compress_type = zipfile.ZIP_STORED
                archive.writestr(entry, _bytes_of(image, store, blobs))


def _bytes_of(image: PlacedImage, store: Store, blobs: BlobStore) -> bytes:
    try:
        return blobs.get(image.state.blob)
    except BlobMissing:
        if not erased_among(store, [image.state.blob]):
            raise
        raise Conflict(
            f"image {image.image_id} was erased since: export without images, or as of a later"
            " position"
        ) from None


def zip_entry(path: str) -> zipfile.ZipInfo:
    """A member that is the same bytes whenever it is written."""
    entry = zipfile.ZipInfo(path, _LONG_AGO)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _views(store: Store, request: ExportRequest) -> dict[str, View]:
    known = views_of(store, request.project_id, upto=request.position)
    unknown = [key for key in request.view_ids if key not in known]
    if unknown:
        raise NotFound(
            f"the project had no view {unknown[0]!r} at position {request.position}",
            field="view_id",
        )
    return {key: known[key] for key in request.view_ids or known}


class _Names:
    """The files' names in the export: those they came with, told apart where two are the same."""

    def __init__(self, images: Iterator[PlacedImage]) -> None:
        seen: set[str] = set()
        self._shared: set[str] = set()
        for image in images:
            name = image.state.added.file_name.casefold()
            (self._shared if name in seen else seen).add(name)

    def path(self, image: PlacedImage) -> str:
        name = PurePosixPath(image.state.added.file_name)
        if image.state.added.file_name.casefold() in self._shared:
            name = name.with_name(f"{name.stem}-{image.image_id}{name.suffix}")
        return f"{FOLDER}/{name}"


def _source_image(image: PlacedImage, names: _Names, views: dict[str, View]) -> SourceImage:
    added = image.state.added
    return SourceImage(
        path=names.path(image),
        where=image.image_id,
        split=image.state.split,
        metadata=added.metadata,
        annotations={
            view.name: answer
            for key, view in views.items()
            if (answer := _answer(view, image.state.annotations.get(key))) is not None
        },
        size=(added.width, added.height),
    )


def _answer(view: View, said: ImageAnnotated | None) -> ViewAnnotations | None:
    """What is said in a view, by labels; concepts that have left the view say nothing."""
    if said is None:
        return None
    annotations = tuple(
        SourceAnnotation(view.concepts[one.concept_id], one.box)
        for one in said.annotations
        if one.concept_id in view.concepts
    )
    if not annotations and not said.without_concept:
        return None
    return ViewAnnotations(annotations, said.without_concept)
