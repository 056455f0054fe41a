"""Folder per class: `<label>/<image>`, or `<split>/<label>/<image>`; read only.

The layout of torchvision's ImageFolder. A source whose folders are all named after splits has
splits; otherwise `train` is a label like any other. Every file that is not an image is a problem,
except hidden files and files that file managers create.
"""

from collections.abc import Iterator
from pathlib import Path

from adapters.formats.annotations import kind_of
from adapters.formats.items import (
    Contents,
    DeclaredView,
    Note,
    Problem,
    ReadOptions,
    SourceAnnotation,
    SourceImage,
    ViewAnnotations,
)
from adapters.formats.sources import (
    SPLITS,
    TEST,
    Flaw,
    find_image,
    is_image,
    is_image_file,
    joined,
    label,
    listing,
    printable,
    split_name,
)
from domain.errors import Invalid
from domain.library.view import CLASSIFICATION


def looks_like(folder: Path) -> bool:
    return any(
        is_image(file)
        for parent in _label_parents(folder)
        for name in listing(folder, parent).folders
        for file in listing(folder, joined(parent, name)).files
    )


def read(folder: Path, options: ReadOptions) -> Contents:
    kind = kind_of(options, "a folder per class", CLASSIFICATION)
    labels: set[str] = set()
    for parent in _label_parents(folder):
        for name in listing(folder, parent).folders:
            try:
                labels.add(label(name))
            except Flaw:
                continue  # reported as a problem when the images are read
    if not labels:
        raise Invalid("there is no folder per class; looked for <label>/<image>")
    view = DeclaredView(options.view, kind, tuple(sorted(labels)))
    return Contents((view,), _images(folder, options.view))


def _label_parents(folder: Path) -> list[str]:
    """The parents of the label folders: the folders of splits, or the source's own."""
    names = listing(folder).folders
    splits = bool(names) and all(name.lower() in {*SPLITS, *TEST} for name in names)
    return names if splits else [""]


def _images(folder: Path, view: str) -> Iterator[SourceImage | Problem | Note]:
    parents = _label_parents(folder)
    if parents != [""]:
        yield from _strays(folder, "", "put it in <split>/<label>/")
    for parent in parents:
        try:
            split = split_name(parent)
        except Flaw as flaw:
            yield Problem(parent, str(flaw))
            continue
        yield from _strays(folder, parent, f"put it in {joined(parent, '<label>')}/")
        for name in listing(folder, parent).folders:
            yield from _labelled(folder, joined(parent, name), name, split, view)


def _labelled(
    folder: Path, path: str, name: str, split: str | None, view: str
) -> Iterator[SourceImage | Problem]:
    try:
        annotations = {view: ViewAnnotations((SourceAnnotation(label(name)),))}
    except Flaw as flaw:
        yield Problem(printable(path), f"{flaw} (the folder's name is the label)")
        return
    entries = listing(folder, path)
    for deeper in entries.folders:
        where = joined(path, deeper)
        yield Problem(printable(where), "a label's folder holds images only; move this folder's up")
    for file in entries.files + entries.others:
        where = joined(path, file)
        try:
            if file in entries.files and not is_image_file(folder, where):
                raise Flaw("this is no image by its name's ending or its content; remove it")
            yield SourceImage(
                find_image(folder, where), printable(where), split, annotations=annotations
            )
        except Flaw as flaw:
            yield Problem(printable(where), str(flaw))


def _strays(folder: Path, path: str, advice: str) -> Iterator[Problem]:
    entries = listing(folder, path)
    for file in entries.files + entries.others:
        yield Problem(printable(joined(path, file)), f"the file is in no label's folder; {advice}")
