"""The policy that carries experiments on: it prunes, retries, proposes, stops and concludes.

Whatever it does next follows from the log, and each command has an id of its own, so that policies
that are killed, or run side by side, do each thing once.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from application.experiments.experiments import propose_trial
from application.handle import Decided, Request, Session, handle
from application.log.store import Store
from application.training.starting import PretrainedWeights
from domain.aggregates import EXPERIMENT, VERSION
from domain.errors import Conflict, Refusal
from domain.event import Recorded, name_of
from domain.experiments.experiment import (
    DEFAULT,
    Conclude,
    Experiment,
    ExperimentStarted,
    ExperimentStopRequested,
    RecordPruning,
    require,
)
from domain.experiments.search import (
    Finish,
    Propose,
    Prune,
    Retry,
    Search,
    next_action,
    trials_to_stop,
)
from domain.experiments.searched import fixed
from domain.experiments.space import Parameters
from domain.experiments.trials import Trial, trials_of
from domain.training.version import (
    QUEUED,
    BatchMetricsRecorded,
    CancelVersion,
    EpochMetricsRecorded,
    RetryVersion,
    StopVersion,
    TrainingLengthKnown,
    Version,
    VersionCreated,
    VersionTrainingCancelled,
    VersionTrainingCompleted,
    VersionTrainingFailed,
)
from domain.training.version import require as require_version

OF_EXPERIMENTS = (ExperimentStarted, ExperimentStopRequested)
OF_VERSIONS = (
    EpochMetricsRecorded,
    VersionTrainingCompleted,
    VersionTrainingFailed,
    VersionTrainingCancelled,
)
REACTS_TO = [name_of(event) for event in OF_EXPERIMENTS + OF_VERSIONS]
ACTOR = "experiments"
_UNREAD = [name_of(event) for event in (BatchMetricsRecorded, TrainingLengthKnown)]

log = logging.getLogger(__name__)


class Sampler(Protocol):
    """Chooses parameters, as a pure function of its arguments and its libraries."""

    libraries: Mapping[str, str]

    def propose(
        self, experiment: Experiment, trials: Sequence[Trial], number: int, sampler: str
    ) -> Parameters: ...

    def importances(self, experiment: Experiment, trials: Sequence[Trial]) -> dict[str, float]: ...


class NotDue(Exception):
    """Another policy was faster, or the log has moved on: look again."""


class Reactions(msgspec.Struct, frozen=True):
    """What the policy works with. `weights` is None where no pretrained weights are at hand."""

    store: Store
    sampler: Sampler
    weights: PretrainedWeights | None = None


def react(reactions: Reactions, recorded: Recorded) -> None:
    """Carry on the experiment that an event is about, as far as it can go now."""
    experiment_id = _experiment_of(reactions.store, recorded)
    if experiment_id is not None:
        advance(reactions, experiment_id, recorded)


def _experiment_of(store: Store, recorded: Recorded) -> str | None:
    if recorded.kind == EXPERIMENT.kind:
        return recorded.entity_id
    created = store.first_events([recorded.stream]).get(recorded.stream)
    return created.experiment_id if isinstance(created, VersionCreated) else None


def advance(reactions: Reactions, experiment_id: str, cause: Recorded) -> None:
    """Do all that is due. May be repeated, at any time."""
    refused = ""
    while True:
        search = read_search(reactions.store, experiment_id)
        action = next_action(search)
        if action is None:
            for trial in trials_to_stop(search):
                _end(reactions.store, trial, cause)
            return
        try:
            _carry_out(reactions, search, action, cause)
        except NotDue:
            continue
        except Refusal as refusal:
            # Others go on meanwhile. Twice the same is no race: it waits for its next event.
            log.warning("experiment %s: %s: %s", experiment_id, _name(action), refusal.detail)
            if refused == _name(action):
                return
            refused = _name(action)


def read_search(store: Store, experiment_id: str, upto: int | None = None) -> Search:
    """An experiment as the log shows it, now or at a past position."""
    position = store.head() if upto is None else upto
    stream = EXPERIMENT.stream(experiment_id)
    events = store.streams([stream], upto=position)[stream]
    experiment = require(EXPERIMENT.fold(recorded.event for recorded in events))
    return search_of(store, experiment_id, experiment, position)


def search_of(store: Store, experiment_id: str, experiment: Experiment, position: int) -> Search:
    streams = {VERSION.stream(trial.version_id): trial.version_id for trial in experiment.trials}
    histories: dict[str, list[Recorded]] = {key: [] for key in streams.values()}
    if streams:
        for recorded in store.histories(list(streams), upto=position, without=_UNREAD):
            histories[recorded.entity_id].append(recorded)
    bare = msgspec.structs.replace(experiment, pruned={})
    return Search(
        experiment_id,
        experiment,
        trials_of(experiment, histories),
        trials_of(bare, histories),
        position,
    )


def _carry_out(
    reactions: Reactions, seen: Search, action: Prune | Retry | Propose | Finish, cause: Recorded
) -> None:
    """Decide again on what the session sees; raises `NotDue` if that is another action."""
    experiment_id = seen.experiment_id

    def decide(session: Session) -> Decided[Experiment] | Decided[Version]:
        experiment = require(session.get(EXPERIMENT, experiment_id))
        search = search_of(session.store, experiment_id, experiment, session.position)
        if _name(next_action(search)) != _name(action):
            raise NotDue
        return _decide(reactions, session, search)

    handle(reactions.store, _request(f"{experiment_id}:{_name(action)}", cause), decide)


def _decide(
    reactions: Reactions, session: Session, search: Search
) -> Decided[Experiment] | Decided[Version]:
    experiment_id, experiment = search.experiment_id, search.experiment
    match next_action(search):
        case Prune(pruning):
            return session.decide(EXPERIMENT, experiment_id, RecordPruning(pruning))
        case Retry(trial):
            return session.decide(VERSION, trial.proposed.version_id, RetryVersion())
        case Propose(number, sampler, parameters):
            if parameters is None:
                started = experiment.started
                parameters = fixed(started.space, started.trainer) | reactions.sampler.propose(
                    experiment, search.trials, number, sampler
                )
            # The form's defaults depend on no library.
            libraries = {} if sampler == DEFAULT else reactions.sampler.libraries
            return propose_trial(
                session,
                experiment_id,
                experiment,
                number,
                parameters,
                sampler,
                libraries,
                reactions.weights,
            )
        case Finish(conclusion):
            importances = reactions.sampler.importances(experiment, search.trials)
            whole = msgspec.structs.replace(conclusion, importances=importances)
            return session.decide(EXPERIMENT, experiment_id, Conclude(whole))
        case None:
            raise NotDue


def _name(action: Prune | Retry | Propose | Finish | None) -> str:
    """What an action does, the same for all policies: the last part of its command's id."""
    match action:
        case Prune(pruning):
            return f"prune:{pruning.number}"
        case Retry(trial):
            return f"retry:{trial.number}:{trial.attempt}"
        case Propose(number):
            return f"propose:{number}"
        case Finish():
            return "conclude"
        case None:
            return "wait"


def _end(store: Store, trial: Trial, cause: Recorded) -> None:
    """End a trial's training: in the queue it is cancelled, else it ends after its epoch."""
    version_id = trial.proposed.version_id

    def decide(session: Session) -> Decided[Version]:
        version = require_version(session.get(VERSION, version_id))
        command = CancelVersion() if version.status == QUEUED else StopVersion()
        return session.decide(VERSION, version_id, command)

    try:
        handle(store, _request(f"end:{version_id}:{trial.attempt}", cause), decide)
    except Conflict as refused:
        # It has ended, or is being evaluated and soon will have.
        log.info("trial %d: %s", trial.number, refused.detail)


def _request(command_id: str, cause: Recorded) -> Request:
    return Request(
        actor=ACTOR,
        command_id=f"experiment:{command_id}",
        correlation_id=cause.metadata.correlation_id,
        causation_id=cause.metadata.event_id,
    )
