"""Predictions of a manifest's images with a saved checkpoint, as a job of its own."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from os import cpu_count
from pathlib import Path
from typing import Any

import torch
from torch import nn

from adapters.blobs.blobs import BlobCorrupt, BlobMissing
from adapters.evaluation.predictions import PredictionsFile, writing_predictions
from adapters.settings import Settings
from domain.training.jobs import PredictJob
from domain.training.messages import Predicted, Purpose, Started
from gpu_worker.checkpoint import load_weights
from gpu_worker.data import ImageSet, Source, batches, in_order, read_manifest
from gpu_worker.decoded import temporary_folder
from gpu_worker.environment import choose_device, describe, set_up_torch
from gpu_worker.evaluate import evaluate
from gpu_worker.images import ImageUnreadable
from gpu_worker.job_files import JobFiles
from gpu_worker.networks import build_network
from gpu_worker.progress import NonFinite, Reporter
from gpu_worker.recipe import compute_narrow_inputs_in_float32, precision_of
from gpu_worker.targets import DatasetUnusable, targets_of, unknown_targets
from gpu_worker.tasks import Predictions, Task, task_for


class CheckpointUnusable(Exception):
    """The checkpoint's bytes are missing or damaged."""


def predict_images(
    job: PredictJob,
    settings: Settings,
    files: JobFiles,
    report: Reporter,
    flush: Callable[[], None] = lambda: None,
) -> None:
    """Evaluate the checkpoint on the manifest's images, as a training does on those that validate;
    or only predict them, for suggestions.

    The last report is `Predicted`; `flush` returns once it is stored. Nothing is kept in between: a
    run that is interrupted is repeated, and comes to the same. Raises the error of what failed.
    """
    device = choose_device(settings.device)
    set_up_torch(device, settings.workers)
    report(Started(settings.worker_name, device.type, describe(device), resumed_from=0))
    lines = read_manifest(job.manifest, files)
    if not lines:
        raise DatasetUnusable(f"the manifest {job.manifest} has no images")
    with ThreadPoolExecutor(cpu_count(), thread_name_prefix="decode") as pool:
        source = Source(files, job.options, settings.max_image_pixels, pool, job.grey_bits)
        tests = job.purpose == Purpose.TEST
        targets = targets_of(job, lines) if tests else unknown_targets(job, lines)
        images = ImageSet(source, lines, targets, cached=0)
        with temporary_folder(settings) as folder:
            path = Path(folder) / "predictions.parquet"
            try:
                with writing_predictions(path, job.kind, job.concepts) as file:
                    metrics = (evaluate if tests else _predict)(
                        task_for(job.kind, len(job.concepts)),
                        _network(job, files, device),
                        images,
                        job.options.batch_size,
                        device,
                        precision_of(job.options, device),
                        file,
                    )
            except ImageUnreadable as error:
                raise source.unreadable(lines) from error
            predictions = files.put("predictions", path)
    report(Predicted(job.checkpoint, metrics, len(lines), predictions))
    flush()
    files.forget()


@torch.no_grad()
def _predict(
    task: Task,
    model: nn.Module,
    images: ImageSet,
    batch_size: int,
    device: torch.device,
    precision: Callable[[], AbstractContextManager[object]],
    predictions: PredictionsFile,
) -> None:
    """Predict all images; the rows have no truth. Raises `NonFinite`."""
    model.eval()
    chunks = in_order(images, batch_size)
    for draws, batch in zip(chunks, batches(task, images, chunks, device), strict=True):
        with precision():
            scores = task.scores(model, batch.images)
        rows: Iterable[dict[str, Any]]
        if isinstance(scores, torch.Tensor):
            finite = bool(scores.isfinite().all())
            rows = ({"truth": [], "scores": each} for each in scores.tolist())
        else:
            finite = all(bool(each["scores"].isfinite().all()) for each in scores)
            sizes = [images.size_of(draw.image) for draw in draws]
            rows = task.rows(
                Predictions(torch.zeros(()), scores, scores, torch.ones(())), batch.targets, sizes
            )
        if not finite:
            raise NonFinite("network's output", "on the images without annotation")
        for draw, row in zip(draws, rows, strict=True):
            line = images.lines[draw.image]
            predictions.add({"image": line.image, "split": line.split} | row)


def _network(job: PredictJob, files: JobFiles, device: torch.device) -> nn.Module:
    """The trained network on its device. Raises `CheckpointUnusable`."""
    network = build_network(job.kind, job.options, len(job.concepts))
    try:
        load_weights(network, files.file(job.checkpoint))
    except (BlobMissing, BlobCorrupt) as error:
        raise CheckpointUnusable(
            f"the checkpoint {job.checkpoint} cannot be read: {error}"
        ) from error
    if device.type == "cpu":
        compute_narrow_inputs_in_float32(network)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
