"""The best of an experiment by TPE against the best of as many trials at random, and what pruning
saves.

The trainings are the worker's, in this process, one after the other; what is chosen and pruned is
the policy's own. Each training is stored when it ends, by all that it depends on, so that an
interrupted measurement goes on where it was. Searches that choose the same trial share it.
"""

import hashlib
import os
from pathlib import Path

import msgspec
import torch

from adapters.blobs.blobs import BlobStore
from adapters.experiments.sampler import OptunaSampler
from adapters.settings import Settings
from benchmarks.experiments.image_sets import ImageSet, image_sets
from benchmarks.measurements import Expected, Measurement
from benchmarks.processes import data_folder
from benchmarks.quiet import repeat
from domain.experiments.experiment import (
    DEFAULT,
    RANDOM,
    Experiment,
    ExperimentStarted,
    Proposed,
)
from domain.experiments.pruning import derive_prunings
from domain.experiments.search import Propose, Search, best_of, next_action
from domain.experiments.space import SearchSpace, default_space, fixed, options_of
from domain.experiments.trials import COMPLETED, FAILED, Epoch, Trial, as_counted, objective_of
from domain.library.view import CLASSIFICATION
from domain.training.messages import CheckpointSaved, EpochMetrics, ReportBody, TrainJob
from domain.training.options import TrainingOptions
from gpu_worker.environment import describe, set_up_torch
from gpu_worker.progress import NonFinite
from gpu_worker.train import train_version

TRIALS, EPOCHS, IMAGES, SEEDS = 24, 9, 360, 5
QUICK_TRIALS, QUICK_EPOCHS, QUICK_IMAGES = 6, 3, 24
WITHIN = 0.005
"""A pruned search's best is at most so much worse."""
RESULTS = "STEMMA_BENCH_RESULTS"
"""Names the folder in which finished trainings are kept; by default `.bench`."""


class Curve(msgspec.Struct, frozen=True):
    """The objective after each epoch, and the loss at its best one.

    A training that is not `finite` ended early, as a loss was no finite number.
    """

    values: tuple[float, ...]
    loss: float | None
    finite: bool = True


class Found(msgspec.Struct, frozen=True):
    """The value of a search's best trial, and the epochs that its trials trained."""

    best: float
    epochs: int


def run(quick: bool) -> list[Measurement]:
    """Medians over seeds; TPE and random search have equal epochs."""
    with data_folder() as folder:
        kept = (folder if quick else Path(os.environ.get(RESULTS, ".bench"))) / "trainings"
        kept.mkdir(parents=True, exist_ok=True)
        blobs = BlobStore.from_url(f"file://{folder}/blobs")
        trainings = _Trainings(folder, blobs, kept)
        sets = image_sets(blobs, QUICK_IMAGES if quick else IMAGES)
        return [
            measurement
            for images in (sets[:1] if quick else sets)
            for measurement in _measure(images, trainings, quick=quick)
        ]


def _measure(images: ImageSet, trainings: "_Trainings", *, quick: bool) -> list[Measurement]:
    seeds = range(1 if quick else SEEDS)
    trials, epochs = (QUICK_TRIALS, QUICK_EPOCHS) if quick else (TRIALS, EPOCHS)
    arms = ("tpe", "random", "pruned")

    def search_all() -> dict[str, list[Found]]:
        return {
            arm: [_search(images, trainings, trials, epochs, seed, arm) for seed in seeds]
            for arm in arms
        }

    done = repeat(1, search_all)
    (found,) = done.results
    tpe, at_random, pruned = found["tpe"], found["random"], found["pruned"]
    what = f"{images.name}: best of {trials}"
    return [
        Measurement(
            what=what,
            unit="",
            ours=tuple(each.best for each in tpe),
            alternative="at random",
            theirs=tuple(each.best for each in at_random),
            expected=Expected(1.0, at_least=True),
            others=done.others,
        ),
        Measurement(
            what=f"{images.name}: epochs with pruning",
            unit="",
            ours=tuple(each.epochs for each in pruned),
            alternative="without",
            theirs=tuple(each.epochs for each in tpe),
            expected=Expected(0.6),
            others=done.others,
        ),
        Measurement(
            what=f"{images.name}: best without pruning, less that with it",
            unit="",
            ours=tuple(without.best - each.best for without, each in zip(tpe, pruned, strict=True)),
            expected=Expected(WITHIN),
            others=done.others,
        ),
    ]


def space_of(images: ImageSet) -> SearchSpace:
    """The default space with one small architecture, to keep the trainings short."""
    return msgspec.structs.replace(
        default_space(images.kind), architectures=("mobilenet_v3_small",)
    )


