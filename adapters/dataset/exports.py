"""Exports: a project's annotations at a position of the log, as a zip archive."""

import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO

import msgspec

from adapters.blobs.blobs import BlobMissing, BlobStore
from adapters.formats.items import (
    DeclaredView,
    SourceAnnotation,
    SourceDecision,
    SourceImage,
    ViewAnnotations,
)
from adapters.formats.registry import FORMATS
from application.dataset.dataset import images_at
from application.dataset.erasure import erased_among
from application.dataset.imports import views_of
from application.log.store import Store
from domain.dataset.image import Decision, Image
from domain.dataset.suspects import DECISION_NAMES
from domain.errors import Conflict, Invalid, NotFound
from domain.library.view import CLASSIFICATION, View
from domain.text import same_text
from domain.training.manifest import PlacedImage

FOLDER = "images"
STUDIO = "studio"
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)
"""The time of all members, so that the same export is the same bytes; a zip's oldest time."""


class ExportRequest(msgspec.Struct, frozen=True):
    """An export, of all active views if `view_ids` is empty; `with_images` includes the files.

    With `concept_ids` one view is exported as if it had only these concepts: an image that is
    annotated with others only is without concept, or in a classification view not annotated.
    """

    project_id: str
    format: str
    position: int
    view_ids: tuple[str, ...] = ()
    with_images: bool = False
    concept_ids: tuple[str, ...] = ()


def export(store: Store, blobs: BlobStore, request: ExportRequest, into: IO[bytes]) -> None:
    """Write the archive.

    Raises `Invalid` for content that the format cannot hold, `NotFound`, and `Conflict` for image
    files that were erased since the position.

    The result depends only on the log up to the position. Memory does not grow with the images.
    """
    form = FORMATS.get(request.format)
    if form is None or form.write is None:
        writable = ", ".join(name for name, each in FORMATS.items() if each.write)
        raise Invalid(f"format must be one of {writable}, got {request.format!r}", field="format")
    views = _views(store, request)
    declared = _declared(views, request.format)
    labels = _chosen_labels(views, request)
    if labels:
        declared = [
            msgspec.structs.replace(
                view, concepts=tuple(name for name in view.concepts if name in labels)
            )
            for view in declared
        ]

    def placed() -> Iterator[PlacedImage]:
        return images_at(store, request.project_id, request.position, personal=True)

    names = _Names(placed())

    def images() -> Iterator[SourceImage]:
        for image in placed():
            entry = _source_image(image, names, views)
            yield _with_labels(entry, labels, views) if labels else entry

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
            f"image {image.image_id} was erased later: export without images, or as of a later"
            " position"
        ) from None


