"""What the writers share: checks of what can be written, and chunks of a decent size."""

from collections.abc import Iterable, Iterator, Sequence

from adapters.formats.items import DeclaredView, Images, SourceImage, ViewAnnotations
from domain.dataset.image import Box
from domain.errors import Invalid
from domain.library.view import DETECTION, KINDS

CHUNK = 1 << 16


def only_view(
    views: Sequence[DeclaredView], form: str, kinds: Sequence[str] = KINDS
) -> DeclaredView:
    """The one view of an export. Raises `Invalid` for more, and for a kind that does not fit."""
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
    """The labels and boxes said of the image in the view; none where it has no answer."""
    for labelled in image.annotations.get(view.name, ViewAnnotations()).annotations:
        if labelled.box is None:
            raise Invalid(f"{image.path}: {labelled.label!r} has no box in a detection view")
        yield labelled.label, labelled.box


def place_of(label: str, places: dict[str, int], image: SourceImage) -> int:
    """The label's number in the export."""
    if label not in places:
        raise Invalid(f"{image.path}: {label!r} is no concept of the exported view")
    return places[label]


def splits_of(images: Images) -> list[str | None]:
    """The splits that occur, in a steady order."""
    return sorted({image.split for image in images()}, key=lambda split: split or "")


class Stems:
    """The names under which files were written, which must differ."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def take(self, stem: str, image: SourceImage, form: str) -> str:
        if stem in self._taken:
            raise Invalid(
                f"{image.path}: {form} tells images apart by their names without the ending, and"
                f" {stem!r} is taken; rename the image"
            )
        self._taken.add(stem)
        return stem


def gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in chunks of some tens of kilobytes."""
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
