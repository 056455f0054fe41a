"""Predictions of other images with a stored checkpoint, as a job of the trainer's queue."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from stemma_trainer.contract import Assignment, Job
from stemma_trainer.data import Split, read_data
from stemma_trainer.provenance import Declared
from stemma_trainer.run import Channel
from stemma_trainer.scores import as_parquet, rows_of
from stemma_trainer.store import JobStore

ENDINGS = {"safetensors": "safetensors", "onnx": "onnx"}
"""The endings of files of weights; that of every other format is `bin`."""


class Prediction:
    """A request for the scores of images by the checkpoint of a version.

    `concepts`, `settings` and `seed` are those of its training; of an adopted model, `settings` has
    only those that somebody gave. `purpose` is `test` or `suggestions`.
    """

    def __init__(self, job: Job) -> None:
        self.concepts: list[str] = [concept.label for concept in job.concepts]
        self.settings: Any = SimpleNamespace(**job.settings)
        self.seed = int(job.settings.get("seed", 0))
        self.kind, self.format, self.purpose = job.kind, job.format, job.purpose


Predictor = Callable[[Prediction, Path, Split], Any]
"""Scores of images by the weights in a file: a row for each image, as `Run.predict` has them."""


def predict(
    predictor: Predictor | None,
    assignment: Assignment,
    channel: Channel,
    declared: Declared,
    device: str,
) -> None:
    """Predict the images of a job, store the scores, and report them. Raises `ValueError` without a
    predictor, and for other rows than images."""
    job = assignment.job
    started = {"worker": assignment.worker, "device": device, "environment": declared.facts}
    channel.report({"report": "started", "resumed_from": 0} | started)
    if predictor is None:
        raise ValueError(
            f"the code of this worker of {job.trainer} has no @train.predictor: update it"
        )
    store = JobStore(job, assignment.api_url)
    cache = Path(assignment.cache)
    images = read_data(store, job.concepts, job.kind, job.manifest, cache, lambda _: None).all
    with tempfile.TemporaryDirectory(prefix="stemma-weights-") as folder:
        weights = Path(folder, f"weights.{ENDINGS.get(job.format, 'bin')}")
        store.download(job.checkpoint, weights)
        rows = rows_of(predictor(Prediction(job), weights, images))
    digest, _ = store.put("predictions", as_parquet(images, rows, job.kind))
    channel.report(
        {
            "report": "predicted",
            "checkpoint": job.checkpoint,
            "metrics": None,
            "rows": len(rows),
            "predictions": digest,
        }
    )
    channel.flush()
