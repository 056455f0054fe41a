"""The frozen dataset at hand: the manifest read, images decoded and cached, batches drawn."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters.blobs import BlobCorrupt, BlobMissing, BlobStore
from adapters.settings import Settings
from domain.messages import ManifestLine, TrainJob
from gpu_worker.images import ImageUnreadable, Pixels, decode

# ImageNet's mean and deviation of red, green and blue, as torchvision's own recipes have them.
_MEAN = torch.tensor([0.485, 0.456, 0.406]).mul(255).view(1, 3, 1, 1)
_DEVIATION = torch.tensor([0.229, 0.224, 0.225]).mul(255).view(1, 3, 1, 1)

Indices = NDArray[np.int64]


class DatasetUnusable(Exception):
    """The manifest is missing, damaged, or not one that a classification can train on."""


@dataclass(frozen=True)
class Source:
    """Where images come from and what becomes of them."""

    blobs: BlobStore
    image_size: int
    max_pixels: int
    pool: Executor

    def load(self, line: ManifestLine) -> Pixels:
        try:
            return decode(self.blobs.get(line.blob), self.image_size, self.max_pixels)
        except (BlobMissing, BlobCorrupt, ImageUnreadable) as error:
            raise ImageUnreadable(f"image {line.image} cannot be used: {error}") from error


class ImageSet:
    """The images of one split with their targets; the first `cached` of them stay decoded."""

    def __init__(
        self, source: Source, lines: Sequence[ManifestLine], targets: Indices, cached: int
    ) -> None:
        self._source = source
        self._lines = lines
        self._targets = targets
        self._cache = np.empty((cached, source.image_size, source.image_size, 3), np.uint8)

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def cached(self) -> int:
        return len(self._cache)

    def fill(self) -> Iterator[None]:
        """Decode what is to be cached, yielding after each image."""
        wanted = self._lines[: self.cached]
        for position, pixels in enumerate(self._source.pool.map(self._source.load, wanted)):
            self._cache[position] = pixels
            yield

    def batch(self, indices: Indices) -> tuple[Tensor, Tensor]:
        """Pixels, uint8 of shape (n, 3, size, size) laid out channels last; and targets, (n,)."""
        if indices.max() < self.cached:
            pixels = self._cache[indices]
        else:
            pixels = np.stack(list(self._source.pool.map(self._one, indices.tolist())))
        return torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.from_numpy(
            self._targets[indices]
        )

    def _one(self, index: int) -> Pixels:
        if index < self.cached:
            pixels: Pixels = self._cache[index]
            return pixels
        return self._source.load(self._lines[index])


@dataclass(frozen=True)
class Data:
    train: ImageSet
    validation: ImageSet


def prepare(
    job: TrainJob, blobs: BlobStore, settings: Settings, advance: Callable[[float], None]
) -> Data:
    """Read the manifest and decode as many images as the cache may hold, training images first.

    `advance` is told the share that is done. Raises `DatasetUnusable` or `ImageUnreadable`.
    """
    lines = _read_manifest(job, blobs)
    size = job.options.image_size
    pool = ThreadPoolExecutor(cpu_count(), thread_name_prefix="decode")
    source = Source(blobs, size, settings.max_image_pixels, pool)
    room = settings.image_cache_bytes // (3 * size * size)
    sets = []
    for split in ("train", "validation"):
        ours = [line for line in lines if line.split == split]
        if not ours:
            raise DatasetUnusable(f"the dataset has no {split} images; draw another split")
        cached = min(len(ours), room)
        sets.append(ImageSet(source, ours, _targets(job, ours), cached))
        room -= cached
    total, done = sum(images.cached for images in sets), 0
    try:
        for images in sets:
            for _ in images.fill():
                done += 1
                advance(done / total)
    except ImageUnreadable:
        pool.shutdown(cancel_futures=True)
        raise
    return Data(*sets)


def _read_manifest(job: TrainJob, blobs: BlobStore) -> list[ManifestLine]:
    decoder = msgspec.json.Decoder(ManifestLine)
    try:
        return decoder.decode_lines(b"".join(blobs.read_compressed(job.manifest)))
    except (BlobMissing, BlobCorrupt, msgspec.DecodeError) as error:
        raise DatasetUnusable(f"the manifest {job.manifest} cannot be read: {error}") from error


def _targets(job: TrainJob, lines: Sequence[ManifestLine]) -> Indices:
    outputs = {concept.concept_id: number for number, concept in enumerate(job.concepts)}
    targets = np.empty(len(lines), np.int64)
    for position, line in enumerate(lines):
        if len(line.concepts) != 1 or line.concepts[0] not in outputs:
            raise DatasetUnusable(
                f"image {line.image} is annotated with {list(line.concepts)};"
                " classification takes exactly one of the model's concepts"
            )
        targets[position] = outputs[line.concepts[0]]
    return targets


def iterations_per_epoch(images: int, batch_size: int) -> int:
    """A last batch of a single image is left out: batch normalisation cannot train on one."""
    batches, left_over = divmod(images, batch_size)
    return batches + (left_over > 1 or (left_over == 1 and batches == 0))


def epoch_order(images: int, seed: int, epoch: int) -> Indices:
    """The order in which an epoch (from 0) visits the images: a function of seed and epoch."""
    return np.random.default_rng((seed, epoch)).permutation(images)


def batches(
    images: ImageSet, chunks: Sequence[Indices], device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Each chunk as normalised float images and targets on the device, one decoded ahead."""
    mean, deviation = _MEAN.to(device), _DEVIATION.to(device)

    def fetch(indices: Indices) -> tuple[Tensor, Tensor]:
        pixels, targets = images.batch(indices)
        if device.type == "cuda":
            return pixels.pin_memory(), targets.pin_memory()
        return pixels, targets

    with ThreadPoolExecutor(1, thread_name_prefix="batches") as ahead:
        pending = [ahead.submit(fetch, indices) for indices in chunks[:1]]
        for following in [*chunks[1:], None]:
            pixels, targets = pending.pop().result()
            if following is not None:
                pending.append(ahead.submit(fetch, following))
            pixels = pixels.to(device, non_blocking=True)
            yield pixels.float().sub_(mean).div_(deviation), targets.to(device, non_blocking=True)
