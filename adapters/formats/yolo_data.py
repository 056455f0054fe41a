"""The metadata of a YOLO source: the names of its classes, and the split of each image.

`data.yaml` (or the only YAML file) has `names`, a list or a mapping from numbers, and may name
folders or lists of images as `train` and `val`. Entries outside the source are ignored. Without
it, `classes.txt`, `obj.names` or another `*.names` has one name per line.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import yaml

from adapters.formats.items import Problem
from adapters.formats.sources import (
    SPLITS,
    TEST,
    Flaw,
    find_image,
    folder_split,
    inside,
    is_plain,
    joined,
    label,
    lines,
    listing,
    printable,
    read_bytes,
    split_name,
)
from domain.dataset.image import TRAIN, VALIDATION
from domain.errors import Invalid

LISTS = {TRAIN: "train.txt", VALIDATION: "val.txt"}
KEYS = {TRAIN: "train", VALIDATION: "val"}
NAMED = ("data.yaml", "data.yml", "dataset.yaml")
PLAIN = ("classes.txt", "obj.names")
LARGEST = 300_000
"""The most bytes of a YAML file. YAML is slow to parse, and a thousand names have kilobytes."""


class Data(msgspec.Struct, frozen=True):
    """Class names by number, and the folders or lists of each split, as the file at `path` has
    them."""

    path: str
    names: dict[int, str]
    splits: dict[str, list[str]] = {}


def names_file(folder: Path) -> str | None:
    """The path of the file with the class names, or None."""
    top = listing(folder)
    yamls = [name for name in top.files if name.lower().endswith((".yaml", ".yml"))]
    names = [name for name in top.files if name.endswith(".names")]
    files = [name for name in (*NAMED, *yamls, *PLAIN, *names) if name in top.files]
    if "labels" in top.folders and "classes.txt" in listing(folder, "labels").files:
        files.append("labels/classes.txt")
    return files[0] if files else None


def read_data(folder: Path, max_bytes: int) -> Data:
    """Read the class names and splits. Raises `Invalid` if names are missing or not valid."""
    path = names_file(folder)
    if path is None:
        raise Invalid(
            "there are no YOLO names; looked for data.yaml, classes.txt, obj.names and *.names"
        )
    if path.lower().endswith((".yaml", ".yml")):
        return _from_yaml(folder, path, read_bytes(folder, path, min(max_bytes, LARGEST)))
    lines_read = [line.strip() for line in lines(folder, path, min(max_bytes, LARGEST))]
    while lines_read and not lines_read[-1]:
        lines_read.pop()
    return Data(path, _names(path, enumerate(lines_read)))


class _Loader(yaml.BaseLoader):
    """A loader that keeps scalars as text: YAML reads a class named `no` as false."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read; write out what they stand for")
        return super().compose_node(parent, index)


def _from_yaml(folder: Path, path: str, data: bytes) -> Data:
    try:
        content = yaml.load(data.decode(), _Loader)
    except UnicodeDecodeError as error:
        raise Invalid(f"{printable(path)}: this is not UTF-8; save the file as UTF-8") from error
    except RecursionError as error:
        raise Invalid(f"{printable(path)}: the YAML nests too deeply") from error
    except yaml.YAMLError as error:
        detail = " ".join(str(error).split())
        raise Invalid(f"{printable(path)}: the YAML cannot be read: {detail}") from error
    content = content if isinstance(content, dict) else {}
    names = content.get("names")
    pairs = enumerate(names) if isinstance(names, list) else []
    pairs = names.items() if isinstance(names, dict) else pairs
    splits = {key: _entries(folder, content, key) for key in (*SPLITS, *TEST) if key in content}
    return Data(path, _names(path, pairs), splits)


def _names(path: str, pairs: Iterable[tuple[object, object]]) -> dict[int, str]:
    names: dict[int, str] = {}
    used: set[str] = set()
    for key, value in pairs:
        number = str(key)
        try:
            if not number.isdecimal() or len(number) > 9:
                raise Flaw("a class's number is 0, 1, 2, ...")
            name = label(value if isinstance(value, str) else "")
            if name in used:
                raise Flaw(f"{name!r} is given twice; rename one")
        except Flaw as flaw:
            raise Invalid(f"{printable(path)}: name {number[:60]!r}: {flaw}") from flaw
        names[int(number)] = name
        used.add(name)
    if not names:
        raise Invalid(f"{printable(path)}: the classes' names are missing; list them there")
    return dict(sorted(names.items()))


def _entries(folder: Path, content: dict[object, object], key: str) -> list[str]:
    """The entries at the key that are inside the source, as paths from its folder."""
    base, value = content.get("path"), content.get(key)
    usable = []
    for entry in value if isinstance(value, list) else [value]:
        try:
            path = inside(str(entry))
            below = joined(inside(str(base)), path)
        except Flaw:  # without a valid `path`, entries are relative to the source's folder
            below = ""
        with suppress(Flaw):
            usable.append(below if below and (folder / below).exists() else inside(str(entry)))
    return usable


class Splits:
    """The splits of images, by their folder or by the lists that name them."""

    def __init__(self, folder: Path, data: Data) -> None:
        self._folder, self._data = folder, data
        self._folders: dict[str, str] = {}
        self._listed: dict[str, str] = {}

    def read_sources(self, max_bytes: int) -> Iterator[Problem]:
        """Read the folders and lists that `data.yaml` names, and yield their problems."""
        for key, entries in self._data.splits.items():
            for entry in entries:
                try:
                    if (self._folder / entry).is_dir():
                        if self._folders.setdefault(entry, key) != key:
                            raise Flaw(f"{entry!r} is in two splits; choose one")
                    elif key not in TEST:
                        yield from self._list(entry, key, max_bytes)
                except Flaw as flaw:
                    yield Problem(self._data.path, str(flaw))

    def _list(self, path: str, key: str, max_bytes: int) -> Iterator[Problem]:
        if not path.endswith(".txt") or not is_plain(self._folder, path):
            raise Flaw(f"{key} is {path!r}, which is no folder or list; correct it")
        split = SPLITS[key]
        for count, line in enumerate(lines(self._folder, path, max_bytes), 1):
            if not line.strip():
                continue
            try:
                parents = (path.rpartition("/")[0], "")
                image = find_image(self._folder, line.strip(), parents)
                if self._listed.setdefault(image, split) != split:
                    raise Flaw(f"{image!r} is in both train and validation; choose one")
            except Flaw as flaw:
                yield Problem(f"{path}:{count}", str(flaw))

    def of_folder(self, folder: str) -> str | None:
        """The split of a folder, or None. Raises `Flaw` for a folder of test images."""
        parts = folder.split("/")
        for count in range(len(parts), 0, -1):
            key = self._folders.get("/".join(parts[:count]))
            if key is not None:
                return split_name(key)
        return None if self._listed else folder_split(folder)

    def of_image(self, path: str, otherwise: str | None) -> str | None:
        return self._listed.get(path, otherwise)


def data_yaml(names: Sequence[str], splits: Sequence[str]) -> bytes:
    """The `data.yaml` of an export with the lists `LISTS`."""
    data: dict[str, object] = {KEYS[split]: LISTS[split] for split in splits}
    data |= {"nc": len(names), "names": dict(enumerate(names))}
    return yaml.safe_dump(data, allow_unicode=True, sort_keys=False).encode()
