"""Predictions of a manifest's images with a saved checkpoint, as a job of its own."""

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path

import torch
from torch import nn

from adapters.blobs.blobs import BlobCorrupt, BlobMissing, BlobStore
from adapters.evaluation.predictions import writing_predictions
from adapters.settings import Settings
from domain.training.jobs import PredictJob
from domain.training.messages import Predicted, Started
from gpu_worker.checkpoint import load_weights
from gpu_worker.data import ImageSet, Source, read_manifest
from gpu_worker.environment import choose_device, describe, set_up_torch
from gpu_worker.evaluate import evaluate
from gpu_worker.images import ImageUnreadable
from gpu_worker.networks import build_network
from gpu_worker.progress import Reporter
from gpu_worker.recipe import compute_narrow_inputs_in_float32, precision_of
from gpu_worker.scratch import forget_handed_back
from gpu_worker.targets import DatasetUnusable, targets_of
from gpu_worker.tasks import task_for


class CheckpointUnusable(Exception):
    """The checkpoint's bytes are missing or damaged."""


def predict_images(
    job: PredictJob,
    settings: Settings,
    blobs: BlobStore,
    report: Reporter,
    flush: Callable[[], None] = lambda: None,
) -> None:
    """Evaluate the checkpoint on the manifest's images, as a training does on those that validate.

    The last report is `Predicted`; `flush` returns once it is stored. Nothing is kept in between: a
    run that is interrupted is repeated, and comes to the same. Raises the error of what failed.
    """
    device = choose_device(settings.device)
    set_up_torch(device, settings.workers)
    report(Started(settings.worker_name, device.type, describe(device), resumed_from=0))
    lines = read_manifest(job, blobs)
    if not lines:
        raise DatasetUnusable(f"the manifest {job.manifest} has no images")
    with ThreadPoolExecutor(cpu_count(), thread_name_prefix="decode") as pool:
        source = Source(blobs, job.options, settings.max_image_pixels, pool, job.grey_bits)
        images = ImageSet(source, lines, targets_of(job, lines), cached=0)
        with tempfile.TemporaryDirectory(prefix="stemma-predictions-") as folder:
            path = Path(folder) / "predictions.parquet"
            try:
                with writing_predictions(path, job.kind, job.concepts) as file:
                    metrics = evaluate(
                        task_for(job.kind, len(job.concepts)),
                        _network(job, blobs, device),
                        images,
                        job.options.batch_size,
                        device,
                        precision_of(job.options, device),
                        file,
                    )
            except ImageUnreadable as error:
                raise source.unreadable(lines) from error
            predictions = blobs.put_file(path)
    blobs.flush()
    report(Predicted(job.checkpoint, metrics, len(lines), predictions))
    flush()
    forget_handed_back(blobs, job.version_id, job.key)


def _network(job: PredictJob, blobs: BlobStore, device: torch.device) -> nn.Module:
    """The trained network on its device. Raises `CheckpointUnusable`."""
    network = build_network(job.kind, job.options, len(job.concepts))
    try:
        load_weights(network, blobs.get(job.checkpoint))
    except (BlobMissing, BlobCorrupt) as error:
        raise CheckpointUnusable(
            f"the checkpoint {job.checkpoint} cannot be read: {error}"
        ) from error
    if device.type == "cpu":
        compute_narrow_inputs_in_float32(network)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
