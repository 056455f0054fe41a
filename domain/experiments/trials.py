"""The trials of an experiment as the log shows them, folded from the events of their versions."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from domain.event import Recorded
from domain.experiments.experiment import Experiment, Proposed
from domain.library.view import CLASSIFICATION
from domain.training.results import VersionResultMeasured
from domain.training.version import (
    BestCheckpointSaved,
    EpochMetricsRecorded,
    VersionRetried,
    VersionTrainingCancelled,
    VersionTrainingCompleted,
    VersionTrainingFailed,
)

VALIDATION_ACCURACY = "validation_accuracy"
VALIDATION_MAP = "validation_mean_average_precision"

NO_EPOCH, CANCELLED = "stopped before its first epoch", "cancelled"
RUNNING, COMPLETED, PRUNED, FAILED = "running", "completed", "pruned", "failed"


def objective_of(kind: str) -> str:
    """The metric by which checkpoints of a kind are saved, and trials compared."""
    return VALIDATION_ACCURACY if kind == CLASSIFICATION else VALIDATION_MAP


class Epoch(msgspec.Struct, frozen=True):
    """The objective's value after an epoch, and the position of its event in the log."""

    value: float
    position: int


class Trial(msgspec.Struct, frozen=True):
    """`epochs` are by number, from 1. `value` and `loss` are those of the best checkpoint so far:
    as its worker reports them, and at the end of a trainer's as the server measures them.

    `ended` says whether its version has ended; a pruned trial may go on for some time. `retryable`
    says whether its version may be tried again.
    """

    proposed: Proposed
    status: str = RUNNING
    ended: bool = False
    attempt: int = 1
    reason: str | None = None
    retryable: bool = False
    non_finite: bool = False
    epochs: dict[int, Epoch] = msgspec.field(default_factory=dict)
    value: float | None = None
    loss: float | None = None

    @property
    def number(self) -> int:
        return self.proposed.number

    def best_until(self, epoch: int) -> float:
        return max(at.value for number, at in self.epochs.items() if number <= epoch)


def trials_of(experiment: Experiment, histories: Mapping[str, Sequence[Recorded]]) -> list[Trial]:
    """The trials, in their order, from the events of their versions by version id."""
    objective, measured = experiment.started.objective, experiment.started.trainer is not None
    return [
        as_counted(experiment, fold_trial(each, objective, histories[each.version_id], measured))
        for each in experiment.trials
    ]


def fold_trial(
    proposed: Proposed, objective: str, history: Iterable[Recorded], measured: bool = False
) -> Trial:
    """With `measured`, the result counts as the server measures it."""
    trial = Trial(proposed)
    for recorded in history:
        trial = _evolve(trial, objective, recorded)
        if measured and isinstance(recorded.event, VersionResultMeasured):
            figures = recorded.event.validation
            value = figures.mean_average_precision
            value = figures.accuracy if objective == VALIDATION_ACCURACY else value
            trial = msgspec.structs.replace(trial, value=value, loss=figures.loss)
    return trial


def _evolve(trial: Trial, objective: str, recorded: Recorded) -> Trial:
    match recorded.event:
        case EpochMetricsRecorded() as epoch:
            value = (
                epoch.validation_accuracy
                if objective == VALIDATION_ACCURACY
                else epoch.validation_mean_average_precision
            )
            if value is None:
                return trial
            epochs = trial.epochs | {epoch.epoch: Epoch(value, recorded.position)}
            return msgspec.structs.replace(trial, epochs=epochs)
        case BestCheckpointSaved() as best:
            return msgspec.structs.replace(trial, value=best.value, loss=best.validation_loss)
        case VersionTrainingCompleted() if trial.value is None:
            return msgspec.structs.replace(trial, status=FAILED, ended=True, reason=NO_EPOCH)
        case VersionTrainingCompleted():
            return msgspec.structs.replace(trial, status=COMPLETED, ended=True)
        case VersionTrainingFailed() as failed:
            return msgspec.structs.replace(
                trial,
                status=FAILED,
                ended=True,
                reason=failed.reason,
                retryable=True,
                non_finite=failed.non_finite,
            )
        case VersionTrainingCancelled():
            return msgspec.structs.replace(
                trial, status=FAILED, ended=True, reason=CANCELLED, value=None, loss=None
            )
        case VersionRetried(attempt=attempt):
            return msgspec.structs.replace(
                trial,
                status=RUNNING,
                ended=False,
                attempt=attempt,
                reason=None,
                retryable=False,
                non_finite=False,
            )
    return trial


def as_counted(experiment: Experiment, trial: Trial) -> Trial:
    """A trial that was pruned counts as it was at that epoch, however long it went on."""
    pruning = experiment.pruned.get(trial.number)
    if pruning is None:
        # A loss that is no number: as bad as a result can be, and worth avoiding.
        return msgspec.structs.replace(trial, status=PRUNED) if trial.non_finite else trial
    epochs = {number: at for number, at in trial.epochs.items() if number <= pruning.epoch}
    return msgspec.structs.replace(
        trial, status=PRUNED, epochs=epochs, value=pruning.value, loss=None
    )
