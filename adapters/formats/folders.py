"""Folder per class: `<label>/<image>`, or `<split>/<label>/<image>`; read only.

The layout of torchvision's ImageFolder. A source whose folders are all named after splits has
splits; otherwise `train` is a label like any other. An image that is in no label's folder is a
problem; any other file is noted and left out, except hidden files and files that file managers
create.
"""

from collections.abc import Iterator
from pathlib import Path

from adapters.formats.annotations import kind_of
from adapters.formats.image_names import (
    conversion_advice,
    find_image,
    is_image,
    is_image_by_content,
)
from adapters.formats.items import (
    Contents,
    DeclaredView,
    Item,
    LeftOut,
    Note,
    Problem,
    ReadOptions,
    Recognition,
    SourceAnnotation,
    SourceImage,
    ViewAnnotations,
)
from adapters.formats.sources import Flaw, joined, label, listing, printable, walk
from adapters.formats.splits import LIST_FOLDERS, folder_split, list_paths, may_be_absent
from domain.errors import Invalid
from domain.library.view import CLASSIFICATION

NO_CLASSES = {"images", "image", "imgs", "img", "jpegimages", "labels", "annotations", "data"}
"""Names of folders that are no class: their images have no label."""
LINK = "links are not followed; put the file or folder here"
NO_IMAGE = "files that are not images are left out"
NO_LABEL = "images of the test split outside the folders of labels are left out"


def recognise(folder: Path) -> Recognition:
    labels = [
        (parent, name) for parent in _label_parents(folder) for name in _labels(folder, parent)
    ]
    for parent, name in labels:
        if name.lower() in NO_CLASSES:
            return Recognition(
                f"{printable(joined(parent, name))}/ does not have the name of a class"
            )
    with_images = (
        current
        for parent, name in labels
        for current, entries in walk(folder, joined(parent, name))
        if current.rpartition("/")[2] == name and any(map(is_image, entries.files))
    )
    if next(with_images, None) is None:
        return Recognition("no <class>/<image> found")
    return Recognition()


def read(folder: Path, options: ReadOptions) -> Contents:
    kind = kind_of(options, "a folder per class", CLASSIFICATION)
    labels: set[str] = set()
    for parent in _label_parents(folder):
        for name in _labels(folder, parent):
            try:
                labels.add(label(name))
            except Flaw:
                continue  # reported as a problem when the images are read
    if not labels:
        raise Invalid("no folder per class found; looked for <label>/<image>")
    view = DeclaredView(options.view, kind, tuple(sorted(labels)))
    return Contents((view,), _images(folder, options.view))


def _label_parents(folder: Path) -> list[str]:
    """The parents of the label folders: the folders of splits, or the source's own."""
    names = listing(folder).folders
    if names and all(folder_split(name) for name in names):
        return names
    # Food-101 has meta/train.txt, which lists images/<label>/<image>.
    if [name for name in names if name not in LIST_FOLDERS] == ["images"]:
        inside_images = listing(folder, "images")
        if inside_images.folders and not any(map(is_image, inside_images.files)):
            return ["images"]
    return [""]


def _labels(folder: Path, parent: str) -> list[str]:
    """The label folders of a parent; a test set may have images in `images/`, without labels."""
    names = listing(folder, parent).folders
    if not may_be_absent(folder_split(parent) or ""):
        return names
    return [name for name in names if name.lower() not in NO_CLASSES]


def _images(folder: Path, view: str) -> Iterator[Item]:
    parents = _label_parents(folder)
    if parents != [""]:
        advice = "put it in " + ("images/<label>/" if parents == ["images"] else "<split>/<label>/")
        yield from _strays(folder, "", advice)
    for parent in parents:
        split = folder_split(parent) or ""
        strays = _strays(folder, parent, f"put it in {joined(parent, '<label>')}/")
        yield from map(_without_label, strays) if may_be_absent(split) else strays
        labels = _labels(folder, parent)
        for name in listing(folder, parent).folders:
            if name not in labels:
                yield from _unlabelled(folder, joined(parent, name))
                continue
            yield from _labelled(folder, joined(parent, name), name, split, view)


def _unlabelled(folder: Path, path: str) -> Iterator[LeftOut]:
    for current, entries in walk(folder, path):
        for where in (joined(current, name) for name in filter(is_image, entries.files)):
            yield LeftOut(printable(where), NO_LABEL, where)


def _without_label(stray: Problem | Note) -> LeftOut | Problem | Note:
    """A test set is often published without labels: its images are left out."""
    if isinstance(stray, Problem) and stray.path is not None:
        return LeftOut(stray.where, NO_LABEL, stray.path)
    return stray


def _labelled(folder: Path, path: str, name: str, split: str, view: str) -> Iterator[Item]:
    try:
        annotations = {view: ViewAnnotations((SourceAnnotation(label(name)),))}
    except Flaw as flaw:
        yield Problem(printable(path), f"{flaw} (the folder's name is the label)")
        return
    entries = listing(folder, path)
    for deeper in entries.folders:
        where = joined(path, deeper)
        if deeper == name:  # unpacked into a folder of its own name
            yield from _labelled(folder, where, name, split, view)
        else:
            yield Problem(
                printable(where),
                "the folder of a label may contain only images; move the files of this folder up",
            )
    for file in entries.others:
        yield Problem(printable(joined(path, file)), LINK)
    for file in entries.files:
        where = joined(path, file)
        if (advice := conversion_advice(file)) is not None:
            yield Problem(printable(where), advice, where)
        elif not is_image(file) and not is_image_by_content(folder / where):
            yield Note(printable(where), NO_IMAGE)
        else:
            try:
                found = find_image(folder, where)
            except Flaw as flaw:
                yield Problem(printable(where), str(flaw), where)
            else:
                yield SourceImage(found, printable(where), split, annotations=annotations)


def _strays(folder: Path, path: str, advice: str) -> Iterator[Problem | Note]:
    entries = listing(folder, path)
    lists = list_paths(folder)
    for file in entries.others:
        yield Problem(printable(joined(path, file)), LINK)
    for file in entries.files:
        where = joined(path, file)
        if is_image(file) or conversion_advice(file) is not None:
            reason = f"the image is not in the folder of a label; {advice}"
            yield Problem(printable(where), reason, where)
        elif where not in lists:
            yield Note(printable(where), NO_IMAGE)
