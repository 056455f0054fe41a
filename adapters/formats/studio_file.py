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


class StudioView(msgspec.Struct, frozen=True):
    name: str
    type: str
    concepts: list[StudioConcept]
    conditions: object = ()
    children: object = ()


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
            raise Invalid(f"{printable(path)}:1: this is no header of Studio: {error}") from error


def views_of(path: str, header: StudioHeader) -> dict[str, DeclaredView]:
    views: dict[str, DeclaredView] = {}
    try:
        for view in header.views:
            name = clean_name(view.name, "the view's name")
            if view.conditions or view.children:
                has = "conditions" if view.conditions else "children"
                raise Invalid(
                    f"view {name!r} has {has}, which are not imported: give each view without them,"
                    " and create child views in the project"
                )
            concepts = tuple(label(concept.name) for concept in view.concepts)
            if name in views or len(set(concepts)) < len(concepts):
                raise Invalid(f"view {name!r} or one of its concepts is given twice; remove one")
            views[name] = DeclaredView(name, checked_kind(view.type), concepts)
    except (Flaw, Invalid) as error:
        raise Invalid(f"{printable(path)}:1: {error}") from error
    return views
