"""Trainings that are simulated: what workers report, without a worker."""

import hashlib
import math
from collections.abc import Mapping

import msgspec

from application.experiments.policy import REACTS_TO, Reactions, react
from application.log.store import AppendRefused, Store
from domain.aggregates import EXPERIMENT, VERSION
from domain.event import Event
from domain.experiments.experiment import Experiment, require
from domain.trainers.form import Value
from domain.training.options import TrainingOptions
from domain.training.version import (
    ENDED,
    QUEUED,
    BestCheckpointSaved,
    EpochMetricsRecorded,
    TrainingStepAdvanced,
    Version,
    VersionTrainingCompleted,
    VersionTrainingFailed,
    VersionTrainingStarted,
)
from domain.training.version import require as require_version
from tests.application.scenes import recorded


def accuracy_of_settings(settings: Mapping[str, Value], epoch: int) -> float:
    """As if a small penalty and the solver `saga` learnt best."""
    penalty, solver = float(settings["penalty"]), settings["solver"]
    best = 0.9 - 0.1 * abs(math.log10(penalty) + 2) - (0 if solver == "saga" else 0.05)
    return max(0.0, best) * (1 - 0.5**epoch)


def accuracy(options: TrainingOptions, epoch: int) -> float:
    """As if options near a certain rate learnt best; the same for the same options."""
    rate = math.log10(options.initial_learning_rate) + (0 if options.optimizer == "momentum" else 1)
    noise = int.from_bytes(hashlib.sha256(msgspec.json.encode(options)).digest()[:4]) / 2**32
    best = 0.9 - 0.2 * abs(rate + 2) - (0.05 if options.balancing else 0) + 0.01 * noise
    return max(0.0, best) * (1 - 0.5**epoch)


class Trainer:
    """Trains an epoch of a version at each step. `failures` are reasons by trial and attempt."""

    def __init__(
        self, store: Store, failures: dict[tuple[int, int], VersionTrainingFailed] | None = None
    ) -> None:
        self._store = store
        self._failures = failures or {}

    def step(self, version_id: str) -> None:
        """Do an epoch, or what comes before and after; nothing if it has ended."""
        stream = VERSION.stream(version_id)
        history = self._store.streams([stream])[stream]
        version = require_version(VERSION.fold(each.event for each in history))
        if version.status in ENDED:
            return
        events = self._next(version)
        try:
            self._store.append(
                [recorded(stream, len(history) + n, event) for n, event in enumerate(events, 1)]
            )
        except AppendRefused:
            return  # the policy was faster

    def _next(self, version: Version) -> list[Event]:
        created = version.created
        assert created.trial is not None
        failure = self._failures.get((created.trial, version.attempt))
        if version.status == QUEUED:
            started = VersionTrainingStarted(version.attempt, 1, "w", "cpu", {}, 0)
            return [started, TrainingStepAdvanced("training", "running", 0.0)]
        if failure is not None:
            return [failure]
        options, use, done = created.options, created.trainer, version.epochs_recorded
        epochs = use.settings["epochs"] if use else options.epochs if options else None
        if done == epochs or version.stop_requested:
            ended_by = "stop" if version.stop_requested else "length"
            return [VersionTrainingCompleted("checkpoint", "weights", done, ended_by)]
        if use is not None:
            value = accuracy_of_settings(use.settings, done + 1)
        else:
            assert options is not None
            value = accuracy(options, done + 1)
        return [
            EpochMetricsRecorded(done + 1, done + 1, 1 - value, value, None),
            BestCheckpointSaved(
                f"sha-{created.trial}", 1, "validation_accuracy", value, done + 1, 1 - value
            ),
        ]


def experiment_at(store: Store, experiment_id: str) -> Experiment:
    stream = EXPERIMENT.stream(experiment_id)
    return require(EXPERIMENT.fold(each.event for each in store.streams([stream])[stream]))


class Policy:
    """A policy that follows the log from the beginning, or from where it was killed."""

    def __init__(self, reactions: Reactions) -> None:
        self._reactions = reactions
        self._position = 0

    def follow(self) -> None:
        for each in self._reactions.store.read_all(self._position, names=REACTS_TO):
            react(self._reactions, each)
            self._position = each.position


def run_to_the_end(
    store: Store, policy: Policy, trainer: Trainer, experiment_id: str
) -> Experiment:
    """One epoch of each trial after the other, the policy following every step."""
    for _ in range(10_000):
        policy.follow()
        experiment = experiment_at(store, experiment_id)
        if experiment.concluded is not None:
            return experiment
        for trial in experiment.trials:
            trainer.step(trial.version_id)
            policy.follow()
    raise AssertionError("the experiment does not end")
