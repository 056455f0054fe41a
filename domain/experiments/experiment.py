"""An experiment: a search for the best training of a model, over trials that are model versions."""

from typing import ClassVar

import msgspec

from domain.errors import Conflict, Invalid, NotFound
from domain.event import Event
from domain.experiments.space import Parameters, SearchSpace, Value
from domain.experiments.trainer_space import TrainerSearch
from domain.text import clean_name
from domain.training.messages import ConceptLabel

BUDGET, STOPPED, FAILURES = "budget", "stopped", "failures"
"""How an experiment ends: with its last trial, on request, or since the first ones all failed."""
DEFAULT, RANDOM, TPE = "default", "random", "tpe"
"""How a trial's parameters were found: the form's defaults, at random, or by Optuna's TPE."""

MOST_TRIALS = 500
MOST_AT_ONCE = 64
LARGEST_SEED = 2**32 - 1


class ExperimentStarted(Event, frozen=True, tag="experiment.started"):
    """A search began, for the options with which a model of these concepts learns best.

    All trials train for `epochs` on the images as they were at `log_position`, with the options
    `base`, and vary those of `space`. `objective` is the metric of the saved checkpoint that is to
    be high. `budget` is the number of trials, of which `concurrency` are queued or run at once.
    `weights` are the files of pretrained weights that were at hand. With a `trainer`, it trains
    the trials and they vary settings of its form; `base` and `space` are empty.
    """

    schema_version: ClassVar[int] = 2

    project_id: str
    view_id: str
    model_id: str
    name: str
    kind: str
    concepts: tuple[ConceptLabel, ...]
    log_position: int
    base: dict[str, Value]
    space: SearchSpace
    objective: str
    epochs: float
    budget: int
    concurrency: int
    seed: int
    pruning: bool
    weights: tuple[str, ...]
    trainer: TrainerSearch | None = None


class TrialProposed(Event, frozen=True, tag="experiment.trial_proposed"):
    """A trial was chosen and became a version.

    `sampler` is what chose the parameters: `default`, `random` or `tpe`. It looked at the log up to
    `log_position`; with the experiment's seed, the trial's number and these `libraries`, the
    parameters follow from that alone.
    """

    number: int
    version_id: str
    parameters: dict[str, Value]
    sampler: str
    log_position: int
    libraries: dict[str, str]


class TrialPruned(Event, frozen=True, tag="experiment.trial_pruned"):
    """A trial was given up: after `epoch` its best `value` was below `cut`.

    It was compared with `compared` other trials at that epoch, as the log stood at `log_position`,
    the position of the trial's own metrics.
    """

    number: int
    version_id: str
    epoch: int
    value: float
    compared: int
    cut: float
    log_position: int


class ExperimentStopRequested(Event, frozen=True, tag="experiment.stop_requested"):
    """No more trials are to be proposed; running ones end after their epoch."""


class ExperimentConcluded(Event, frozen=True, tag="experiment.concluded"):
    """The search ended; the best trial is the one with the highest value of those completed.

    Of equal values, the one with the lower validation loss is the best, then the earlier one.
    `ended_by` is `budget`, `stopped` or `failures`, with the `reason` of these. `epochs_trained` of
    the `epochs_planned` were trained. `importances` are shares of the variance of good results, by
    parameter (PED-ANOVA, Watanabe et al. 2023), empty where too few trials completed.
    """

    ended_by: str
    reason: str | None
    best: str | None
    best_trial: int | None
    value: float | None
    completed: int
    pruned: int
    failed: int
    epochs_trained: int
    epochs_planned: int
    importances: dict[str, float]
    log_position: int


class Proposed(msgspec.Struct, frozen=True):
    """A trial as the experiment knows it."""

    number: int
    version_id: str
    parameters: Parameters
    sampler: str


class Experiment(msgspec.Struct, frozen=True):
    """`pruned` are the trials given up, by number."""

    started: ExperimentStarted
    trials: tuple[Proposed, ...] = ()
    pruned: dict[int, TrialPruned] = msgspec.field(default_factory=dict)
    stop_requested: bool = False
    concluded: ExperimentConcluded | None = None


class StartExperiment(msgspec.Struct, frozen=True):
    """What the handler has checked and resolved; `name` is None for one made of the number."""

    started: ExperimentStarted


class StopExperiment(msgspec.Struct, frozen=True):
    pass


class RecordProposal(msgspec.Struct, frozen=True):
    proposal: TrialProposed


class RecordPruning(msgspec.Struct, frozen=True):
    pruning: TrialPruned


class Conclude(msgspec.Struct, frozen=True):
    conclusion: ExperimentConcluded


Command = StartExperiment | StopExperiment | RecordProposal | RecordPruning | Conclude


def evolve(experiment: Experiment | None, event: Event) -> Experiment | None:
    if isinstance(event, ExperimentStarted):
        return Experiment(event)
    if experiment is None:
        return None
    match event:
        case TrialProposed():
            trial = Proposed(event.number, event.version_id, event.parameters, event.sampler)
            return msgspec.structs.replace(experiment, trials=(*experiment.trials, trial))
        case TrialPruned():
            pruned = experiment.pruned | {event.number: event}
            return msgspec.structs.replace(experiment, pruned=pruned)
        case ExperimentStopRequested():
            return msgspec.structs.replace(experiment, stop_requested=True)
        case ExperimentConcluded():
            return msgspec.structs.replace(experiment, concluded=event)
    return experiment


def decide(command: Command, experiment: Experiment | None) -> list[Event]:
    if isinstance(command, StartExperiment):
        return [_start(command.started)]
    current = require(experiment)
    if isinstance(command, StopExperiment):
        if current.concluded is not None:
            raise Conflict("the experiment has ended; there is nothing left to stop")
        return [] if current.stop_requested else [ExperimentStopRequested()]
    if current.concluded is not None:
        raise Conflict("the experiment has ended")
    match command:
        case RecordProposal(proposal):
            if proposal.number != len(current.trials) + 1:
                raise Conflict(f"trial {proposal.number} is not the next one")
            return [proposal]
        case RecordPruning(pruning):
            return [] if pruning.number in current.pruned else [pruning]
        case Conclude(conclusion):
            return [conclusion]


def _start(started: ExperimentStarted) -> ExperimentStarted:
    _within("budget", started.budget, 1, MOST_TRIALS)
    _within("concurrency", started.concurrency, 1, MOST_AT_ONCE)
    _within("seed", started.seed, 0, LARGEST_SEED)
    return msgspec.structs.replace(started, name=clean_name(started.name))


def _within(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise Invalid(f"{field} is {value}; it must be from {low} to {high}", field=field)


def require(experiment: Experiment | None) -> Experiment:
    if experiment is None:
        raise NotFound("experiment not found")
    return experiment
