"""Experiments on simulated trainings: they end, and every choice can be derived again."""

import random
from typing import Any

import pytest

from adapters.experiments.sampler import OptunaSampler
from application.experiments.derivation import EQUAL, NOT_COMPARABLE, derive
from application.experiments.experiments import Plan, start_experiment, stop_experiment
from application.experiments.policy import Reactions
from application.handle import Session
from application.log.store import Store
from application.training.trainers import TrainerChoice, register_trainer
from application.views import change_concepts
from domain.aggregates import MODEL, TRAINER, VERSION
from domain.errors import Conflict, Invalid, NotFound, Refusal
from domain.experiments.experiment import Experiment
from domain.experiments.space import SearchSpace
from domain.library.model import ArchiveModel
from domain.library.view import RemoveConcept
from domain.trainers.form import Choice, Number
from domain.trainers.trainer import OPAQUE, RegisterTrainer, RetireTrainer, trainer_id
from domain.training.messages import SplitFigures
from domain.training.results import VersionResultMeasured
from domain.training.version import (
    CANCELLED,
    StopVersion,
    VersionCreated,
    VersionTrainingFailed,
)
from tests.application.experiments.simulation import (
    Policy,
    Trainer,
    experiment_at,
    run_to_the_end,
)
from tests.application.scenes import Scene, at_once, do, recorded, request, trainable

SPACE = SearchSpace(
    architectures=("resnet18", "mobilenet_v3_small"),
    optimizers=("momentum", "nadam"),
    balancing=(False, True),
)
BASE: dict[str, Any] = {"epochs": 9.0, "width": 32, "height": 32}


@pytest.fixture
def scene(store: Store) -> Scene:
    return trainable(store)


@pytest.fixture
def reactions(store: Store) -> Reactions:
    return Reactions(store, OptunaSampler())


def plan(**others: Any) -> Plan:
    given: dict[str, Any] = {"budget": 14, "concurrency": 3, "base": BASE, "space": SPACE}
    return Plan(**(given | others))


def started(scene: Scene, **others: Any) -> str:
    return do(scene.store, lambda s: start_experiment(s, scene.view, plan(**others))).id


def choices(experiment: Experiment) -> list[Any]:
    """Everything that was chosen, without ids and positions."""
    concluded = experiment.concluded
    assert concluded is not None
    pruned = [(p.number, p.epoch, p.value, p.cut) for p in experiment.pruned.values()]
    trials = [(t.number, t.sampler, t.parameters) for t in experiment.trials]
    return [*trials, *pruned, concluded.best_trial, concluded.value]


def test_an_experiment_finds_the_best_and_every_choice_is_derived_again(
    scene: Scene, reactions: Reactions
) -> None:
    experiment_id = started(scene, budget=24)
    experiment = run_to_the_end(scene.store, Policy(reactions), Trainer(scene.store), experiment_id)
    concluded = experiment.concluded
    assert concluded is not None
    assert [trial.number for trial in experiment.trials] == list(range(1, 25))
    samplers = [trial.sampler for trial in experiment.trials]
    assert samplers == ["default"] * 2 + ["random"] * 4 + ["tpe"] * 18
    assert concluded.ended_by == "budget"
    assert concluded.completed + concluded.pruned == 24
    assert concluded.pruned == len(experiment.pruned) > 0
    assert concluded.epochs_trained < concluded.epochs_planned == 24 * 9
    assert concluded.importances
    checks = list(derive(scene.store, reactions.sampler, experiment_id))
    assert {check.result for check in checks} == {EQUAL}
    assert len(checks) == 24 + concluded.pruned + 1


def test_the_trials_are_versions_of_one_dataset(scene: Scene, reactions: Reactions) -> None:
    experiment = run_to_the_end(
        scene.store, Policy(reactions), Trainer(scene.store), started(scene, budget=4)
    )
    session = Session(scene.store, request())
    versions = session.get_many(VERSION, [trial.version_id for trial in experiment.trials])
    created = [version.created for version in versions.values() if version is not None]
    assert {each.log_position for each in created} == {experiment.started.log_position}
    assert [each.trial for each in created] == [1, 2, 3, 4]
    assert [each.number for each in created] == [1, 2, 3, 4]
    assert {each.built_in("x").epochs for each in created} == {9.0}


