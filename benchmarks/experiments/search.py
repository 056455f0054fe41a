"""The best of an experiment by TPE against the best of as many trials at random, and what pruning
saves.

The trainings are the worker's, with small networks; what is chosen and pruned is the policy's own,
and a pruned training ends after its epoch. Each whole training is stored, by all that it depends
on, so that an interrupted measurement goes on where it was, and searches that choose the same trial
share it. The space is the default one of the kind of view.
"""

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec
import numpy as np

from adapters.blobs.blobs import BlobStore
from adapters.experiments.sampler import OptunaSampler
from benchmarks.experiments.image_sets import ImageSet, image_sets
from benchmarks.experiments.trainings import CHANNELS, Curve, Trainings
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
from domain.experiments.space import Parameters, default_space, fixed, options_of
from domain.experiments.trials import COMPLETED, FAILED, Epoch, Trial, as_counted, objective_of

TRIALS, EPOCHS, IMAGES, SEEDS = 24, 9, 400, 5
QUICK_TRIALS, QUICK_EPOCHS, QUICK_IMAGES = 6, 3, 30
WITHIN = 0.005
"""A pruned search's best is at most so much worse."""
RESULTS = "STEMMA_BENCH_RESULTS"
"""Names the folder in which finished trainings are kept; by default `.bench`."""
TPE_ARM, RANDOM_ARM, PRUNED_ARM = ARMS = ("tpe", "random", "pruned")


class Found(msgspec.Struct, frozen=True):
    """The value of a search's best trial, and the epochs that its trials trained.

    `foresight` is the rank correlation (Spearman) of the trials' values after their first epoch
    with their best ones.
    """

    best: float
    epochs: int
    foresight: float


class Task(msgspec.Struct, frozen=True):
    """The searches of one seed on one set, for a process of its own."""

    images: ImageSet
    seed: int
    trials: int
    epochs: int
    folder: Path
    kept: Path
    processes: int


def run(quick: bool) -> list[Measurement]:
    """Medians over seeds; TPE and random search have equal epochs."""
    with data_folder() as folder:
        kept = (folder if quick else Path(os.environ.get(RESULTS, ".bench"))) / "trainings"
        kept.mkdir(parents=True, exist_ok=True)
        processes = 1 if quick else os.cpu_count() or 1
        trials, epochs = (QUICK_TRIALS, QUICK_EPOCHS) if quick else (TRIALS, EPOCHS)
        blobs = BlobStore.from_url(f"file://{folder}/blobs")
        sets = image_sets(blobs, QUICK_IMAGES if quick else IMAGES)[: 1 if quick else None]
        tasks = [
            Task(images, seed, trials, epochs, folder, kept.absolute(), processes)
            for images in sets
            for seed in range(1 if quick else SEEDS)
        ]

        def search_all() -> list[dict[str, Found]]:
            if quick:
                return [search(task) for task in tasks]
            # Fresh interpreters: torch's threads do not survive a fork.
            spawn = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(processes, spawn) as pool:
                return list(pool.map(search, tasks))

        done = repeat(1, search_all)
        (found,) = done.results
        return [
            measurement
            for images in sets
            for measurement in _measurements(
                images.name,
                trials,
                [each for task, each in zip(tasks, found, strict=True) if task.images == images],
                done.others,
            )
        ]


def _measurements(
    name: str, trials: int, by_seed: Sequence[dict[str, Found]], others: float
) -> list[Measurement]:
    tpe, at_random, pruned = ([found[arm] for found in by_seed] for arm in ARMS)
    return [
        Measurement(
            what=f"{name}: best of {trials} by TPE",
            unit="",
            ours=tuple(each.best for each in tpe),
            alternative="at random",
            theirs=tuple(each.best for each in at_random),
            expected=Expected(1.0, at_least=True),
            others=others,
        ),
        Measurement(
            what=f"{name}: epochs with pruning",
            unit="",
            ours=tuple(each.epochs for each in pruned),
            alternative="without",
            theirs=tuple(each.epochs for each in tpe),
            expected=Expected(0.6),
            others=others,
        ),
        Measurement(
            what=f"{name}: best without pruning, less that with it",
            unit="",
            ours=tuple(without.best - each.best for without, each in zip(tpe, pruned, strict=True)),
            expected=Expected(WITHIN),
            others=others,
        ),
        Measurement(
            what=f"{name}: rank correlation of the first epoch with the best, at random",
            unit="",
            ours=tuple(each.foresight for each in at_random),
            others=others,
        ),
    ]


