"""The first phase of an import: read and validate the whole source, without any change."""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path

import msgspec

from adapters.dataset.imports.files import Checked, ImagePool
from adapters.dataset.imports.groups import SourceGroups
from adapters.dataset.imports.progress import Phase, Progress
from adapters.dataset.imports.report import ProblemReport
from adapters.dataset.imports.views import Views
from adapters.formats.image_names import conversion_advice, is_image, is_turned
from adapters.formats.items import Contents, Note, Problem, SourceImage, ViewAnnotations
from adapters.uploads.disk_set import DiskSet
from domain.dataset.blob import Blob, erased_before
from domain.dataset.image import AddImage, decide
from domain.errors import Invalid

BATCH = 200
DIGEST = 8


class Ready(msgspec.Struct, frozen=True, rename={"annotations": "answers"}):
    """An image that can be imported, with its annotations by the source's names of views.

    Its JSON is part of the fingerprint of a batch's command, so `annotations` keeps its old name
    there: an import that an upgrade interrupts must be able to continue.
    """

    where: str
    path: str
    file_name: str
    checked: Checked
    split: str | None
    metadata: dict[str, str]
    annotations: dict[str, ViewAnnotations]


class Check:
    """The validation of a source, in one pass."""

    def __init__(
        self,
        folder: Path,
        contents: Contents,
        views: Views,
        pool: ImagePool,
        report: ProblemReport,
        erased: Callable[[Collection[str]], Mapping[str, Blob]],
        groups: SourceGroups | None,
    ) -> None:
        self._folder = folder
        self._contents = contents
        self._views = views
        self._pool = pool
        self._report = report
        self._erased = erased
        self._groups = groups
        self._seen = DiskSet()
        self.highest_grey: int | None = None
        """The highest 16-bit grey value of the images that can be imported, if any has some."""

    def run(self, progress: Progress) -> Iterator[Ready]:
        """The images that can be imported; problems and notes are added to the report.

        Raises `Invalid` for a view that is neither in the project nor can be created.
        """
        for declared in self._contents.views:
            self._views.declare(declared)
        total, done = _count_files(self._folder), 0
        pending: deque[list[SourceImage]] = deque()
        for results in self._pool.check(self._batches(pending)):
            batch = pending.popleft()
            erased = self._erased({file.blob for file in results if isinstance(file, Checked)})
            for image, result in zip(batch, results, strict=True):
                ready = self._ready(image, result, erased)
                if isinstance(ready, Ready):
                    highest = ready.checked.highest_grey
                    if highest is not None:
                        self.highest_grey = max(highest, self.highest_grey or 0)
                    yield ready
                else:
                    self._report.add(ready)
            done += len(batch)
            progress.show(Phase.CHECKING, done, max(total, done))

    def _batches(self, pending: deque[list[SourceImage]]) -> Iterator[list[str]]:
        """The paths of the next images; the images are appended to `pending`."""
        images = self._images()
        while batch := list(islice(images, BATCH)):
            pending.append(batch)
            yield [image.path for image in batch]

    def _images(self) -> Iterator[SourceImage]:
        for item in self._contents.images:
            if isinstance(item, SourceImage):
                yield item
            else:
                self._report.add(item)

    def _ready(
        self, image: SourceImage, result: Checked | str, erased: Mapping[str, Blob]
    ) -> Ready | Problem | Note:
        if isinstance(result, str):
            return Problem(image.where, conversion_advice(image.path) or result)
        if result.blob in erased:
            return Problem(image.where, erased_before(erased[result.blob].reason).detail)
        size = result.width, result.height
        if image.size is not None and image.size != size:
            return Problem(image.where, self._other_size(image, image.size, size))
        ready = Ready(
            image.where,
            image.path,
            image.path.rpartition("/")[2],
            result,
            image.split,
            image.metadata,
            image.annotations,
        )
        return self._refusal(ready) or self._duplicate(ready) or self._torn(ready) or ready

    def _other_size(
        self, image: SourceImage, declared: tuple[int, int], size: tuple[int, int]
    ) -> str:
        text = "{}x{} pixels are declared, but {} has {}x{}".format(*declared, image.path, *size)
        if declared != size[::-1]:
            return f"{text}; correct the size, or name the right image"
        if is_turned(self._folder / image.path):
            return f"{text}, since its EXIF orientation turns it; boxes are of the upright image"
        return f"{text}; width and height are swapped"

    def _refusal(self, ready: Ready) -> Problem | None:
        checked = ready.checked
        for name, annotations in ready.annotations.items():
            if refusal := self._views.refusal(name, annotations):
                return Problem(ready.where, refusal)
        try:
            decide(
                AddImage(
                    "", checked.blob, checked.width, checked.height, ready.file_name, ready.metadata
                ),
                None,
            )
        except Invalid as refusal:
            return Problem(ready.where, refusal.detail)
        return None

    def _torn(self, ready: Ready) -> Problem | None:
        """A problem if the image's split tears its group, in the source or in the project."""
        if self._groups is None:
            return None
        refusal = self._groups.refusal(ready.checked.blob, ready.metadata, ready.split, ready.where)
        return None if refusal is None else Problem(ready.where, refusal)

    def _duplicate(self, ready: Ready) -> Problem | Note | None:
        """A problem or note if the source has the same bytes twice: an image is its bytes, so
        split and annotations must be the same."""
        blob = bytes.fromhex(ready.checked.blob)
        split, annotations = _digest(ready.split), _digest(ready.annotations)
        earlier = self._seen.add(blob, split + annotations + ready.where.encode())
        if earlier is None:
            return None
        where = earlier[2 * DIGEST :].decode()
        if earlier[: 2 * DIGEST] == split + annotations:
            return Note(ready.where, "the same image appears earlier; it is imported once")
        differ = [
            name
            for name, mine, theirs in (
                ("splits", split, earlier[:DIGEST]),
                ("annotations", annotations, earlier[DIGEST : 2 * DIGEST]),
            )
            if mine != theirs
        ]
        reason = f"the image is the same as at {where}, with other {' and '.join(differ)}"
        return Problem(ready.where, f"{reason}; keep one of them")


def _digest(value: object) -> bytes:
    encoded = msgspec.json.encode(value, order="sorted")
    return hashlib.blake2b(encoded, digest_size=DIGEST).digest()


def _count_files(folder: Path) -> int:
    """An estimate of the number of images: the files with an image's file name extension."""
    return sum(is_image(name) for _, _, names in os.walk(folder) for name in names)