def test_one_after_the_other_the_same_is_chosen_whatever_happens_to_the_policy(
    scene: Scene, reactions: Reactions
) -> None:
    """It is killed at random, begins anew at the first event, sleeps for epochs, or is two."""
    smooth = run_to_the_end(
        scene.store, Policy(reactions), Trainer(scene.store), started(scene, concurrency=1)
    )
    chance = random.Random(3)
    experiment_id = started(scene, concurrency=1)
    trainer, policy = Trainer(scene.store), Policy(reactions)
    policy.follow()
    while (experiment := experiment_at(scene.store, experiment_id)).concluded is None:
        trainer.step(experiment.trials[-1].version_id)
        for trial in experiment.trials:
            if chance.random() < 0.3:
                trainer.step(trial.version_id)
        match chance.randrange(4):
            case 0:
                policy = Policy(reactions)
            case 1:
                at_once([Policy(reactions).follow, policy.follow])
            case 2:
                policy.follow()
    assert choices(experiment) == choices(smooth)
    assert {check.result for check in derive(scene.store, reactions.sampler, experiment_id)} == {
        EQUAL
    }


def test_no_more_trials_are_open_than_may_be(scene: Scene, reactions: Reactions) -> None:
    experiment_id = started(scene, concurrency=5)
    Policy(reactions).follow()
    assert len(experiment_at(scene.store, experiment_id).trials) == 5


def test_a_failed_trial_is_tried_twice_and_counts_as_failed(
    scene: Scene, reactions: Reactions
) -> None:
    once, twice = VersionTrainingFailed("the disk is full"), VersionTrainingFailed("it still is")
    trainer = Trainer(scene.store, {(1, 1): once, (2, 1): once, (2, 2): twice})
    experiment = run_to_the_end(scene.store, Policy(reactions), trainer, started(scene, budget=8))
    concluded = experiment.concluded
    assert concluded is not None
    assert concluded.failed == 1
    assert concluded.completed + concluded.pruned == 7


def test_a_loss_that_is_no_number_counts_as_pruned_and_is_not_tried_again(
    scene: Scene, reactions: Reactions
) -> None:
    diverged = VersionTrainingFailed("the loss is no longer a finite number", non_finite=True)
    experiment = run_to_the_end(
        scene.store,
        Policy(reactions),
        Trainer(scene.store, {(3, 1): diverged}),
        started(scene, budget=5, pruning=False),
    )
    concluded = experiment.concluded
    assert concluded is not None
    assert (concluded.completed, concluded.pruned, concluded.failed) == (4, 1, 0)


def test_a_trial_that_its_user_stopped_before_its_first_epoch_counts_as_failed(
    scene: Scene, reactions: Reactions
) -> None:
    experiment_id = started(scene, budget=3, concurrency=1)
    policy, trainer = Policy(reactions), Trainer(scene.store)
    policy.follow()
    (first,) = experiment_at(scene.store, experiment_id).trials
    trainer.step(first.version_id)
    do(scene.store, lambda s: s.decide(VERSION, first.version_id, StopVersion()))
    experiment = run_to_the_end(scene.store, policy, trainer, experiment_id)
    concluded = experiment.concluded
    assert concluded is not None
    assert (concluded.completed, concluded.failed) == (2, 1)


def test_when_the_first_four_fail_for_one_reason_it_stops_and_says_it(
    scene: Scene, reactions: Reactions
) -> None:
    failed = VersionTrainingFailed("the disk is full")
    every = {(number, attempt): failed for number in range(1, 99) for attempt in (1, 2)}
    experiment = run_to_the_end(
        scene.store, Policy(reactions), Trainer(scene.store, every), started(scene)
    )
    concluded = experiment.concluded
    assert concluded is not None
    assert (concluded.ended_by, concluded.reason) == ("failures", "the disk is full")
    assert concluded.best is None
    assert len(experiment.trials) < 14


