"""The frozen dataset: its manifest, decoded and cached images, and batches."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, groupby
from os import cpu_count
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters.blobs.blobs import BlobCorrupt, BlobMissing
from adapters.settings import Settings
from domain.training.messages import ManifestLine, TrainJob
from domain.training.options import TrainingOptions
from domain.training.preprocessing import MEAN, STD
from gpu_worker.augment import Sample, augment
from gpu_worker.balance import balanced
from gpu_worker.decoded import Decoded, Split
from gpu_worker.images import Fitted, ImageUnreadable, decode_items
from gpu_worker.job_files import JobFiles
from gpu_worker.targets import DatasetUnusable, Targets, targets_of
from gpu_worker.tasks import Task

_MEAN = torch.tensor(MEAN).mul(255).view(1, 3, 1, 1)
_DEVIATION = torch.tensor(STD).mul(255).view(1, 3, 1, 1)

_LISTED = 50
"""The most unreadable images that an error names."""

Indices = NDArray[np.int64]


class Batch(NamedTuple):
    """Float images, shape (n, 3, height, width): normalised for classifiers, else 0 to 1.

    `targets` have the form that the task's loss takes.
    """

    images: Tensor
    targets: Any


class Draw(NamedTuple):
    """An image of a set; `sample` numbers the draw that its augmentation is sampled for."""

    image: int
    sample: tuple[int, ...] | None


@dataclass(frozen=True)
class Source:
    """Loads images from their files and decodes them."""

    files: JobFiles
    options: TrainingOptions
    max_pixels: int
    pool: Executor
    grey_bits: int | None = None

    def load(self, line: ManifestLine) -> Fitted:
        """Raises `ImageUnreadable`, with the image's id."""
        return self.load_items([line])[0]

    def load_items(self, lines: Sequence[ManifestLine]) -> list[Fitted]:
        """The items of one image, which is decoded once. Raises `ImageUnreadable`."""
        try:
            return self._read(lines)
        except ImageUnreadable as error:
            raise ImageUnreadable(f"image {lines[0].image} cannot be used: {error}") from error

    def unreadable(self, lines: Sequence[ManifestLine]) -> ImageUnreadable:
        """An error that has the ids of all images that cannot be used."""
        reasons = zip(lines, self.pool.map(self._reason, lines), strict=True)
        errors = [f"image {line.image}: {reason}" for line, reason in reasons if reason is not None]
        if len(errors) == 1:
            return ImageUnreadable(errors[0].replace(":", " cannot be used:", 1))
        listed = "; ".join(errors[:_LISTED])
        more = f"; and {len(errors) - _LISTED:,} more" if len(errors) > _LISTED else ""
        return ImageUnreadable(f"{len(errors):,} images cannot be used: {listed}{more}")

    def _reason(self, line: ManifestLine) -> str | None:
        try:
            self._read([line])
        except ImageUnreadable as error:
            return str(error)
        return None

    def _read(self, lines: Sequence[ManifestLine]) -> list[Fitted]:
        blob = lines[0].blob
        try:
            data = self.files.image(lines[0])
        except BlobMissing as error:
            raise ImageUnreadable(
                f"its bytes, {blob}, are missing: the image was erased, or the blob store has"
                " lost it"
            ) from error
        except BlobCorrupt as error:
            raise ImageUnreadable(str(error)) from error
        crops = [line.crop for line in lines]
        return decode_items(data, self.options, self.max_pixels, self.grey_bits, crops)