def zip_entry(path: str) -> zipfile.ZipInfo:
    """A member with a fixed time, so that its bytes do not depend on when it is written."""
    entry = zipfile.ZipInfo(path, _FIXED_TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _views(store: Store, request: ExportRequest) -> dict[str, View]:
    views = views_of(store, request.project_id, upto=request.position)
    unknown = [key for key in request.view_ids if key not in views]
    if unknown:
        raise NotFound(
            f"the project had no view {unknown[0]!r} at position {request.position}",
            field="view_id",
        )
    active = [key for key, view in views.items() if not view.archived]
    chosen = {key: views[key] for key in request.view_ids or active}
    ordered: dict[str, View] = {}
    while len(ordered) < len(chosen):  # parents first
        ordered |= {
            key: view
            for key, view in chosen.items()
            if view.parent_id in ordered or view.parent_id not in chosen
        }
    return ordered


def _chosen_labels(views: dict[str, View], request: ExportRequest) -> frozenset[str]:
    """The labels of the chosen concepts; empty if all are exported."""
    if not request.concept_ids:
        return frozenset()
    if len(request.view_ids) != 1:
        raise Invalid("concepts are chosen of one view; name the view", field="view_id")
    (view,) = views.values()
    unknown = [key for key in request.concept_ids if key not in view.concepts]
    if unknown:
        raise NotFound(
            f"view {view.name!r} had no concept {unknown[0]!r} at position {request.position}",
            field="concept_id",
        )
    return frozenset(view.concepts[key] for key in request.concept_ids)


def _with_labels(image: SourceImage, labels: frozenset[str], views: dict[str, View]) -> SourceImage:
    """The image with the annotations of these labels only.

    If it has others only, it is without concept, which in a classification view it cannot be: then
    it is not annotated.
    """
    classified = {view.name for view in views.values() if view.kind == CLASSIFICATION}
    kept = {}
    for name, answer in image.annotations.items():
        annotations = tuple(one for one in answer.annotations if one.label in labels)
        decisions = tuple(one for one in answer.decisions if one.label in labels)
        if annotations or name not in classified:
            kept[name] = ViewAnnotations(annotations, not annotations, decisions)
    return msgspec.structs.replace(image, annotations=kept)


def _declared(views: dict[str, View], form: str) -> list[DeclaredView]:
    """The views as a format has them. Only Studio's lines hold child views and annotations of
    crops; raises `Invalid` for what would be lost."""
    declared = []
    for view in views.values():
        parent = views.get(view.parent_id or "")
        concepts = tuple(view.concepts.values())
        if view.crops and (form != STUDIO or parent is None):
            what = "only the format studio can hold them" if parent else "name its parent, too"
            raise Invalid(
                f"the annotations of view {view.name!r} are of crops; {what}", field="view_id"
            )
        if parent is None:
            declared.append(DeclaredView(view.name, view.kind, concepts))
            continue
        labels = parent.removed | parent.concepts
        conditions = tuple(tuple(labels[key] for key in group) for group in view.conditions)
        declared.append(
            DeclaredView(view.name, view.kind, concepts, parent.name, conditions, view.crops)
        )
    return declared


class _Names:
    """The names of image files in the export: the original ones, with the id if several images
    have the same name."""

    def __init__(self, images: Iterator[PlacedImage]) -> None:
        seen: set[str] = set()
        self._shared: set[str] = set()
        for image in images:
            name = same_text(image.state.added.file_name).casefold()
            (self._shared if name in seen else seen).add(name)

    def path(self, image: PlacedImage) -> str:
        name = PurePosixPath(image.state.added.file_name)
        if same_text(image.state.added.file_name).casefold() in self._shared:
            name = name.with_name(f"{name.stem}-{image.image_id}{name.suffix}")
        return f"{FOLDER}/{name}"


def _source_image(image: PlacedImage, names: _Names, views: dict[str, View]) -> SourceImage:
    added = image.state.added
    answers: dict[str, ViewAnnotations] = {}
    for key, view in views.items():
        parent = views[view.parent_id].name if view.crops and view.parent_id else None
        annotations = _annotations(view, key, image.state, views)
        if annotations is not None and parent is not None:
            annotations = _of_boxes(annotations, answers.get(parent, ViewAnnotations()))
        if annotations is not None:
            answers[view.name] = annotations
    return SourceImage(
        path=names.path(image),
        where=image.image_id,
        split=image.state.split,
        metadata=added.metadata,
        annotations=answers,
        size=(added.width, added.height),
    )


def _of_boxes(annotations: ViewAnnotations, parent: ViewAnnotations) -> ViewAnnotations | None:
    """The annotations of crops, without those whose box the parent does not have any more."""
    boxes = {annotation.box for annotation in parent.annotations}
    kept = tuple(each for each in annotations.annotations if each.box in boxes)
    if not kept and not annotations.without_concept:
        return None
    return msgspec.structs.replace(annotations, annotations=kept)


def _is_complete(view: View, view_id: str, image: Image, views: dict[str, View]) -> bool:
    """Whether *without concept* still says something: of crops, only of those that it was about."""
    above, since = view, image.annotated_at[view_id]
    while above.crops and above.parent_id in views:
        if image.annotated_at.get(above.parent_id, 0) > since:
            return False
        above = views[above.parent_id]
    return image.annotations[view_id].without_concept


def _annotations(
    view: View, view_id: str, image: Image, views: dict[str, View]
) -> ViewAnnotations | None:
    """The annotations in a view, by label, without concepts that were removed from the view."""
    annotated = image.annotations.get(view_id)
    if annotated is None:
        return None
    annotations = tuple(
        SourceAnnotation(view.concepts[annotation.concept_id], annotation.box)
        for annotation in annotated.annotations
        if annotation.concept_id in view.concepts
    )
    without = _is_complete(view, view_id, image, views)
    if not annotations and not without:
        return None
    decisions = tuple(
        _decision(view, decision)
        for decision in image.decisions.get(view_id, ())
        if decision.label.concept_id in view.concepts
    )
    return ViewAnnotations(annotations, without, decisions)


def _decision(view: View, decision: Decision) -> SourceDecision:
    label = decision.label
    return SourceDecision(
        view.concepts[label.concept_id],
        label.present,
        label.box,
        DECISION_NAMES[type(decision)],
        decision.version_id,
    )
