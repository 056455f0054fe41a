"""How many trainings of one account may wait or run at once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import msgspec
import pytest

from adapters.experiments.sampler import OptunaSampler
from application.experiments.experiments import Plan, start_experiment, stop_experiment
from application.experiments.policy import Reactions
from application.handle import Request
from application.log.store import Store
from application.training.ingest import Ingest
from application.training.limit import TrainingLimit
from application.training.versions import retry_version, train_view
from domain.aggregates import VERSION
from domain.errors import TooMany
from domain.experiments.space import SearchSpace
from domain.training.messages import Failed
from domain.training.version import CancelVersion
from tests.application.experiments.simulation import Policy, Trainer, run_to_the_end
from tests.application.scenes import at_once, do, request, trainable
from tests.application.training.reports import delivered, reports


class Alone:
    """What one process has to let one at a time decide; here for one account only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, _: str) -> Iterator[None]:
        with self._lock:
            yield


def by(actor: str) -> Request:
    return msgspec.structs.replace(request(), actor=actor)


@pytest.fixture
def limit(store: Store) -> TrainingLimit:
    return TrainingLimit(store, 2, Alone())


@pytest.fixture
def train(store: Store, limit: TrainingLimit) -> Callable[[Request], str]:
    scene = trainable(store)
    return lambda asked: limit.handle(asked, lambda s: train_view(s, scene.view, None, {})).id


def test_a_training_that_has_ended_makes_room(
    store: Store, train: Callable[[Request], str]
) -> None:
    first = train(request())
    train(request())
    with pytest.raises(TooMany, match="2 of your trainings are queued or running"):
        train(request())
    do(store, lambda session: session.change(VERSION, first, CancelVersion()))
    train(request())


def test_a_repeated_command_is_not_refused(train: Callable[[Request], str]) -> None:
    asked = request()
    first = train(asked)
    train(request())
    assert train(asked) == first


def test_another_account_is_counted_on_its_own(train: Callable[[Request], str]) -> None:
    train(by("ada"))
    train(by("ada"))
    train(by("bob"))
    with pytest.raises(TooMany):
        train(by("ada"))


def test_a_failed_training_counts_again_once_it_is_retried(
    store: Store, limit: TrainingLimit, train: Callable[[Request], str]
) -> None:
    failed = train(request())
    Ingest(store, "REPORTS").take(delivered(reports(failed, [Failed("no memory")])))
    train(request())
    limit.handle(request(), lambda session: retry_version(session, failed))
    with pytest.raises(TooMany):
        train(request())


def test_an_experiment_counts_as_the_trials_that_it_may_have_at_once(
    store: Store, limit: TrainingLimit
) -> None:
    scene = trainable(store)
    space = SearchSpace(architectures=("resnet18",))

    def start(concurrency: int) -> str:
        plan = Plan(budget=9, concurrency=concurrency, space=space)
        return limit.handle(
            request(), lambda s: start_experiment(s, scene.view, plan), more=concurrency
        ).id

    with pytest.raises(TooMany, match="3 more were requested"):
        start(3)
    experiment_id = start(2)
    with pytest.raises(TooMany):
        limit.handle(request(), lambda s: train_view(s, scene.view, None, {}))
    do(store, lambda s: stop_experiment(s, experiment_id))
    policy = Policy(Reactions(store, OptunaSampler()))
    assert run_to_the_end(store, policy, Trainer(store), experiment_id).concluded
    assert start(2)


def test_of_many_at_once_no_more_begin_than_may(store: Store, limit: TrainingLimit) -> None:
    # Of one view they would be decided one after the other anyway: its model counts them.
    views, ready = [trainable(store).view for _ in range(4)], threading.Barrier(4)

    def attempt(view: str) -> bool:
        ready.wait(10)
        try:
            limit.handle(request(), lambda session: train_view(session, view, None, {}))
        except TooMany:
            return False
        return True

    begun = at_once([partial(attempt, view) for view in views])
    assert sorted(begun) == [False, False, True, True]