class ImageSet:
    """The images of one split with their targets; the first `cached` of them stay decoded."""

    def __init__(
        self, source: Source, lines: Sequence[ManifestLine], targets: Targets, cached: int
    ) -> None:
        self.source = source
        self.lines = lines
        self.targets = targets
        width, height = source.options.input_size
        self._cache = np.empty((cached, height, width, 3), np.uint8)
        self._sizes = np.full((len(lines), 2), (width, height), np.int64)

    @property
    def decoded(self) -> Split:
        """The pixels of the cached images, and the sizes of all of them."""
        return self._cache, self._sizes

    @decoded.setter
    def decoded(self, split: Split) -> None:
        self._cache, self._sizes = split

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def cached(self) -> int:
        return len(self._cache)

    def are_stored(self) -> bool:
        """Whether the bytes of all images to cache are still stored."""
        return self.source.files.are_stored(line.blob for line in self.lines[: self.cached])

    def fill(self) -> Iterator[None]:
        """Decode the items to cache, yielding after each of them; those of an image together."""
        lines = self.lines[: self.cached]
        images = [list(items) for _, items in groupby(lines, key=lambda line: line.blob)]
        loaded = chain.from_iterable(self.source.pool.map(self.source.load_items, images))
        for position, fitted in enumerate(loaded):
            self._cache[position] = fitted.pixels
            self._sizes[position] = fitted.width, fitted.height
            yield

    def size_of(self, index: int) -> tuple[int, int]:
        """Width and height in pixels that the image fills; known once it has been drawn."""
        width, height = self._sizes[index]
        return int(width), int(height)

    def batch(self, draws: Sequence[Draw]) -> tuple[Tensor, Any]:
        """Pixels, uint8 of shape (n, 3, height, width), and targets."""
        indices = np.fromiter((draw.image for draw in draws), np.int64)
        if draws[0].sample is None or not self.source.options.augmentations:
            return self._plain(indices)
        samples = list(self.source.pool.map(self._augmented, draws))
        return torch.stack([sample.image for sample in samples]), self.targets.collate(
            indices,
            [(sample.boxes.as_subclass(Tensor), sample.kept) for sample in samples],
        )

    def _plain(self, indices: Indices) -> tuple[Tensor, Any]:
        if indices.max() < self.cached:
            pixels = self._cache[indices]
        else:
            pixels = np.stack(list(self.source.pool.map(self._pixels, indices.tolist())))
        boxes = [self._boxes(index) for index in indices.tolist()] if self.targets.boxed else None
        return torch.from_numpy(pixels).permute(0, 3, 1, 2), self.targets.collate(indices, boxes)

    def _pixels(self, index: int) -> NDArray[np.uint8]:
        if index < self.cached:
            cached: NDArray[np.uint8] = self._cache[index]
            return cached
        fitted = self.source.load(self.lines[index])
        self._sizes[index] = fitted.width, fitted.height
        return fitted.pixels

    def _boxes(self, index: int) -> tuple[Tensor, Tensor]:
        boxes = self.targets.corners(index, self.size_of(index))
        return boxes, torch.arange(len(boxes))

    def _augmented(self, draw: Draw) -> Sample:
        pixels = torch.from_numpy(self._pixels(draw.image)).permute(2, 0, 1)
        sample = Sample(pixels, self.targets.corners(draw.image, self.size_of(draw.image)))
        augment(sample, self.source.options.augmentations, np.random.default_rng(draw.sample))
        return sample


@dataclass(frozen=True)
class Data:
    """Both splits; `drawn` are the indices of an epoch's training images, some twice."""

    train: ImageSet
    validation: ImageSet
    drawn: Indices

    def unreadable(self) -> ImageUnreadable:
        """An error that names all images, of both splits, that cannot be used."""
        return self.train.source.unreadable([*self.train.lines, *self.validation.lines])

    def drawn_of(self, concepts: Sequence[str]) -> dict[str, int]:
        """The number of an epoch's drawn images that hold each concept."""
        labels = self.train.targets.labels
        counts = np.zeros(len(concepts), np.int64)
        for index in self.drawn.tolist():
            counts[list(set(labels[index]))] += 1
        return dict(zip(concepts, counts.tolist(), strict=True))


