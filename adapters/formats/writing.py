"""Functions shared by the writers: validation of the images, and chunks of the output."""

from collections.abc import Iterable, Iterator, Sequence

from adapters.formats.items import DeclaredView, Images, SourceImage, ViewAnnotations
from domain.dataset.image import Box
from domain.errors import Invalid
from domain.library.view import DETECTION, KINDS

CHUNK = 1 << 16


def only_view(
    views: Sequence[DeclaredView], form: str, kinds: Sequence[str] = KINDS
) -> DeclaredView:
    """The only view of an export. Raises `Invalid` for several, or for a kind not in `kinds`."""
    if len(views) != 1:
        raise Invalid(
            f"{form} holds one view, not {len(views)}; choose one, or export to studio",
            field="view_id",
        )
    if views[0].kind not in kinds:
        raise Invalid(
            f"{form} holds boxes, and {views[0].name!r} is a {views[0].kind} view; export to csv"
            " or studio",
            field="view_id",
        )
    return views[0]


def detection_view(views: Sequence[DeclaredView], form: str) -> DeclaredView:
    return only_view(views, form, (DETECTION,))


def size_of(image: SourceImage) -> tuple[int, int]:
    if image.size is None:
        raise Invalid(f"{image.path}: the image's size is needed to write pixels")
    return image.size


def boxes_of(image: SourceImage, view: DeclaredView) -> Iterator[tuple[str, Box]]:
    """The labels and boxes of the image in the view; none if it is not annotated there."""
    for annotation in image.annotations.get(view.name, ViewAnnotations()).annotations:
        if annotation.box is None:
            raise Invalid(f"{image.path}: {annotation.label!r} has no box in a detection view")
        yield annotation.label, annotation.box


def class_index(label: str, indexes: dict[str, int], image: SourceImage) -> int:
    """The number of a label's class in the export. Raises `Invalid` if the view lacks the label."""
    if label not in indexes:
        raise Invalid(f"{image.path}: {label!r} is not a concept of the exported view")
    return indexes[label]


def splits_of(images: Images) -> list[str | None]:
    """The splits in use, sorted."""
    return sorted({image.split for image in images()}, key=lambda split: split or "")


class Stems:
    """The file names written so far, without their endings, which must be unique."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def take(self, stem: str, image: SourceImage, form: str) -> str:
        if stem in self._taken:
            raise Invalid(
                f"{image.path}: {form} identifies images by their names without the extension,"
                f" and {stem!r} is already used; rename the image"
            )
        self._taken.add(stem)
        return stem


def chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in chunks of at least 64 KiB, except the last."""
    chunk = bytearray()
    for piece in pieces:
        chunk += piece
        if len(chunk) >= CHUNK:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)


def without_suffix(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return folder + slash + (name.rpartition(".")[0] or name)