def test_a_stopped_experiment_ends_its_trials_and_names_the_best_so_far(
    scene: Scene, reactions: Reactions
) -> None:
    experiment_id = started(scene, budget=50, pruning=False)
    policy, trainer = Policy(reactions), Trainer(scene.store)
    for _ in range(30):
        policy.follow()
        for trial in experiment_at(scene.store, experiment_id).trials[:-1]:
            trainer.step(trial.version_id)
    do(scene.store, lambda s: stop_experiment(s, experiment_id))
    policy.follow()
    queued = experiment_at(scene.store, experiment_id).trials[-1].version_id
    version = Session(scene.store, request()).get(VERSION, queued)
    assert version is not None
    assert version.status == CANCELLED
    experiment = run_to_the_end(scene.store, policy, trainer, experiment_id)
    concluded = experiment.concluded
    assert concluded is not None
    assert concluded.ended_by == "stopped"
    assert concluded.best is not None
    with pytest.raises(Conflict, match="has ended"):
        do(scene.store, lambda s: stop_experiment(s, experiment_id))


def test_what_becomes_of_the_view_meanwhile_changes_nothing(
    scene: Scene, reactions: Reactions
) -> None:
    experiment_id = started(scene, concurrency=1)
    policy, trainer = Policy(reactions), Trainer(scene.store)
    policy.follow()
    do(scene.store, lambda s: s.change(MODEL, scene.model(), ArchiveModel()))
    do(scene.store, lambda s: change_concepts(s, scene.view, RemoveConcept(scene.concepts[0])))
    experiment = run_to_the_end(scene.store, policy, trainer, experiment_id)
    assert len(experiment.trials) == 14


def test_with_other_libraries_proposals_cannot_be_compared_and_prunings_can(
    scene: Scene, reactions: Reactions
) -> None:
    experiment_id = started(scene)
    run_to_the_end(scene.store, Policy(reactions), Trainer(scene.store), experiment_id)
    other = OptunaSampler()
    other.libraries = {"optuna": "99.0"}
    checks = list(derive(scene.store, other, experiment_id))
    by_result = {
        result: [c.what for c in checks if c.result == result] for result in (EQUAL, NOT_COMPARABLE)
    }
    assert len(by_result[NOT_COMPARABLE]) == 12
    assert sum(what.startswith("pruning") for what in by_result[EQUAL]) > 0
    assert len(by_result[EQUAL]) + len(by_result[NOT_COMPARABLE]) == len(checks)


@pytest.mark.parametrize(
    ("others", "field"),
    [
        ({"budget": 0}, "budget"),
        ({"budget": 501}, "budget"),
        ({"concurrency": 0}, "concurrency"),
        ({"seed": -1}, "seed"),
        ({"name": "\n"}, "name"),
        ({"base": {"epochs": 0}}, "epochs"),
        ({"base": {"iterations": 100}}, "options.iterations"),
        ({"base": {"initial_learning_rate": 0.1}}, "options.initial_learning_rate"),
        ({"space": SearchSpace(architectures=())}, "space.architectures"),
    ],
)
def test_bad_input_is_refused_before_any_trial(
    scene: Scene, others: dict[str, Any], field: str
) -> None:
    head = scene.store.head()
    with pytest.raises(Invalid) as refused:
        started(scene, **others)
    assert refused.value.field == field
    assert scene.store.head() == head


def test_a_view_that_cannot_be_trained_is_refused(store: Store) -> None:
    scene = Scene(store, images=3)
    with pytest.raises(Conflict, match="draw a validation set"):
        started(scene)


def register(scene: Scene) -> None:
    command = RegisterTrainer(
        "acme/logreg",
        ("classification",),
        (
            Number("epochs", 8, whole=True, least=1),
            Number("penalty", 0.1, least=0.0001, most=1),
            Choice("solver", "lbfgs", ("lbfgs", "saga")),
        ),
        OPAQUE,
    )
    do(scene.store, lambda s: register_trainer(s, command))