def prepare(
    job: TrainJob, files: JobFiles, settings: Settings, advance: Callable[[float], None]
) -> Data:
    """Read the manifest and decode as many images as the cache may hold, training images first.

    `advance` receives the fraction done. Raises `DatasetUnusable` or `ImageUnreadable`.
    """
    lines = read_manifest(job.manifest, files)
    options = job.options
    width, height = options.input_size
    pool = ThreadPoolExecutor(cpu_count(), thread_name_prefix="decode")
    source = Source(files, options, settings.max_image_pixels, pool, job.grey_bits)
    room = settings.image_cache_bytes // (3 * width * height)
    sets = []
    for split in ("train", "validation"):
        ours = [line for line in lines if line.split == split]
        if not ours:
            raise DatasetUnusable(f"the dataset has no {split} images; draw another split")
        cached = min(len(ours), room)
        sets.append(ImageSet(source, ours, targets_of(job, ours), cached))
        room -= cached
    try:
        _decode(sets, Decoded(settings, job), advance)
    except ImageUnreadable as first:
        unreadable = source.unreadable(lines)
        pool.shutdown(cancel_futures=True)
        raise unreadable from first
    train, validation = sets
    drawn = np.arange(len(train))
    if options.balancing:
        drawn = balanced(train.targets.labels, options.max_expansion_ratio or 1)
    return Data(train, validation, drawn)


def _decode(sets: Sequence[ImageSet], kept: Decoded, advance: Callable[[float], None]) -> None:
    """Decode the images to cache, unless an earlier training on this machine did.

    An image whose bytes are gone, as an erased one's, is not trained on for being kept here.
    """
    found = kept.load([images.decoded[0].shape for images in sets])
    if found is not None and all(images.are_stored() for images in sets):
        for images, split in zip(sets, found, strict=True):
            images.decoded = split
        advance(1.0)
        return
    total, done = sum(images.cached for images in sets), 0
    for images in sets:
        for _ in images.fill():
            done += 1
            advance(done / total)
    kept.save([images.decoded for images in sets])


def read_manifest(digest: str, files: JobFiles) -> list[ManifestLine]:
    """The lines of a job's manifest, which has this digest. Raises `DatasetUnusable`."""
    decoder = msgspec.json.Decoder(ManifestLine)
    try:
        return decoder.decode_lines(files.manifest())
    except (BlobMissing, BlobCorrupt, msgspec.DecodeError) as error:
        raise DatasetUnusable(f"the manifest {digest} cannot be read: {error}") from error


def iterations_per_epoch(images: int, batch_size: int) -> int:
    """A last batch of a single image is left out: batch normalisation cannot train on one."""
    batches, left_over = divmod(images, batch_size)
    return batches + (left_over > 1 or (left_over == 1 and batches == 0))


def epoch_order(images: int, seed: int, epoch: int) -> Indices:
    """The order in which an epoch (from 0) visits the images: a function of seed and epoch."""
    return np.random.default_rng((seed, epoch)).permutation(images)


def epoch_draws(drawn: Indices, seed: int, epoch: int) -> list[Draw]:
    """The draws of an epoch (from 0), in order: a function of its arguments."""
    order = drawn[epoch_order(len(drawn), seed, epoch)]
    return [Draw(index, (seed, epoch, position)) for position, index in enumerate(order.tolist())]


def in_order(images: ImageSet, batch_size: int) -> list[list[Draw]]:
    """Every image once, as it is, in batches."""
    draws = [Draw(index, None) for index in range(len(images))]
    return [draws[start : start + batch_size] for start in range(0, len(draws), batch_size)]


def batches(
    task: Task, images: ImageSet, chunks: Sequence[Sequence[Draw]], device: torch.device
) -> Iterator[Batch]:
    """Each chunk on the device, one decoded ahead."""

    def fetch(draws: Sequence[Draw]) -> tuple[Tensor, Any]:
        pixels, targets = images.batch(draws)
        if device.type == "cuda":
            return pixels.pin_memory(), task.pin(targets)
        return pixels, targets

    with ThreadPoolExecutor(1, thread_name_prefix="batches") as ahead:
        pending = [ahead.submit(fetch, draws) for draws in chunks[:1]]
        for following in [*chunks[1:], None]:
            pixels, targets = pending.pop().result()
            if following is not None:
                pending.append(ahead.submit(fetch, following))
            images_there = normalise(task, pixels.to(device, non_blocking=True))
            yield Batch(images_there, task.to_device(targets, device))


def normalise(task: Task, pixels: Tensor) -> Tensor:
    """Bytes as the floats of a network's input."""
    floats = pixels.float()
    if not task.normalised:
        return floats.div_(255)
    return floats.sub_(_MEAN.to(pixels.device)).div_(_DEVIATION.to(pixels.device))
