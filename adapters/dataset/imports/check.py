"""The first half of an import: everything is read and checked, and nothing is changed."""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path, PurePosixPath

import msgspec

from adapters.dataset.imports.files import Checked, ImagePool
from adapters.dataset.imports.progress import Phase, Progress
from adapters.dataset.imports.report import ProblemReport
from adapters.dataset.imports.views import Views
from adapters.formats.items import Contents, Note, Problem, SourceImage, ViewAnnotations
from adapters.uploads.disk_set import DiskSet
from domain.dataset.blob import Blob, erased_before
from domain.dataset.image import AddImage, decide
from domain.errors import Invalid

BATCH = 200


class Ready(msgspec.Struct, frozen=True, rename={"annotations": "answers"}):
    """An image that can be taken; what is said of it is by the names that the source uses."""

    where: str
    path: str
    file_name: str
    checked: Checked
    split: str | None
    metadata: dict[str, str]
    annotations: dict[str, ViewAnnotations]


class Check:
    """Goes through a source once."""

    def __init__(
        self,
        folder: Path,
        contents: Contents,
        views: Views,
        pool: ImagePool,
        report: ProblemReport,
        erased: Callable[[Collection[str]], Mapping[str, Blob]],
    ) -> None:
        self._folder = folder
        self._contents = contents
        self._views = views
        self._pool = pool
        self._report = report
        self._erased = erased
        self._seen = DiskSet()

    def run(self, progress: Progress) -> Iterator[Ready]:
        """The images that can be taken; what cannot be goes to the report.

        Raises `Invalid` for a view that cannot be had.
        """
        for declared in self._contents.views:
            self._views.declare(declared)
        total, done = _count_files(self._folder), 0
        under_way: deque[list[SourceImage]] = deque()
        for checked in self._pool.check(self._batches(under_way)):
            batch = under_way.popleft()
            erased = self._erased({one.blob for one in checked if isinstance(one, Checked)})
            for image, found in zip(batch, checked, strict=True):
                ready = self._ready(image, found, erased)
                if isinstance(ready, Ready):
                    yield ready
                else:
                    self._report.add(ready)
            done += len(batch)
            progress.show(Phase.CHECKING, done, max(total, done))

    def _batches(self, under_way: deque[list[SourceImage]]) -> Iterator[list[str]]:
        """The paths of the next images; the images themselves are put under way."""
        images = self._images()
        while batch := list(islice(images, BATCH)):
            under_way.append(batch)
            yield [image.path for image in batch]

    def _images(self) -> Iterator[SourceImage]:
        for item in self._contents.images:
            if isinstance(item, SourceImage):
                yield item
            else:
                self._report.add(item)

    def _ready(
        self, image: SourceImage, found: Checked | str, erased: Mapping[str, Blob]
    ) -> Ready | Problem | Note:
        if isinstance(found, str):
            return Problem(image.where, found)
        if found.blob in erased:
            return Problem(image.where, erased_before(erased[found.blob].reason).detail)
        size = found.width, found.height
        if image.size is not None and image.size != size:
            return Problem(
                image.where,
                "{}x{} pixels are claimed, but {} has {}x{} (turned upright by its EXIF"
                " orientation)".format(*image.size, image.path, *size),
            )
        ready = Ready(
            image.where,
            image.path,
            PurePosixPath(image.path).name,
            found,
            image.split,
            image.metadata,
            image.annotations,
        )
        return self._unfit(ready) or self._met_before(ready) or ready

    def _unfit(self, ready: Ready) -> Problem | None:
        checked = ready.checked
        for name, answer in ready.annotations.items():
            if refusal := self._views.refusal(name, answer):
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

    def _met_before(self, ready: Ready) -> Problem | Note | None:
        """An image is its bytes: a source that has them twice must say the same of both."""
        blob = bytes.fromhex(ready.checked.blob)
        said = hashlib.blake2b(
            msgspec.json.encode((ready.split, ready.annotations), order="sorted"), digest_size=8
        ).digest()
        before = self._seen.add(blob, said)
        if before is None:
            return None
        if before == said:
            return Note(ready.where, "the same bytes came before; the image is taken once")
        return Problem(
            ready.where, "the same bytes came before with other annotations; keep one of them"
        )


def _count_files(folder: Path) -> int:
    """Roughly how many images there will be: files that are named as one."""
    endings = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
    return sum(name.lower().endswith(endings) for _, _, names in os.walk(folder) for name in names)
