"""Decoded images on disk, so that trainings on one dataset, as the trials of an experiment are, do
not decode them again.

They are those of one manifest at a time, and lie in a folder that a worker recreates when it
starts and removes when it ends: what is erased elsewhere does not stay here for long.
"""

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapters.settings import Settings
from domain.training.jobs import Job, PredictJob
from domain.training.messages import TrainJob

Split = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Pixels of shape (images, height, width, 3), and the width and height that each image fills."""

_TEMPORARY = "stemma-"

log = logging.getLogger(__name__)


class Decoded:
    """The pixels and sizes of a dataset's images, decoded for one kind of input.

    At most `image_cache_bytes` are kept of a dataset.
    """

    def __init__(self, settings: Settings, job: TrainJob) -> None:
        self._folder = Path(settings.decoded) / job.manifest if settings.decoded else None
        self._name = _name(job, settings.max_image_pixels)
        self._limit = settings.image_cache_bytes

    def load(self, shapes: Sequence[tuple[int, ...]]) -> list[Split] | None:
        """Pixels and sizes of each split, if arrays of these shapes of pixels are there.

        They are mapped, not read: processes that train at once share the memory.
        """
        if self._folder is None:
            return None
        place = self._folder / self._name
        try:
            found = [
                (np.load(place / f"{n}.npy", mmap_mode="c"), np.load(place / f"{n}-sizes.npy"))
                for n in range(len(shapes))
            ]
        except (OSError, ValueError):
            return None
        return found if [pixels.shape for pixels, _ in found] == list(shapes) else None

    def save(self, splits: Sequence[Split]) -> None:
        """Keep the splits' pixels and sizes. A disk that is full only means that they are not."""
        if self._folder is None or self._room() < sum(pixels.nbytes for pixels, _ in splits):
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._folder) as name:
                made = Path(name) / "made"
                made.mkdir()
                for n, (pixels, sizes) in enumerate(splits):
                    np.save(made / f"{n}.npy", pixels)
                    np.save(made / f"{n}-sizes.npy", sizes)
                made.rename(self._folder / self._name)
        except OSError as error:
            log.info("decoded images are not kept: %s", error)

    def _room(self) -> int:
        assert self._folder is not None
        return self._limit - sum(
            file.stat().st_size for file in self._folder.glob("*/*") if file.is_file()
        )


def _name(job: TrainJob, max_pixels: int) -> str:
    """A name for what the pixels depend on, besides the manifest."""
    options = job.options
    parts = (
        options.resizer,
        *options.input_size,
        options.margin_crop,
        job.grey_bits,
        max_pixels,
    )
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]


@contextmanager
def decoded_folder(settings: Settings) -> Iterator[Settings]:
    """The settings with a folder for decoded images, which is new and removed in the end; without
    one where none can be made."""
    parent = Path(settings.decoded) if settings.decoded else settings.data / "decoded"
    folder = parent / (settings.worker_name or "worker")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        log.info("decoded images are not kept: %s", error)
        yield settings
        return
    try:
        yield msgspec.structs.replace(settings, decoded=str(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def temporary_folder(settings: Settings) -> tempfile.TemporaryDirectory[str]:
    """A folder for temporary files of a job, which its worker removes if the process is killed."""
    return tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=settings.decoded or None)


def forget_others(settings: Settings, manifest: str) -> None:
    """Remove the images of all datasets but this one."""
    if not settings.decoded:
        return
    for other in Path(settings.decoded).iterdir():
        if other.name != manifest:
            shutil.rmtree(other, ignore_errors=True)


def clean_up(settings: Settings, job: Job) -> None:
    """Remove what a job leaves that no other needs: temporary files, if its process was killed, and
    the images of a prediction. Those of a training and of an ONNX file, which are the same, stay
    for the next training on them."""
    if not settings.decoded:
        return
    for left in Path(settings.decoded).iterdir():
        of_prediction = isinstance(job, PredictJob) and left.name == job.manifest
        if of_prediction or left.name.startswith(_TEMPORARY):
            shutil.rmtree(left, ignore_errors=True)