def of_trainer(**others: Any) -> dict[str, Any]:
    settings = others.pop("settings", {"epochs": 9})
    choice = TrainerChoice("acme/logreg", settings)
    return {"base": {}, "space": None, "trainer": choice, **others}


def test_the_settings_of_a_trainer_are_searched_and_derived_again(
    scene: Scene, reactions: Reactions
) -> None:
    register(scene)
    experiment_id = started(scene, budget=24, **of_trainer())
    experiment = run_to_the_end(scene.store, Policy(reactions), Trainer(scene.store), experiment_id)
    concluded = experiment.concluded
    assert concluded is not None
    assert experiment.trials[0].parameters == {"penalty": 0.1, "solver": "lbfgs"}
    assert [t.sampler for t in experiment.trials] == ["default"] + ["random"] * 4 + ["tpe"] * 19
    assert concluded.pruned == len(experiment.pruned) > 0
    assert concluded.importances.keys() == {"penalty", "solver"}
    best = experiment.trials[(concluded.best_trial or 0) - 1]
    assert best.parameters["solver"] == "saga"
    for trial in experiment.trials:
        stream = VERSION.stream(trial.version_id)
        created = scene.store.first_events([stream])[stream]
        assert isinstance(created, VersionCreated)
        assert created.options is None
        assert created.trainer is not None
        assert created.trainer.settings == {"epochs": 9, **trial.parameters}
    checks = list(derive(scene.store, OptunaSampler(), experiment_id))
    assert {check.result for check in checks} == {EQUAL}
    assert len(checks) == 24 + concluded.pruned + 1


def test_a_result_of_a_trainer_counts_as_the_server_measures_it(
    scene: Scene, reactions: Reactions
) -> None:
    register(scene)
    experiment_id = started(scene, budget=2, concurrency=2, **of_trainer(settings={"epochs": 1}))
    policy, trainer = Policy(reactions), Trainer(scene.store)
    policy.follow()
    first, second = (t.version_id for t in experiment_at(scene.store, experiment_id).trials)
    for version_id, measured in ((first, 0.5), (second, 0.75)):
        trainer.step(version_id)
        trainer.step(version_id)
        stream = VERSION.stream(version_id)
        revision = len(scene.store.streams([stream])[stream]) + 1
        figures = SplitFigures(images=4, loss=0.1, accuracy=measured)
        event = VersionResultMeasured(1, "sha", "sha", figures, figures, ())
        scene.store.append([recorded(stream, revision, event)])
        trainer.step(version_id)
    policy.follow()
    concluded = experiment_at(scene.store, experiment_id).concluded
    assert concluded is not None
    assert (concluded.best, concluded.value) == (second, 0.75)


@pytest.mark.parametrize(
    ("others", "refusal", "field"),
    [
        ({"base": {"epochs": 3}}, Invalid, "options"),
        ({"space": SPACE}, Invalid, "space"),
        ({"varied": {"depth": (1, 2)}}, Invalid, "varied.depth"),
        ({"settings": {"depth": 2}}, Invalid, "depth"),
        ({"trainer": None, "base": BASE, "varied": {"penalty": (0.1, 1)}}, Invalid, "varied"),
        ({"trainer": TrainerChoice("acme/nobody", {})}, NotFound, "trainer"),
    ],
)
def test_what_no_trainer_could_search_is_refused(
    scene: Scene, others: dict[str, Any], refusal: type[Refusal], field: str | None
) -> None:
    register(scene)
    with pytest.raises(refusal) as refused:
        started(scene, **of_trainer(**others))
    assert refused.value.field == field


def test_an_experiment_goes_on_after_its_trainer_is_retired(
    scene: Scene, reactions: Reactions
) -> None:
    register(scene)
    experiment_id = started(scene, budget=3, concurrency=1, **of_trainer())
    policy = Policy(reactions)
    policy.follow()
    do(scene.store, lambda s: s.change(TRAINER, trainer_id("acme/logreg"), RetireTrainer()))
    experiment = run_to_the_end(scene.store, policy, Trainer(scene.store), experiment_id)
    assert len(experiment.trials) == 3
    with pytest.raises(Conflict, match="is retired"):
        started(scene, **of_trainer())
