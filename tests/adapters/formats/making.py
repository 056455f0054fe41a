"""Sources and exports on disk, and what was read of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from PIL import Image

from adapters.formats.items import (
    Contents,
    DeclaredView,
    LeftOut,
    Note,
    Problem,
    ReadOptions,
    SourceImage,
)
from adapters.formats.registry import FORMATS, read
from tests.servers import MEMORY

OPTIONS = ReadOptions("animals")


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for one example of a property, in memory where there is some."""
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as path:
        yield Path(path)


def lay(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Put files into the folder; a picture of 200 by 100 pixels for an empty `.png`."""
    for path, content in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith(".png") and not content:
            Image.new("L", (200, 100)).save(file)
        else:
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


class Taken(msgspec.Struct, frozen=True):
    """All that a source holds, in its order."""

    views: tuple[DeclaredView, ...]
    images: list[SourceImage]
    problems: list[Problem]
    notes: list[Note]
    left_out: list[LeftOut] = []


def take(form: str, root: Path, options: ReadOptions = OPTIONS) -> Taken:
    return taken(read(form, root, options))


def taken(contents: Contents) -> Taken:
    items = list(contents.images)
    return Taken(
        contents.views,
        [item for item in items if isinstance(item, SourceImage)],
        [item for item in items if isinstance(item, Problem)],
        [item for item in items if isinstance(item, Note)],
        [item for item in items if isinstance(item, LeftOut)],
    )


def only_problem(form: str, root: Path, options: ReadOptions = OPTIONS) -> Problem:
    """The problem of a source that has this one, and so no image to which it belongs."""
    (problem,) = take(form, root, options).problems
    return problem


def export(
    form: str, root: Path, views: Sequence[DeclaredView], images: Sequence[SourceImage]
) -> Path:
    """Write the images' annotations, and empty files in place of the images."""
    write = FORMATS[form].write
    assert write is not None
    for written in write(views, lambda: iter(images)):
        file = root / written.path
        file.parent.mkdir(parents=True, exist_ok=True)
        assert not file.exists()
        file.write_bytes(b"".join(written.chunks))
    for image in images:
        file = root / image.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return root
