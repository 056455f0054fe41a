"""What every format is read to and written from: images, and what is said of them in views."""

from collections.abc import Callable, Iterator

import msgspec

from domain.dataset.image import Box


class SourceAnnotation(msgspec.Struct, frozen=True):
    """A concept, by its label, said of an image or of a box in it."""

    label: str
    box: Box | None = None


class ViewAnnotations(msgspec.Struct, frozen=True):
    """All that is said of an image in one view; never empty: then the view has no answer."""

    annotations: tuple[SourceAnnotation, ...] = ()
    without_concept: bool = False


class SourceImage(msgspec.Struct, frozen=True):
    """One image of a source.

    `path` leads to its file from the source's folder, with `/`. `where` names the place that
    speaks of it, as `file:line` where there are lines, for messages. `size` is the width and
    height in pixels that the source claims, or None. `answers` are by the view's name.
    """

    path: str
    where: str
    split: str | None = None
    metadata: dict[str, str] = {}
    annotations: dict[str, ViewAnnotations] = {}
    size: tuple[int, int] | None = None


class Problem(msgspec.Struct, frozen=True):
    """Why one image or line cannot be taken: what is wrong there, and what to do."""

    where: str
    reason: str


class Note(msgspec.Struct, frozen=True):
    """Something a format holds that Stemma leaves out, which its owner should know."""

    where: str
    text: str


class DeclaredView(msgspec.Struct, frozen=True):
    """A view that a source speaks of, and the labels it is known to use, in its order."""

    name: str
    kind: str
    concepts: tuple[str, ...]


class ReadOptions(msgspec.Struct, frozen=True):
    """How to read.

    `view` names the view of a format that holds just one. `kind` is that view's kind where the
    format leaves it open, or None. `clip` cuts boxes that reach beyond the image instead of
    refusing them. `max_bytes` is how large one annotation file may be.
    """

    view: str
    kind: str | None = None
    clip: bool = False
    max_bytes: int = 1_000_000_000


class Contents(msgspec.Struct, frozen=True):
    """What a source holds. `images` reads while it is iterated, and goes through once.

    More labels than the declared ones may come up while it is.
    """

    views: tuple[DeclaredView, ...]
    images: Iterator[SourceImage | Problem | Note]


class Written(msgspec.Struct, frozen=True):
    """A file of an export: its path in the export's folder, and its bytes in pieces."""

    path: str
    chunks: Iterator[bytes]


Images = Callable[[], Iterator[SourceImage]]
"""The images to export, each with `size`; a writer may go through them more than once."""
