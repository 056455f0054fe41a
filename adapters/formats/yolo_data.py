"""The metadata of a YOLO source: the names of its classes, and the split of each image.

`data.yaml` (or the only YAML file) has `names`, a list or a mapping from numbers, and may name
folders or lists of images as `train`, `val` and `test`. Entries outside the source are ignored.
Without it, `classes.txt`, `obj.names` or another `*.names` has one name per line, and `obj.data`
(Darknet) names the lists.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import yaml

from adapters.formats.items import Problem
from adapters.formats.sources import (
    Flaw,
    inside,
    is_plain,
    joined,
    label,
    lines,
    listing,
    printable,
    read_bytes,
)
from adapters.formats.splits import SPLITS, SplitLists, may_be_absent
from domain.dataset.image import TEST, TRAIN, VALIDATION
from domain.errors import Invalid

LISTS = {TRAIN: "train.txt", VALIDATION: "val.txt", TEST: "test.txt"}
KEYS = {TRAIN: "train", VALIDATION: "val", TEST: "test"}
NAMED = ("data.yaml", "data.yml", "dataset.yaml")
PLAIN = ("classes.txt", "obj.names")
DARKNET = "obj.data"
LARGEST = 300_000
"""The most bytes of a YAML file. YAML is slow to parse, and a thousand names have kilobytes."""


class Data(msgspec.Struct, frozen=True):
    """Class names by number, and the folders or lists of each split, as the file at `path` has
    them. With `keypoints`, keypoints follow each box."""

    path: str
    names: dict[int, str]
    splits: dict[str, list[str]] = {}
    keypoints: bool = False


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
            "no YOLO class names found; looked for data.yaml, classes.txt, obj.names and *.names"
        )
    if path.lower().endswith((".yaml", ".yml")):
        return _from_yaml(folder, path, read_bytes(folder, path, min(max_bytes, LARGEST)))
    lines_read = [line.strip() for line in lines(folder, path, min(max_bytes, LARGEST))]
    while lines_read and not lines_read[-1]:
        lines_read.pop()
    return Data(path, _names(path, enumerate(lines_read)), _darknet_splits(folder))


def _darknet_splits(folder: Path) -> dict[str, list[str]]:
    """The lists that `obj.data` names, which has lines such as `train = data/train.txt`."""
    if not is_plain(folder, DARKNET):
        return {}
    splits: dict[str, list[str]] = {}
    for line in lines(folder, DARKNET, LARGEST):
        key, _, value = (part.strip() for part in line.partition("="))
        for path in (value, value.removeprefix("data/")):
            if key in SPLITS and value and is_plain(folder, path):
                splits[key] = [path]
    return splits


class _Loader(yaml.BaseLoader):
    """A loader that keeps scalars as text: YAML reads a class named `no` as false."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not supported; write the values out")
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
    splits = {key: _entries(folder, content, key) for key in SPLITS if key in content}
    return Data(path, _names(path, pairs), splits, "kpt_shape" in content)


def _names(path: str, pairs: Iterable[tuple[object, object]]) -> dict[int, str]:
    names: dict[int, str] = {}
    used: set[str] = set()
    for key, value in pairs:
        number = str(key)
        try:
            if not number.isdecimal() or len(number) > 9:
                raise Flaw("the number of a class must be 0, 1, 2, ...")
            name = label(value if isinstance(value, str) else "")
            if name in used:
                raise Flaw(f"{name!r} is used twice; rename one")
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
    """The splits of images, by the folders and lists that `data.yaml` or `obj.data` names."""

    def __init__(self, folder: Path, data: Data) -> None:
        self._folder, self._data = folder, data
        self._folders: dict[str, str] = {}
        self._lists = SplitLists(folder)

    @property
    def are_complete(self) -> bool:
        """Whether an image in none of them is in no split: one is for training or validation."""
        return self._lists.are_complete or not all(map(may_be_absent, self._folders.values()))

    def read_sources(self, max_bytes: int) -> Iterator[Problem]:
        """Read the folders and lists that are named, and yield their problems."""
        for key, entries in self._data.splits.items():
            for entry in entries:
                try:
                    if (self._folder / entry).is_dir():
                        if self._folders.setdefault(entry, key) != key:
                            raise Flaw(f"{entry!r} is in two splits; choose one")
                    elif entry.endswith(".txt") and is_plain(self._folder, entry):
                        yield from self._lists.read(entry, key, max_bytes)
                    elif not may_be_absent(key):
                        raise Flaw(f"{key} is {entry!r}, which is not a folder or list; correct it")
                except Flaw as flaw:
                    yield Problem(self._data.path, str(flaw))

    def of(self, image: str) -> str | None:
        """The name of an image's split, or None if nothing names it."""
        listed = self._lists.of(image)
        if listed is not None:
            return listed
        parts = image.split("/")[:-1]
        for count in range(len(parts), 0, -1):
            key = self._folders.get("/".join(parts[:count]))
            if key is not None:
                return key
        return None


def data_yaml(names: Sequence[str], splits: Sequence[str]) -> bytes:
    """The `data.yaml` of an export with the lists `LISTS`."""
    data: dict[str, object] = {KEYS[split]: LISTS[split] for split in splits}
    data |= {"nc": len(names), "names": dict(enumerate(names))}
    return yaml.safe_dump(data, allow_unicode=True, sort_keys=False).encode()