def search(task: Task) -> dict[str, Found]:
    """What each way of searching finds, from one seed."""
    trainings = Trainings(task.folder, task.kept, task.processes)
    return {arm: _Search(task, arm).run(trainings) for arm in ARMS}


class _Search:
    """One search, trial after trial. `_whole` are the trials with all their epochs."""

    def __init__(self, task: Task, arm: str) -> None:
        self._images, self._epochs = task.images, task.epochs
        self._arm = arm
        self._sampler = OptunaSampler()
        space = default_space(task.images.kind)
        assert set(space.architectures) <= CHANNELS.keys()
        started = ExperimentStarted(
            project_id="project",
            view_id="view",
            model_id="model",
            name=task.images.name,
            kind=task.images.kind,
            concepts=task.images.concepts,
            log_position=0,
            base={
                "epochs": task.epochs,
                "resizer": "fixed",
                "width": task.images.side,
                "height": task.images.side,
                "batch_size": 16,
            },
            space=space,
            objective=objective_of(task.images.kind),
            epochs=task.epochs,
            budget=task.trials,
            concurrency=1,
            seed=task.seed,
            pruning=arm == PRUNED_ARM,
            weights=(),
        )
        self._experiment = Experiment(started)
        self._whole: list[Trial] = []

    def run(self, trainings: Trainings) -> Found:
        counted: list[Trial] = []
        while len(counted) < self._experiment.started.budget:
            self._add_trial(trainings, self._propose(counted))
            counted = [as_counted(self._experiment, each) for each in self._whole]
        best = best_of(counted)
        assert best is not None
        assert best.value is not None
        epochs = sum(len(each.epochs) for each in counted)
        return Found(best.value, epochs, _foresight(self._whole))

    def _propose(self, counted: Sequence[Trial]) -> Proposed:
        action = next_action(Search("experiment", self._experiment, counted, [], len(counted)))
        assert isinstance(action, Propose)
        # Random search has no defaults to begin with.
        chooser = RANDOM if self._arm == RANDOM_ARM else action.sampler
        parameters: Parameters = fixed(self._experiment.started.space) | (
            action.parameters
            if chooser == DEFAULT and action.parameters is not None
            else self._sampler.propose(self._experiment, counted, action.number, chooser)
        )
        return Proposed(action.number, f"version-{action.number}", parameters, chooser)

    def _add_trial(self, trainings: Trainings, proposed: Proposed) -> None:
        started = self._experiment.started
        trials = (*self._experiment.trials, proposed)
        self._experiment = msgspec.structs.replace(self._experiment, trials=trials)
        options = options_of(started.kind, started.base, proposed.parameters, frozenset())

        def gives_up(values: Sequence[float]) -> bool:
            so_far = self._trial(proposed, Curve(tuple(values), None))
            pruned = derive_prunings([*self._whole, so_far], self._epochs)
            return started.pruning and any(each.number == proposed.number for each in pruned)

        curve = trainings.train(self._images, options, gives_up)
        self._whole.append(self._trial(proposed, curve))
        if started.pruning:
            pruned = {each.number: each for each in derive_prunings(self._whole, self._epochs)}
            self._experiment = msgspec.structs.replace(self._experiment, pruned=pruned)

    def _trial(self, proposed: Proposed, curve: Curve) -> Trial:
        # Positions as in a log: one trial's metrics after those of the other.
        before = (proposed.number - 1) * self._epochs
        epochs = {
            number: Epoch(value, before + number) for number, value in enumerate(curve.values, 1)
        }
        if not curve.finite:
            return Trial(proposed, status=FAILED, ended=True, non_finite=True, epochs=epochs)
        value = max(curve.values)
        return Trial(
            proposed, status=COMPLETED, ended=True, epochs=epochs, value=value, loss=curve.loss
        )


def _foresight(trials: Sequence[Trial]) -> float:
    """0 where all values are equal."""
    from scipy.stats import rankdata

    first = rankdata([trial.best_until(1) for trial in trials if trial.value is not None])
    last = rankdata([trial.value for trial in trials if trial.value is not None])
    if not first.std() or not last.std():
        return 0.0
    return float(np.corrcoef(first, last)[0, 1])
