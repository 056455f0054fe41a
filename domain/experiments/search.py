"""What an experiment does next: a pure function of its events and those of its trials."""

from collections.abc import Sequence

import msgspec

from domain.experiments.experiment import (
    BUDGET,
    DEFAULT,
    FAILURES,
    RANDOM,
    STOPPED,
    TPE,
    Experiment,
    ExperimentConcluded,
    TrialPruned,
)
from domain.experiments.pruning import derive_prunings
from domain.experiments.searched import default_trials
from domain.experiments.space import Parameters
from domain.experiments.trials import COMPLETED, FAILED, PRUNED, RUNNING, Trial

HOPELESS = 4
"""So many first trials that all fail for one reason end the experiment."""
LEAST_ATTEMPTS = 2
"""A trial that fails is tried twice, as the failure may be the machine's."""
RANDOM_TRIALS = 4
"""Trials at random after the defaults, before TPE has enough to learn from."""


class Search(msgspec.Struct, frozen=True):
    """An experiment as the log shows it at `position`.

    `trials` are as the experiment counts them; `unpruned` are the same with all their epochs.
    """

    experiment_id: str
    experiment: Experiment
    trials: Sequence[Trial]
    unpruned: Sequence[Trial]
    position: int


class Prune(msgspec.Struct, frozen=True):
    pruning: TrialPruned


class Retry(msgspec.Struct, frozen=True):
    trial: Trial


class Stop(msgspec.Struct, frozen=True):
    """End a trial: it was pruned, or the experiment ends."""

    trial: Trial


class Propose(msgspec.Struct, frozen=True):
    """`parameters` are those of a trial that is not left to a sampler."""

    number: int
    sampler: str
    parameters: Parameters | None = None


class Finish(msgspec.Struct, frozen=True):
    """Conclude; the importances of parameters are still to be computed."""

    conclusion: ExperimentConcluded


Action = Prune | Retry | Propose | Finish


def next_action(search: Search) -> Action | None:
    """The next event that the experiment owes the log; None while it waits for its trials."""
    experiment = search.experiment
    if experiment.concluded is not None:
        return None
    started = experiment.started
    if started.pruning:
        for pruning in derive_prunings(search.unpruned, started.epochs):
            if pruning.number not in experiment.pruned:
                return Prune(pruning)
    for trial in search.trials:
        if _is_to_be_retried(trial) and not _is_ending(search):
            return Retry(trial)
    open_trials = [trial for trial in search.trials if trial.status == RUNNING]
    if not _is_ending(search) and len(experiment.trials) < started.budget:
        if len(open_trials) >= started.concurrency:
            return None
        return _proposal(experiment)
    if any(not trial.ended for trial in search.trials):
        return None
    return Finish(_conclusion(search))


def trials_to_stop(search: Search) -> list[Trial]:
    """Trials that train on though they were pruned, or the experiment is ending."""
    ending = _is_ending(search)
    return [
        trial for trial in search.trials if not trial.ended and (trial.status == PRUNED or ending)
    ]


def _proposal(experiment: Experiment) -> Propose:
    started = experiment.started
    number = len(experiment.trials) + 1
    defaults = default_trials(started)
    if number <= len(defaults):
        return Propose(number, DEFAULT, defaults[number - 1])
    return Propose(number, RANDOM if number <= len(defaults) + RANDOM_TRIALS else TPE)


def _is_to_be_retried(trial: Trial) -> bool:
    return trial.status == FAILED and trial.retryable and trial.attempt < LEAST_ATTEMPTS


def _is_ending(search: Search) -> bool:
    return search.experiment.stop_requested or _common_failure(search.trials) is not None


def _common_failure(trials: Sequence[Trial]) -> str | None:
    """The one reason for which the first trials all failed."""
    first = trials[:HOPELESS]
    reasons = {trial.reason for trial in first}
    failed = all(trial.status == FAILED and trial.attempt >= LEAST_ATTEMPTS for trial in first)
    return reasons.pop() if len(first) == HOPELESS and failed and len(reasons) == 1 else None


def _conclusion(search: Search) -> ExperimentConcluded:
    experiment, trials = search.experiment, search.trials
    failure = _common_failure(trials)
    ended_by = FAILURES if failure else STOPPED if experiment.stop_requested else BUDGET
    best = best_of(trials)
    return ExperimentConcluded(
        ended_by=ended_by,
        reason=failure,
        best=best.proposed.version_id if best else None,
        best_trial=best.number if best else None,
        value=best.value if best else None,
        completed=sum(trial.status == COMPLETED for trial in trials),
        pruned=sum(trial.status == PRUNED for trial in trials),
        failed=sum(trial.status == FAILED for trial in trials),
        epochs_trained=sum(len(trial.epochs) for trial in search.unpruned),
        epochs_planned=round(len(trials) * experiment.started.epochs),
        importances={},
        log_position=search.position,
    )


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The best completed trial: the highest value, then the lowest loss, then the earliest."""
    completed = [t for t in trials if t.status == COMPLETED and t.value is not None]
    return min(
        completed,
        key=lambda t: (-(t.value or 0.0), float("inf") if t.loss is None else t.loss, t.number),
        default=None,
    )
