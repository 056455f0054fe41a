"""The jobs of a worker in the process of a test, with the blob store at hand."""

from collections.abc import Callable
from typing import Any

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from domain.training.jobs import OnnxJob, PredictJob
from domain.training.messages import TrainJob
from gpu_worker import data, onnx_file, predictions, train
from gpu_worker.checkpoint import Frozen, thaw
from gpu_worker.progress import Reporter
from gpu_worker.stored_files import StoredFiles


def train_version(
    job: TrainJob,
    delivery: int,
    settings: Settings,
    blobs: BlobStore,
    report: Reporter,
    *others: Any,
    **named: Any,
) -> None:
    train.train_version(job, settings, StoredFiles(blobs, job, delivery), report, *others, **named)


def predict_images(job: PredictJob, settings: Settings, blobs: BlobStore, report: Reporter) -> None:
    predictions.predict_images(job, settings, StoredFiles(blobs, job, 1), report)


def make_onnx(job: OnnxJob, settings: Settings, blobs: BlobStore, report: Reporter) -> None:
    onnx_file.make_onnx(job, settings, StoredFiles(blobs, job, 1), report)


def prepare(
    job: TrainJob, blobs: BlobStore, settings: Settings, advance: Callable[[float], None]
) -> data.Data:
    return data.prepare(job, StoredFiles(blobs, job, 1), settings, advance)


def claim(job: TrainJob, delivery: int, blobs: BlobStore) -> Frozen | None:
    """Claim the newest resumable checkpoint for a delivery."""
    state = StoredFiles(blobs, job, delivery).claim()
    return thaw(state) if state else None
