"""Studio's JSON lines: a header with the views and their concepts, then one line per image.

    {"name": "..", "splits": [..], "views": [{"name": .., "type": .., "concepts": [{"name": ..}]}]}
    {"data": [{"file": ..}], "annotations": [{"concepts": [{"name": .., "bool": true}],
     "region": {"bbox": {"xmin": .., "ymin": .., "xmax": .., "ymax": ..}}, "view": ..}],
     "splits": "train", "metadata": {..}, "id": ..}

`view` in an annotation is an extension by Stemma; without it, the annotation belongs to the only
view that has all its concepts. In a tagging view, a concept whose `bool` is false is annotated as
absent. If all are absent, or if an annotation has no concepts, the image is without concept.
Coordinates are shares of the image, 0 to 1.

A view may stand on another, by `children` in the header, or by `conditions` that name concepts of a
view before it. These are lists of concepts: an item has all of any of them. A child of a detection
view is about crops: its annotations are `children` of the annotation whose region is the crop, or
have that region themselves:

    {"name": .., "type": .., "concepts": [..], "children": [
     {"name": .., "type": .., "concepts": [..], "conditions": [[{"name": ..}, ..], ..]}]}
    {"concepts": [..], "region": .., "view": .., "children": [{"concepts": [..], "view": ..}]}

In a tagging view of crops, an annotation without a region in which all concepts are false says that
crops which are not listed hold none.

An export by Stemma adds to the line of an image what was decided about its suspects, and by which
version's list; an import leaves that out, since the version is not in the file:

    "decisions": [{"view": .., "concepts": [{"name": ..}], "decision": "upheld", "version": ".."}]
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from adapters.formats.annotations import view_annotations
from adapters.formats.boxes import edges, pixel_box
from adapters.formats.items import (
    Contents,
    DeclaredView,
    Images,
    Item,
    Problem,
    ReadOptions,
    SourceAnnotation,
    SourceImage,
    ViewAnnotations,
    Written,
)
from adapters.formats.moved_images import MovedImages
from adapters.formats.sources import Flaw, label, lines, printable, storable
from adapters.formats.splits import absent, is_known, left_out, may_be_absent
from adapters.formats.studio_file import (
    Corners,
    Region,
    StudioAnnotation,
    StudioConcept,
    StudioData,
    StudioDecision,
    StudioHeader,
    StudioLine,
    StudioView,
    read_header,
    studio_path,
    views_of,
)
from adapters.formats.writing import chunked
from adapters.uploads.disk_set import DiskSet
from domain.dataset.image import SPLITS, Box
from domain.library.view import DETECTION, TAGGING

FOLDERS = ("", "images")
"""Where the paths of a file start."""


def read(folder: Path, options: ReadOptions) -> Contents:
    path = studio_path(folder, options.max_bytes)
    views = views_of(path, read_header(folder, path, options.max_bytes))
    return Contents(tuple(views.values()), _images(folder, path, views, options))


def _images(
    folder: Path, path: str, views: dict[str, DeclaredView], options: ReadOptions
) -> Iterator[Item]:
    seen, moved = DiskSet(), MovedImages(folder)
    for count, text in enumerate(lines(folder, path, options.max_bytes), 1):
        where = f"{printable(path)}:{count}"
        if count == 1 or not text.strip():
            continue
        image = None
        try:
            line = msgspec.json.decode(text, type=StudioLine)
            if len(line.data) != 1:
                raise Flaw(f"data has {len(line.data)} files; use one line for each")
            split, name = _split(line), line.data[0].file
            if split is not None and may_be_absent(split) and not _is_there(moved, name, split):
                yield absent(name, where, split)
                continue
            image = moved.find(name, FOLDERS, split)
            if split is not None and not is_known(split):
                # What is left out cannot be wrong.
                yield left_out(image, where, split)
                continue
            if seen.add(image) is not None:
                raise Flaw(f"{image!r} appears again; use one line with all its annotations")
            yield from moved.notes(where)
            by_view = _annotated(line.annotations or [], views, options.clip)
            yield SourceImage(image, where, split, _metadata(line), by_view)
        except (msgspec.DecodeError, RecursionError) as error:
            yield Problem(where, f"the line is not the JSON of an image: {error}", image)
        except Flaw as flaw:
            yield Problem(where, str(flaw), image)


def _is_there(moved: MovedImages, name: str, split: str) -> bool:
    with suppress(Flaw):
        moved.find(name, FOLDERS, split)
        return True
    return False


def _split(line: StudioLine) -> str | None:
    names = [line.splits] if isinstance(line.splits, str) else line.splits or []
    if len(names) > 1:
        raise Flaw(f"the image is in {len(names)} splits; keep one")
    return names[0] if names else None


def _metadata(line: StudioLine) -> dict[str, str]:
    """The metadata as texts: numbers and truth values as in JSON; nulls are left out."""
    metadata: dict[str, str] = {}
    for key, raw in (line.metadata or {}).items():
        text = bytes(raw).decode()
        if text.startswith(("{", "[")):
            raise Flaw(f"metadata {key[:60]!r} is nested; use a text, a number, true or false")
        if text != "null":
            metadata[key] = msgspec.json.decode(text, type=str) if text[0] == '"' else text
    return storable(metadata)


def _annotated(
    annotations: Sequence[StudioAnnotation], views: dict[str, DeclaredView], clip: bool
) -> dict[str, ViewAnnotations]:
    by_view: dict[str, list[SourceAnnotation]] = {}
    denied: dict[str, set[str]] = {}
    emptied: set[str] = set()

    def take(
        annotation: StudioAnnotation, outer: DeclaredView | None, around: Region | None
    ) -> None:
        view = _view_of(annotation, views, outer)
        region = annotation.region or (around if view.crops else None)
        in_view = by_view.setdefault(view.name, [])
        box = _box(annotation, region, view, clip)
        for concept in annotation.concepts:
            name = label(concept.name)
            if concept.holds:
                in_view.append(SourceAnnotation(name, box))
            elif view.kind == TAGGING and not view.crops:
                denied.setdefault(view.name, set()).add(name)
            elif view.kind != TAGGING:
                raise Flaw(f"bool is false in a {view.kind} view; only tagging has false")
            elif box is not None:
                raise Flaw("bool is false for a crop; remove the concept")
        holds_any = any(concept.holds for concept in annotation.concepts)
        if not annotation.concepts or (view.crops and not holds_any):
            emptied.add(view.name)
        for child in annotation.children:
            take(child, view, region)

    for number, annotation in enumerate(annotations, 1):
        try:
            take(annotation, None, None)
        except Flaw as flaw:
            raise Flaw(f"annotation {number}: {flaw}") from flaw
    annotated: dict[str, ViewAnnotations] = {}
    # A crop is annotated after its box. Else the order stays, which interrupted imports go by.
    names = [name for name in views if name in by_view] if _any_crops(views) else list(by_view)
    for name in names:
        in_view, view = by_view[name], views[name]
        if any(annotation.label in denied.get(name, ()) for annotation in in_view):
            raise Flaw(
                f"view {name!r}: a concept is annotated as both present and absent; choose one"
            )
        nothing = name in emptied or (not in_view and not view.crops)
        result = view_annotations(view.kind, in_view, nothing, crops=view.crops)
        if result is not None:
            annotated[name] = result
    return annotated


def _any_crops(views: dict[str, DeclaredView]) -> bool:
    return any(view.crops for view in views.values())


def _view_of(
    annotation: StudioAnnotation, views: dict[str, DeclaredView], outer: DeclaredView | None
) -> DeclaredView:
    """The view of an annotation; of one in another's `children`, a child of that one's view."""
    names = {label(concept.name) for concept in annotation.concepts}
    if annotation.view is not None:
        view = views.get(annotation.view.strip())
        if view is None:
            raise Flaw(f"the header has no view {annotation.view[:60]!r}; add it or correct it")
        if unknown := names - set(view.concepts):
            raise Flaw(f"view {view.name!r} has no concept {min(unknown)!r}; add it to the header")
        return view
    among = [view for view in views.values() if outer is None or view.parent == outer.name]
    fitting = [view for view in among if names <= set(view.concepts)]
    if len(fitting) != 1:
        raise Flaw(f'{len(fitting)} views have {sorted(names)}; add "view" with the view\'s name')
    return fitting[0]


def _box(
    annotation: StudioAnnotation, region: Region | None, view: DeclaredView, clip: bool
) -> Box | None:
    if not view.boxed or not annotation.concepts:
        if annotation.region is not None:
            raise Flaw(f"a region has no meaning in {view.kind} view {view.name!r}; remove it")
        return None
    if view.crops and region is None:
        if not any(concept.holds for concept in annotation.concepts):
            return None
        raise Flaw(
            f"view {view.name!r} has crops as its items; add the region of a crop to the annotation"
        )
    if region is None or (view.kind == DETECTION and len(annotation.concepts) > 1):
        raise Flaw("in a detection view an annotation needs a region and one concept")
    bbox = region.bbox
    return pixel_box(bbox.xmin, bbox.ymin, bbox.xmax, bbox.ymax, 1, 1, clip=clip)


def write(views: Sequence[DeclaredView], images: Images) -> Iterator[Written]:
    """Write `annotations.jsonl`, with all views."""
    yield Written("annotations.jsonl", chunked(_lines(views, images)))


def _lines(views: Sequence[DeclaredView], images: Images) -> Iterator[bytes]:
    declared = [_declared(view, views) for view in views if view.parent is None]
    header = StudioHeader(declared, "exported by Stemma", SPLITS)
    yield msgspec.json.encode(header) + b"\n"
    for number, image in enumerate(images(), 1):
        annotations = list(_annotations(image, views))
        metadata = {
            key: msgspec.Raw(msgspec.json.encode(value)) for key, value in image.metadata.items()
        }
        decisions = [entry for view in views for entry in _decisions(image, view)]
        data = [StudioData(image.path)]
        line = StudioLine(data, annotations, image.split, metadata, number, decisions or ())
        yield msgspec.json.encode(line) + b"\n"


def _declared(view: DeclaredView, views: Sequence[DeclaredView]) -> StudioView:
    return StudioView(
        view.name,
        view.kind,
        [StudioConcept(name) for name in view.concepts],
        [[StudioConcept(name) for name in group] for group in view.conditions],
        [_declared(child, views) for child in views if child.parent == view.name],
    )


def _annotations(image: SourceImage, views: Sequence[DeclaredView]) -> Iterator[StudioAnnotation]:
    """The annotations in all views; those of crops are in the annotations that have their boxes."""
    written: set[tuple[str, SourceAnnotation]] = set()

    def entry(
        view: DeclaredView, annotation: SourceAnnotation, region: Region | None
    ) -> StudioAnnotation:
        written.add((view.name, annotation))
        children = [
            entry(child, own, None)
            for child in views
            if child.crops and child.parent == view.name
            for own in image.annotations.get(child.name, ViewAnnotations()).annotations
            if own.box == annotation.box and (child.name, own) not in written
        ]
        return StudioAnnotation([StudioConcept(annotation.label)], region, view.name, children)

    for view in views:
        in_view = image.annotations.get(view.name, ViewAnnotations())
        if not view.crops:
            for annotation in in_view.annotations:
                yield entry(view, annotation, _region(annotation.box))
        if in_view.without_concept:
            denied = view.concepts if view.kind == TAGGING else ()
            yield StudioAnnotation([StudioConcept(name, False) for name in denied], None, view.name)


def _decisions(image: SourceImage, view: DeclaredView) -> Iterator[StudioDecision]:
    for decided in image.annotations.get(view.name, ViewAnnotations()).decisions:
        concepts = [StudioConcept(decided.label, decided.present)]
        region = _region(decided.box)
        yield StudioDecision(view.name, concepts, decided.decision, decided.version_id, region)


def _region(box: Box | None) -> Region | None:
    return None if box is None else Region(Corners(*edges(box)))
