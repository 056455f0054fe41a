"""Images that are not where their entries expect them, found by their file names."""

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from adapters.formats.image_names import find_image, is_image
from adapters.formats.items import Note
from adapters.formats.sources import Flaw, inside, joined, walk
from adapters.formats.splits import is_known, meaning, path_split
from adapters.images.file_format import SUFFIXES

ELSEWHERE = "images that are not where their entries expect them are found by their file names"
MOST_FILES = 1_000_000
"""A source with more images is not searched."""
MOST_OF_A_NAME = 100
"""More are not kept: a hostile source has the same name everywhere."""
SHOWN = 3


class MovedImages:
    """The images of a source by file name. They are listed once, when one is first looked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: dict[str, list[str]] | None = None
        self._moved: set[str] = set()

    def find(self, path: str, parents: Sequence[str], split: str | None = None) -> str:
        """The path of an image: in one of `parents`, or else as `elsewhere`."""
        try:
            return find_image(self._folder, path, parents)
        except Flaw as flaw:
            return self.elsewhere(path, parents, split, flaw)

    def elsewhere(
        self, path: str, parents: Sequence[str], split: str | None, otherwise: Flaw
    ) -> str:
        """The only image of the source whose path ends as this one, or else that has its file name.

        An image is missing, not moved, if the folder that its entry names is there. One in a
        folder of another split is another image. Raises `otherwise` if there is none, and a `Flaw`
        that names them if there are several.
        """
        path = inside(path)
        above, _, name = path.rpartition("/")
        if above and any((self._folder / parent / above).is_dir() for parent in parents):
            raise otherwise
        found = self._named(path, split) if above else []
        found = found or self._named(name, split)
        if not found:
            raise otherwise
        if len(found) > 1:
            listed = ", ".join(map(repr, found[:SHOWN])) + (", ..." if len(found) > SHOWN else "")
            raise Flaw(
                f"there is no file {path!r} where it is expected, and several files of the"
                f" source have its name ({listed}); write the path of one"
            )
        self._moved.add(found[0])
        return found[0]

    def notes(self, where: str) -> Iterator[Note]:
        """The notes about the images found elsewhere since the last call."""
        yield from (Note(where, ELSEWHERE) for _ in self._moved)
        self._moved.clear()

    def _named(self, path: str, split: str | None) -> list[str]:
        """The images whose paths end with this one, which may lack the ending of its name."""
        if self._paths is None:
            self._paths = self._listed()
        endings = [""] if is_image(path) else [e for s in SUFFIXES for e in (s, s.upper())]
        found = []
        for end in (_normal(path + ending) for ending in endings):
            same = self._paths.get(_last_two(end), ())
            found += [file for file in same if f"/{_normal(file)}".endswith(f"/{end}")]
        return [file for file in found if not _of_another(file, split)]

    def _listed(self) -> dict[str, list[str]]:
        """The paths of the images by their names, and by these with the names of their folders."""
        paths: dict[str, list[str]] = {}
        count = 0
        for folder, entries in walk(self._folder):
            for name in filter(is_image, entries.files):
                count += 1
                if count > MOST_FILES:
                    return {}
                path = joined(folder, name)
                for key in {_normal(name), _last_two(_normal(path))}:
                    same = paths.setdefault(key, [])
                    if len(same) < MOST_OF_A_NAME:
                        same.append(path)
        return paths


def _last_two(path: str) -> str:
    return "/".join(path.split("/")[-2:])


def _normal(path: str) -> str:
    return path if path.isascii() else unicodedata.normalize("NFC", path)


def _of_another(file: str, split: str | None) -> bool:
    """Whether the file is in a folder of another split than this one."""
    own = path_split(file.rpartition("/")[0])
    if not split or own is None or not (is_known(split) and is_known(own)):
        return False
    return None not in (meaning(own), meaning(split)) and meaning(own) != meaning(split)
