"""The structs that every format is read to and written from: images and their annotations."""

from collections.abc import Callable, Iterator

import msgspec

from domain.dataset.image import Box


class SourceAnnotation(msgspec.Struct, frozen=True):
    """An annotation of an image, or of a box in it, by the concept's label."""

    label: str
    box: Box | None = None


class ViewAnnotations(msgspec.Struct, frozen=True):
    """An image's annotations in one view. They are never empty: an image that is not annotated in
    a view has no entry for it."""

    annotations: tuple[SourceAnnotation, ...] = ()
    without_concept: bool = False


class SourceImage(msgspec.Struct, frozen=True):
    """One image of a source.

    `path` is its file's path from the source's folder, with `/`. `where` locates its entry for
    messages, as `file:line` in files with lines. `size` is the width and height in pixels that the
    source declares, or None. `annotations` are by the view's name.
    """

    path: str
    where: str
    split: str | None = None
    metadata: dict[str, str] = {}
    annotations: dict[str, ViewAnnotations] = {}
    size: tuple[int, int] | None = None


class Problem(msgspec.Struct, frozen=True):
    """The reason why one image or line cannot be imported, and what to do."""

    where: str
    reason: str


class Note(msgspec.Struct, frozen=True):
    """Content of a source that Stemma leaves out, reported to its owner."""

    where: str
    text: str


class DeclaredView(msgspec.Struct, frozen=True):
    """A view that a source declares, and the labels known in advance, in the source's order."""

    name: str
    kind: str
    concepts: tuple[str, ...]


class ReadOptions(msgspec.Struct, frozen=True):
    """Options of a reader.

    `view` names the view for a format that holds one view. `kind` is that view's kind if the
    format allows several, or None. `clip` clips boxes to the image instead of rejecting them.
    `max_bytes` is the largest size of one annotation file.
    """

    view: str
    kind: str | None = None
    clip: bool = False
    max_bytes: int = 1_000_000_000


class Contents(msgspec.Struct, frozen=True):
    """The content of a source. `images` reads while it is iterated, and can be iterated once.

    Images may have more labels than the declared ones.
    """

    views: tuple[DeclaredView, ...]
    images: Iterator[SourceImage | Problem | Note]


class Written(msgspec.Struct, frozen=True):
    """A file of an export: its path in the export's folder, and its bytes in pieces."""

    path: str
    chunks: Iterator[bytes]


Images = Callable[[], Iterator[SourceImage]]
"""The images to export, each with `size`; a writer may iterate over them more than once."""
