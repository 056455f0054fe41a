"""Derives each choice of an experiment again from the log, and compares it with what is there."""

from collections.abc import Iterator

import msgspec

from application.experiments.policy import Sampler, read_search
from application.log.store import Store
from domain.aggregates import EXPERIMENT, VERSION
from domain.audit.trail_experiments import parameters_in_words
from domain.event import Recorded
from domain.experiments.experiment import (
    DEFAULT,
    Experiment,
    ExperimentConcluded,
    TrialProposed,
    TrialPruned,
    require,
)
from domain.experiments.pruning import derive_prunings
from domain.experiments.search import best_of
from domain.experiments.searched import default_trials, fixed
from domain.experiments.space import Parameters, options_of
from domain.experiments.trainer_space import use_of
from domain.training.version import VersionCreated

EQUAL, DIFFERENT, NOT_COMPARABLE = "equal", "different", "not comparable"


class Check(msgspec.Struct, frozen=True):
    """A choice that was derived again. `position` is that of its event, 0 if there is none."""

    what: str
    result: str
    position: int
    detail: str = ""


def derive(store: Store, sampler: Sampler, experiment_id: str) -> Iterator[Check]:
    """Check each proposal, pruning and the best of an experiment. Raises `NotFound`."""
    stream = EXPERIMENT.stream(experiment_id)
    events = store.histories([stream], upto=store.head(), without=[])
    experiment = require(EXPERIMENT.fold(recorded.event for recorded in events))
    for recorded in events:
        if isinstance(recorded.event, TrialProposed):
            yield _proposal(store, sampler, experiment_id, recorded, recorded.event)
    yield from _prunings(store, experiment_id, experiment, events)
    for recorded in events:
        if isinstance(recorded.event, ExperimentConcluded):
            yield _best(store, experiment_id, recorded, recorded.event)


def _proposal(
    store: Store, sampler: Sampler, experiment_id: str, recorded: Recorded, event: TrialProposed
) -> Check:
    what = f"proposal of trial {event.number}"
    search = read_search(store, experiment_id, event.log_position)
    started = search.experiment.started
    expected: Parameters
    if event.sampler == DEFAULT:
        defaults = default_trials(started)
        if event.number > len(defaults):
            return Check(what, DIFFERENT, recorded.position, "it is not one of the form's defaults")
        expected = defaults[event.number - 1]
    elif dict(event.libraries) != dict(sampler.libraries):
        ours = ", ".join(f"{name} {version}" for name, version in sampler.libraries.items())
        theirs = ", ".join(f"{name} {version}" for name, version in event.libraries.items())
        return Check(what, NOT_COMPARABLE, recorded.position, f"made with {theirs}; here is {ours}")
    else:
        expected = fixed(started.space, started.trainer) | sampler.propose(
            search.experiment, search.trials, event.number, event.sampler
        )
    if expected != event.parameters:
        detail = (
            f"recorded {parameters_in_words(event.parameters)}; derived"
            f" {parameters_in_words(expected)}"
        )
        return Check(what, DIFFERENT, recorded.position, detail)
    return _options(store, recorded, event, search.experiment, what)


def _options(
    store: Store, recorded: Recorded, event: TrialProposed, experiment: Experiment, what: str
) -> Check:
    started = experiment.started
    stream = VERSION.stream(event.version_id)
    created = store.first_events([stream]).get(stream)
    options = use = None
    if started.trainer is not None:
        use = use_of(started.trainer, event.parameters)
    else:
        at_hand = frozenset(started.weights)
        options = options_of(started.kind, started.base, event.parameters, at_hand)
    if not isinstance(created, VersionCreated):
        return Check(what, DIFFERENT, recorded.position, f"version {event.version_id} not found")
    same = (created.options, created.trainer) == (options, use)
    if not same or created.log_position != started.log_position:
        detail = f"version {event.version_id} has other options or images than were proposed"
        return Check(what, DIFFERENT, recorded.position, detail)
    return Check(what, EQUAL, recorded.position)


def _prunings(
    store: Store, experiment_id: str, experiment: Experiment, events: list[Recorded]
) -> Iterator[Check]:
    end = max((each.position for each in events if _ends(each)), default=None)
    search = read_search(store, experiment_id, end)
    derived = (
        derive_prunings(search.unpruned, experiment.started.epochs)
        if experiment.started.pruning
        else []
    )
    expected = {pruning.number: pruning for pruning in derived}
    for recorded in events:
        if not isinstance(recorded.event, TrialPruned):
            continue
        event = recorded.event
        pruning = expected.pop(event.number, None)
        what = f"pruning of trial {event.number}"
        if pruning == event:
            yield Check(what, EQUAL, recorded.position)
        else:
            wanted = "none" if pruning is None else _in_words(pruning)
            detail = f"recorded {_in_words(event)}; derived {wanted}"
            yield Check(what, DIFFERENT, recorded.position, detail)
    if experiment.concluded is not None:
        for pruning in expected.values():
            detail = f"it is missing: derived {_in_words(pruning)}"
            yield Check(f"pruning of trial {pruning.number}", DIFFERENT, 0, detail)


def _ends(recorded: Recorded) -> bool:
    return isinstance(recorded.event, ExperimentConcluded)


def _in_words(pruning: TrialPruned) -> str:
    return (
        f"after epoch {pruning.epoch}, {pruning.value:g} below {pruning.cut:g}, compared with"
        f" {pruning.compared} at position {pruning.log_position}"
    )


def _best(
    store: Store, experiment_id: str, recorded: Recorded, event: ExperimentConcluded
) -> Check:
    best = best_of(read_search(store, experiment_id, event.log_position).trials)
    derived = (best.number, best.proposed.version_id, best.value) if best else (None, None, None)
    if derived == (event.best_trial, event.best, event.value):
        return Check("the best trial", EQUAL, recorded.position)
    detail = f"recorded trial {event.best_trial}, {event.value}; derived {derived[0]}, {derived[2]}"
    return Check("the best trial", DIFFERENT, recorded.position, detail)
