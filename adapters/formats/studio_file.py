"""A Studio file: how it is located, its header, and the form of a line."""

import glob
from contextlib import closing
from pathlib import Path

import msgspec

from adapters.formats.annotations import checked_kind
from adapters.formats.items import DeclaredView, Recognition
from adapters.formats.sources import Flaw, label, lines, listing, printable
from domain.errors import Invalid
from domain.text import clean_name

SUFFIXES = (".jsonl", ".ndjson", ".json", ".txt")


class StudioConcept(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    holds: bool = msgspec.field(default=True, name="bool")


StudioConditions = list[list[StudioConcept]] | dict[str, object] | None
"""An empty object, as nothing, is no condition."""


class StudioView(msgspec.Struct, frozen=True):
    """A view. Those on it are its `children`, or come later in the list and have `conditions`."""

    name: str
    type: str
    concepts: list[StudioConcept]
    conditions: list[list[StudioConcept]] | dict[str, object] | None = msgspec.field(
        default_factory=list
    )
    children: "list[StudioView] | None" = msgspec.field(default_factory=list)


class StudioHeader(msgspec.Struct, frozen=True):
    views: list[StudioView]
    name: str = ""
    splits: object = ()


class Corners(msgspec.Struct, frozen=True):
    xmin: float
    ymin: float
    xmax: float
    ymax: float


class Region(msgspec.Struct, frozen=True):
    bbox: Corners


class StudioAnnotation(msgspec.Struct, frozen=True, omit_defaults=True):
    concepts: list[StudioConcept]
    region: Region | None = None
    view: str | None = None
    children: "list[StudioAnnotation]" = msgspec.field(default_factory=list)


class StudioDecision(msgspec.Struct, frozen=True, omit_defaults=True):
    """Written only: the concept is the doubted one, and a false `bool` says that it is absent."""

    view: str
    concepts: list[StudioConcept]
    decision: str
    version: str
    region: Region | None = None


class StudioData(msgspec.Struct, frozen=True):
    file: str


class StudioLine(msgspec.Struct, frozen=True, omit_defaults=True):
    data: list[StudioData]
    annotations: list[StudioAnnotation] | None = None
    splits: str | list[str] | None = None
    metadata: dict[str, msgspec.Raw] | None = None
    id: object = None
    decisions: object = ()


def recognise(folder: Path) -> Recognition:
    try:
        path = studio_path(folder, 1 << 62)
        read_header(folder, path, 1 << 62)
    except Invalid as refusal:
        return Recognition(refusal.detail)
    return Recognition(reads=(glob.escape(path),))


def studio_path(folder: Path, max_bytes: int) -> str:
    names = [name for name in listing(folder).files if name.lower().endswith(SUFFIXES)]
    matches = [name for name in names if name.lower().endswith((".jsonl", ".ndjson"))]
    if len(matches) != 1:
        matches = [name for name in names if _has_header(folder, name, max_bytes)]
    if len(matches) != 1:
        raise Invalid(
            f"looked for one *.jsonl, or *.json or *.txt of lines with Studio's header; there are"
            f" {len(matches)}"
        )
    return matches[0]


def _has_header(folder: Path, path: str, max_bytes: int) -> bool:
    try:
        return bool(read_header(folder, path, max_bytes))
    except Invalid:
        return False


def read_header(folder: Path, path: str, max_bytes: int) -> StudioHeader:
    with closing(lines(folder, path, max_bytes)) as text:
        try:
            return msgspec.json.decode(next(text, ""), type=StudioHeader)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Invalid(f"{printable(path)}:1: this is not a Studio header: {error}") from error


def views_of(path: str, header: StudioHeader) -> dict[str, DeclaredView]:
    """The views by name, each after the one that it stands on."""
    views: dict[str, DeclaredView] = {}
    try:
        for view in header.views:
            _declare(view, None, views)
    except (Flaw, Invalid) as error:
        raise Invalid(f"{printable(path)}:1: {error}") from error
    return views


def _declare(view: StudioView, parent: DeclaredView | None, views: dict[str, DeclaredView]) -> None:
    name = clean_name(view.name, "the view's name")
    concepts = tuple(label(concept.name) for concept in view.concepts)
    if name in views or len(set(concepts)) < len(concepts):
        raise Invalid(f"view {name!r} or one of its concepts is used twice; remove one")
    if isinstance(view.conditions, dict) and view.conditions:
        raise Invalid(f"conditions of view {name!r} must be lists of lists of concepts")
    conditions = tuple(
        tuple(label(concept.name) for concept in group)
        for group in view.conditions or ()
        if isinstance(group, list)
    )
    named = {concept for group in conditions for concept in group}
    if parent is None and conditions:
        having = [each for each in views.values() if named <= set(each.concepts)]
        if len(having) != 1:
            raise Invalid(
                f"view {name!r} has conditions on {', '.join(sorted(named))}, which {len(having)}"
                " views before it have; put it into the children of its parent"
            )
        (parent,) = having
    if parent is not None:
        unknown = named - set(parent.concepts)
        if unknown:
            raise Invalid(
                f"view {name!r} has a condition on {min(unknown)!r}, which its parent lacks"
            )
        # Without conditions, a child is about all that its parent has a concept of.
        conditions = conditions or tuple((concept,) for concept in parent.concepts)
    on_crops = parent is not None and parent.gives_crops
    views[name] = DeclaredView(
        name,
        checked_kind(view.type),
        concepts,
        parent.name if parent else None,
        conditions,
        on_crops,
    )
    for child in view.children or ():
        _declare(child, views[name], views)
