"""The structs that every format is read to and written from: images and their annotations."""

from collections.abc import Callable, Iterator

import msgspec

from domain.dataset.image import Box
from domain.library.conditions import Conditions
from domain.library.view import DETECTION


class SourceAnnotation(msgspec.Struct, frozen=True):
    """An annotation of an image, or of a box in it, by the concept's label."""

    label: str
    box: Box | None = None


class SourceDecision(msgspec.Struct, frozen=True):
    """What was decided about a suspect, as in `domain.dataset.suspects`; readers read none."""

    label: str
    present: bool
    box: Box | None
    decision: str
    version_id: str


class ViewAnnotations(msgspec.Struct, frozen=True):
    """An image's annotations in one view. They are never empty: an image that is not annotated in
    a view has no entry for it."""

    annotations: tuple[SourceAnnotation, ...] = ()
    without_concept: bool = False
    decisions: tuple[SourceDecision, ...] = ()


class SourceImage(msgspec.Struct, frozen=True):
    """One image of a source.

    `path` is its file's path from the source's folder, with `/`. `where` locates its entry for
    messages, as `file:line` in files with lines. `size` is the width and height in pixels that the
    source declares, or None. `annotations` are by the view's name. `split` is its name in the
    source, empty if it has none, or None if the folders of `path` name it; `splits.settle` decides
    what it means.
    """

    path: str
    where: str
    split: str | None = None
    metadata: dict[str, str] = {}
    annotations: dict[str, ViewAnnotations] = {}
    size: tuple[int, int] | None = None


class Problem(msgspec.Struct, frozen=True):
    """The reason why one image or line cannot be imported, and what to do. `path` is the image's,
    where it is known."""

    where: str
    reason: str
    path: str | None = None


class Note(msgspec.Struct, frozen=True):
    """What the owner of a source should know about how it was read. Notes of one `text` are counted
    together, so a text names no place."""

    where: str
    text: str


class LeftOut(msgspec.Struct, frozen=True):
    """An image that is not imported, although nothing is wrong. Images of one `reason` are counted
    together."""

    where: str
    reason: str
    path: str


Item = SourceImage | Problem | Note | LeftOut


class DeclaredView(msgspec.Struct, frozen=True):
    """A view that a source declares, and the labels known in advance, in the source's order.

    `parent` is the name of the view that it stands on, and `conditions` are by the labels of that
    one's concepts. The annotations of a view of `crops` have boxes of the parent.
    """

    name: str
    kind: str
    concepts: tuple[str, ...]
    parent: str | None = None
    conditions: Conditions = ()
    crops: bool = False

    @property
    def gives_crops(self) -> bool:
        """Whether the items of its children are crops."""
        return self.crops or self.kind == DETECTION

    @property
    def boxed(self) -> bool:
        """Whether its annotations have boxes."""
        return self.gives_crops


class ReadOptions(msgspec.Struct, frozen=True):
    """Options of a reader.

    `view` names the view for a format that holds one view. `kind` is that view's kind if the
    format allows several, or None. `clip` clips boxes to the image instead of rejecting them.
    `max_bytes` is the largest size of one annotation file. With `negative`, images that COCO or
    VOC lists without annotations are without concept, otherwise not annotated. `origin` is the
    coordinate of the first pixel in VOC, 0 or 1; None guesses it. `video` is the name of the file
    that frames are of.
    """

    view: str
    kind: str | None = None
    clip: bool = False
    max_bytes: int = 1_000_000_000
    negative: bool = True
    origin: int | None = None
    video: str = ""


class Contents(msgspec.Struct, frozen=True):
    """The content of a source. `images` reads while it is iterated, and can be iterated once.

    Images may have more labels than the declared ones. Without `has_lists`, the lists at the top of
    the source name splits too; with it the reader has read the source's lists.
    """

    views: tuple[DeclaredView, ...]
    images: Iterator[Item]
    has_lists: bool = False


class Recognition(msgspec.Struct, frozen=True):
    """Whether a folder is of a format. `refusal` is the reason why not, or empty.

    `reads` are patterns (`fnmatch`) of the paths of files that the format reads, or knows and
    leaves out. Data in another file would be ignored.
    """

    refusal: str = ""
    reads: tuple[str, ...] = ()


class Written(msgspec.Struct, frozen=True):
    """A file of an export: its path in the export's folder, and its bytes in pieces."""

    path: str
    chunks: Iterator[bytes]


Images = Callable[[], Iterator[SourceImage]]
"""The images to export, each with `size`; a writer may iterate over them more than once."""