def _search(
    images: ImageSet,
    trainings: "_Trainings",
    trials: int,
    epochs: int,
    seed: int,
    arm: str,
) -> Found:
    started = ExperimentStarted(
        project_id="project",
        view_id="view",
        model_id="model",
        name=images.name,
        kind=images.kind,
        concepts=images.concepts,
        log_position=0,
        base={
            "epochs": epochs,
            "resizer": "fixed",
            "width": images.side,
            "height": images.side,
            "batch_size": 32,
        },
        space=space_of(images),
        objective=objective_of(images.kind),
        epochs=epochs,
        budget=trials,
        concurrency=1,
        seed=seed,
        pruning=arm == "pruned",
        weights=(),
    )
    sampler = OptunaSampler()
    experiment = Experiment(started)
    whole: list[Trial] = []
    counted: list[Trial] = []
    while len(counted) < trials:
        action = next_action(Search("experiment", experiment, counted, [], len(counted)))
        assert isinstance(action, Propose)
        # Random search has no defaults to begin with.
        chooser = RANDOM if arm == "random" else action.sampler
        parameters = fixed(started.space) | (
            action.parameters
            if chooser == DEFAULT and action.parameters is not None
            else sampler.propose(experiment, counted, action.number, chooser)
        )
        version = f"version-{action.number}"
        proposed = Proposed(action.number, version, parameters, chooser)
        experiment = msgspec.structs.replace(experiment, trials=(*experiment.trials, proposed))
        options = options_of(images.kind, started.base, parameters, frozenset())
        curve = trainings.train(images, options)
        # Positions as in a log: one trial's metrics after those of the other.
        whole.append(_trial(proposed, curve, len(whole) * epochs))
        if started.pruning:
            pruned = {each.number: each for each in derive_prunings(whole, epochs)}
            experiment = msgspec.structs.replace(experiment, pruned=pruned)
        counted = [as_counted(experiment, each) for each in whole]
    best = best_of(counted)
    assert best is not None
    assert best.value is not None
    return Found(best.value, sum(len(each.epochs) for each in counted))


def _trial(proposed: Proposed, curve: Curve, before: int) -> Trial:
    epochs = {
        number: Epoch(value, before + number) for number, value in enumerate(curve.values, start=1)
    }
    if not curve.finite:
        return Trial(proposed, status=FAILED, ended=True, non_finite=True, epochs=epochs)
    value = max(curve.values)
    return Trial(
        proposed, status=COMPLETED, ended=True, epochs=epochs, value=value, loss=curve.loss
    )


class _Trainings:
    """The worker's trainings in this process; one that `kept` has is not done again."""

    def __init__(self, folder: Path, blobs: BlobStore, kept: Path) -> None:
        self._blobs, self._kept = blobs, kept
        device = torch.device("cpu")
        set_up_torch(device)
        self._environment = {name: str(value) for name, value in describe(device).items()}
        self._settings = Settings(
            data=folder, blobs_url=f"file://{folder}/blobs", worker_name="benchmark", device="cpu"
        )

    def train(self, images: ImageSet, options: TrainingOptions) -> Curve:
        job = TrainJob(
            version_id="version",
            attempt=1,
            kind=images.kind,
            concepts=images.concepts,
            options=options,
            manifest=images.manifest,
            correlation_id="benchmark",
        )
        # Other code, libraries or threads train other weights.
        digest = hashlib.sha256(msgspec.json.encode([job, self._environment])).hexdigest()
        path = self._kept / f"{digest}.json"
        if path.exists():
            return msgspec.json.decode(path.read_bytes(), type=Curve)
        version = f"version-{digest[:16]}"
        curve = self._train(msgspec.structs.replace(job, version_id=version))
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(msgspec.json.encode(curve))
        unfinished.replace(path)
        return curve

    def _train(self, job: TrainJob) -> Curve:
        values: list[float] = []
        loss: float | None = None

        def observe(body: ReportBody) -> None:
            nonlocal loss
            match body:
                case EpochMetrics(
                    validation_accuracy=accuracy, validation_mean_average_precision=precision
                ):
                    value = accuracy if job.kind == CLASSIFICATION else precision
                    assert value is not None
                    values.append(value)
                case CheckpointSaved(validation_loss=best):
                    loss = best

        try:
            train_version(job, 1, self._settings, self._blobs, observe)
        except NonFinite:
            return Curve(tuple(values), loss, finite=False)
        return Curve(tuple(values), loss)
