"""The worker's trainings in this process, with networks of a few convolutions.

A training of the product's smallest network takes some ten seconds of a core on these images; a
comparison of searches needs a thousand of them.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import msgspec
import torch
from torch import Tensor, nn

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from benchmarks.experiments.image_sets import ImageSet
from domain.library.view import CLASSIFICATION
from domain.training.messages import EpochMetrics, ReportBody, TrainJob
from domain.training.options import TrainingOptions
from gpu_worker import networks
from gpu_worker.environment import describe, set_up_torch
from gpu_worker.progress import NonFinite
from gpu_worker.stored_files import StoredFiles
from gpu_worker.train import train_version

CHANNELS = {
    "efficientnet_b0": (8, 16, 32, 64),
    "resnet18": (16, 32, 64, 64),
    "mobilenet_v3_small": (8, 16, 32),
}
"""The channels of the small networks that stand for the architectures of the default space."""

GivesUp = Callable[[Sequence[float]], bool]
"""Whether a training with these values so far is given up."""


class Curve(msgspec.Struct, frozen=True):
    """The objective after each epoch, and the loss at the best of them.

    A training that is not `finite` ended early, as a loss was no finite number.
    """

    values: tuple[float, ...]
    loss: float | None
    finite: bool = True


class Trainings:
    """Trainings in this process, one of `processes`; one that `kept` has is not done again."""

    def __init__(self, folder: Path, kept: Path, processes: int) -> None:
        self._kept = kept
        blobs_url = f"file://{folder}/blobs"
        self._settings = Settings(
            data=folder,
            blobs_url=blobs_url,
            worker_name="benchmark",
            device="cpu",
            workers=processes,
            decoded=str(folder / "decoded"),
        )
        self._blobs = BlobStore.from_url(blobs_url)
        device = torch.device("cpu")
        set_up_torch(device, processes)
        self._environment = {key: str(value) for key, value in describe(device).items()}

    def train(self, images: ImageSet, options: TrainingOptions, gives_up: GivesUp) -> Curve:
        """The curve of a training, up to the epoch after which it is given up."""
        job = TrainJob(
            version_id="version",
            attempt=1,
            kind=images.kind,
            concepts=images.concepts,
            options=options,
            manifest=images.manifest,
            correlation_id="benchmark",
        )
        # Other code, libraries, threads or networks train other weights.
        rests_on = [job, self._environment, CHANNELS]
        digest = hashlib.sha256(msgspec.json.encode(rests_on)).hexdigest()
        path = self._kept / f"{digest}.json"
        if path.exists():
            known = msgspec.json.decode(path.read_bytes(), type=Curve)
            cut = _until(known, gives_up)
            if cut is not None or self._is_whole(known, options):
                return cut or known
        version = f"version-{digest[:16]}"
        curve = self._train(msgspec.structs.replace(job, version_id=version), gives_up)
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(msgspec.json.encode(curve))
        unfinished.replace(path)
        return curve

    def _is_whole(self, curve: Curve, options: TrainingOptions) -> bool:
        return len(curve.values) == options.epochs or not curve.finite

    def _train(self, job: TrainJob, gives_up: GivesUp) -> Curve:
        values: list[float] = []
        losses: list[float] = []

        def observe(body: ReportBody) -> None:
            if isinstance(body, EpochMetrics):
                accuracy, precision = (
                    body.validation_accuracy,
                    body.validation_mean_average_precision,
                )
                value = accuracy if job.kind == CLASSIFICATION else precision
                assert value is not None
                values.append(value)
                losses.append(body.validation_loss)

        finite = True
        with _small_networks():
            try:
                train_version(
                    job,
                    self._settings,
                    StoredFiles(self._blobs, job, 1),
                    observe,
                    stop_wanted=lambda: gives_up(values),
                )
            except NonFinite:
                finite = False
        return Curve(tuple(values), _loss_of_best(values, losses), finite)


def _until(curve: Curve, gives_up: GivesUp) -> Curve | None:
    """A curve up to where its training is given up; None if it is not."""
    for epochs in range(1, len(curve.values) + 1):
        if gives_up(curve.values[:epochs]):
            return Curve(curve.values[:epochs], None)
    return None


def _loss_of_best(values: Sequence[float], losses: Sequence[float]) -> float | None:
    best = max(values, default=0.0)
    at_best = [loss for value, loss in zip(values, losses, strict=True) if value == best]
    return min(at_best, default=None)


@contextmanager
def _small_networks() -> Iterator[None]:
    with patch.object(networks, "_build", _build):
        yield


def _build(_: str, options: TrainingOptions, concepts: int) -> nn.Module:
    return _Convolutions(CHANNELS[options.architecture], concepts)


class _Convolutions(nn.Module):
    """Convolutions with batch normalisation, each but the second at half the size."""

    def __init__(self, channels: Sequence[int], concepts: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for place, after in enumerate(channels):
            stride = 1 if place == 1 else 2
            layers += [
                nn.Conv2d(before, after, 3, stride, 1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
            before = after
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(before, concepts)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.body(images)
        outputs: Tensor = self.head(features.mean((2, 3)))
        return outputs
