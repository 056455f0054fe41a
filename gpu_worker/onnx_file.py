"""The ONNX file of a version, as a job of its own."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import torch

from adapters.blobs.blobs import BlobCorrupt, BlobMissing
from adapters.settings import Settings
from domain.dataset.image import TRAIN
from domain.training.jobs import OnnxJob
from domain.training.messages import OnnxMade, Started
from gpu_worker.data import read_manifest
from gpu_worker.decoded import temporary_folder
from gpu_worker.environment import describe, set_up_torch
from gpu_worker.images import ImageUnreadable
from gpu_worker.inference import TakenModel
from gpu_worker.job_files import JobFiles
from gpu_worker.onnx_export import export
from gpu_worker.predictions import CheckpointUnusable
from gpu_worker.progress import Reporter
from gpu_worker.targets import DatasetUnusable

SAMPLES = 4
"""Images on which the file is compared with torch, of those that validated the version."""
TRIES = 100
"""Images of which the samples are taken: some may be erased."""


def make_onnx(
    job: OnnxJob,
    settings: Settings,
    files: JobFiles,
    report: Reporter,
    flush: Callable[[], None] = lambda: None,
) -> None:
    """Make the file on the CPU, where a version's predictions are the same on every machine.

    The last report is `OnnxMade`; `flush` returns once it is stored. Raises the error of what
    failed: `ExportDiffers` where the file's outputs are not torch's.
    """
    device = torch.device("cpu")
    set_up_torch(device, settings.workers)
    report(Started(settings.worker_name, device.type, describe(device), resumed_from=0))
    checkpoint = job.model.checkpoint
    try:
        weights = files.file(checkpoint)
    except (BlobMissing, BlobCorrupt) as error:
        raise CheckpointUnusable(f"the checkpoint {checkpoint} cannot be read: {error}") from error
    model = TakenModel(job.model, weights, settings.max_image_pixels)
    samples = list(islice(_samples(job, model, files), SAMPLES))
    if not samples:
        raise DatasetUnusable(
            f"none of the version's first {TRIES} images can be read any more: the file could not"
            " be compared with torch"
        )
    with temporary_folder(settings) as folder:
        path = Path(folder) / "model.onnx"
        difference = export(model, path, samples, from_bytes=True)
        size = path.stat().st_size
        digest = files.put("onnx", path)
    report(OnnxMade(checkpoint, digest, size, len(samples), difference))
    flush()
    files.forget()


def _samples(job: OnnxJob, model: TakenModel, files: JobFiles) -> Iterator[bytes]:
    """The version's images that can still be read, those that validated it first."""
    lines = sorted(read_manifest(job.manifest, files), key=lambda line: line.split == TRAIN)
    for line in lines[:TRIES]:
        try:
            content = files.image(line)
            model.read(content)
        except (BlobMissing, BlobCorrupt, ImageUnreadable):
            continue
        yield content
