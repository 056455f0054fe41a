"""The splits of a source: one place decides what a name such as `train`, `val2017` or `test` means.

Stemma has training, validation and test images. Images that a source names for any other split are
left out, since they must not train. A split is named, in this order, by the entry of an image (a
column, a field, or the file, folder or list that its reader knows), by a list `<split>.txt` at the
top of the source, or by a folder of the image's path. If a list is for training or validation, an
image that is on none is left out.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import msgspec

from adapters.formats.image_names import find_image, find_moved_image
from adapters.formats.items import Contents, Item, LeftOut, Problem, SourceImage
from adapters.formats.sources import Flaw, is_plain, joined, lines, listing, printable
from domain.dataset.image import TEST, TRAIN, VALIDATION

SPLITS = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "dev": VALIDATION,
    "test": TEST,
    "testing": TEST,
    "holdout": TEST,
}
IN_NAMES = SPLITS.keys() - {"dev"}
"""The words that name a split in the name of a file or folder, where `dev` has other meanings."""
TRAINVAL = "trainval"
UNDECIDED = {"", TRAINVAL, "all", "default", "unassigned", "none", "null", "nan"}
"""Names of no split in particular: these images keep the split that they have."""
FILLERS = {
    *("image", "images", "img", "imgs", "label", "labels", "annotation", "annotations"),
    *("data", "dataset", "obj", "set", "split", "subset", "files", "jpegimages"),
}
"""Words beside a split in the name of its folder, such as `images_train`."""
LIST_FOLDERS = ("", "meta", "splits", "lists", "annotations")
PROBED_LINES = 20
_WITH_NUMBERS = re.compile(r"(\S+)(?:\s+-?\d+)+")
UNLISTED = "images that are in no list of a split are left out"
ABSENT = "missing images of the test split are left out"


def meaning(name: str) -> str | None:
    """The split of a name; None if it names none in particular. Raises `KeyError` for others."""
    word = name.strip().lower()
    return None if word in UNDECIDED else SPLITS[word]


def left_out(path: str, where: str, name: str) -> LeftOut:
    return LeftOut(
        where,
        f"images of split {printable(name.strip())[:60]!r} are left out: Stemma has train,"
        " validation and test; rename the split to import them",
        path,
    )


def may_be_absent(name: str) -> bool:
    """Whether images of the split are often not there: those of a test set are published apart."""
    return not is_known(name) or meaning(name) == TEST


def absent(path: str, where: str, name: str) -> LeftOut:
    """An image that is not there, of a split that `may_be_absent`."""
    return LeftOut(where, ABSENT, path) if is_known(name) else left_out(path, where, name)


def folder_split(name: str) -> str | None:
    """The split that one folder is named after, such as `train`, `val2017` or `test_images`."""
    words = [word for word in re.split("[^a-z]+", name.lower()) if word and word not in FILLERS]
    return words[0] if len(words) == 1 and words[0] in IN_NAMES else None


@lru_cache(maxsize=1024)
def path_split(path: str) -> str | None:
    """The split that a folder of the path is named after: the deepest one. Cached, since it is
    called for each image."""
    named = (folder_split(part) for part in reversed(path.split("/")))
    return next((name for name in named if name), None)


def file_split(path: str) -> str | None:
    """The split that a file is named after, such as `instances_val2017.json`, else its folder."""
    parent, _, name = path.rpartition("/")
    words = set(re.split("[^a-z]+", name.rpartition(".")[0].lower())) & IN_NAMES
    if not words:
        return path_split(parent)
    return words.pop() if len({SPLITS[word] for word in words}) == 1 else None


class SplitLists:
    """The splits of the images that lists name, one path a line."""

    def __init__(self, folder: Path, parents: tuple[str, ...] = ("", "images")) -> None:
        self._folder, self._parents = folder, parents
        self._names: dict[str, str] = {}
        self.are_complete = False
        """Whether an image that is on none is in no split: one of the lists is for training or
        validation. A list of test images alone says nothing of the others."""

    def read(self, path: str, name: str, max_bytes: int) -> Iterator[Problem]:
        """Read the list at `path` for the split `name`.

        A missing image is a problem, unless the images of this split are often not there.
        """
        self.are_complete |= not may_be_absent(name)
        for count, line in enumerate(lines(self._folder, path, max_bytes), 1):
            if not line.strip():
                continue
            try:
                image = self._find(path, line.strip())
            except Flaw as flaw:
                if not may_be_absent(name):
                    yield Problem(f"{printable(path)}:{count}", str(flaw))
                continue
            if name in UNDECIDED:
                self._names.setdefault(image, name)
            elif _split(self._names.setdefault(image, name)) != _split(name):
                reason = f"{image!r} is in both {self._names[image]} and {name}; choose one"
                yield Problem(f"{printable(path)}:{count}", reason)

    def of(self, image: str) -> str | None:
        return self._names.get(image)

    def is_list(self, path: str, max_bytes: int) -> bool:
        """Whether one of the first lines of a file is the path of an image."""
        for count, line in enumerate(lines(self._folder, path, max_bytes)):
            if count == PROBED_LINES:
                return False
            try:
                self._find(path, line.strip())
                return True
            except Flaw:
                continue
        return False

    def _find(self, path: str, line: str) -> str:
        parents = tuple(dict.fromkeys((path.rpartition("/")[0], *self._parents)))
        if (match := _WITH_NUMBERS.fullmatch(line)) is not None:  # an image with its class
            with suppress(Flaw):
                return find_moved_image(self._folder, match[1], parents)
        try:
            return find_moved_image(self._folder, line, parents)
        except Flaw:
            # CVAT lists data/obj_train_data/a.png, where Darknet expects the archive in data/.
            if not line.startswith("data/"):
                raise
            return find_image(self._folder, line.removeprefix("data/"), parents)


def is_known(name: str) -> bool:
    """Whether images of the split are taken."""
    return name.strip().lower() in {*SPLITS, *UNDECIDED}


def _split(name: str) -> str | None:
    return meaning(name) if is_known(name) else name


def list_paths(folder: Path) -> Mapping[str, str]:
    """The paths of files that are named as lists of splits, such as `train.txt`; with the names."""
    top = listing(folder)
    paths = {}
    for parent in LIST_FOLDERS:
        if parent and parent not in top.folders:
            continue
        for name in listing(folder, parent).files:
            stem, _, ending = name.lower().rpartition(".")
            if ending == "txt" and (stem in IN_NAMES or stem == TRAINVAL):
                paths[joined(parent, name)] = stem
    return paths


def read_lists(folder: Path, lists: SplitLists, max_bytes: int) -> Iterator[Problem]:
    """Read the lists at the top of the source. A text that names no image is no list."""
    # Those that name no split come last, since they repeat the others.
    for path, name in sorted(list_paths(folder).items(), key=lambda item: item[1] in UNDECIDED):
        if is_plain(folder, path) and lists.is_list(path, max_bytes):
            yield from lists.read(path, name, max_bytes)


def settle(folder: Path, contents: Contents, max_bytes: int) -> Iterator[Item]:
    """The items with each image's split decided; images for other splits are left out."""
    lists = SplitLists(folder)
    if not contents.has_lists:
        yield from read_lists(folder, lists, max_bytes)
    for item in contents.images:
        yield _settled(item, lists) if isinstance(item, SourceImage) else item


def _settled(image: SourceImage, lists: SplitLists) -> Item:
    name = image.split
    if not name:
        listed = lists.of(image.path)
        if listed is None and lists.are_complete:
            return LeftOut(image.where, UNLISTED, image.path)
        name = name if listed is None else listed
    if name is None:
        name = path_split(image.path.rpartition("/")[0]) or ""
    if not is_known(name):
        return left_out(image.path, image.where, name)
    split = meaning(name)
    return image if split == image.split else msgspec.structs.replace(image, split=split)
