"""What is told to workers of users' wishes: what is wanted now, never what was wanted once."""

import pytest

from application.log.store import Store
from application.training import control, versions
from application.training.ingest import Ingest
from domain.aggregates import VERSION
from domain.training.messages import Desired, DesiredState
from domain.training.version import CancelVersion, StopVersion
from tests.application.scenes import Scene, do, trainable
from tests.application.training.reports import delivered, reports, whole_run


@pytest.fixture
def scene(store: Store) -> Scene:
    return trainable(store)


class Training:
    """A version and what happens to it."""

    def __init__(self, store: Store, version_id: str) -> None:
        self.store = store
        self.version_id = version_id

    def report(self, *, attempt: int = 1, failure: str | None = None, first: int) -> None:
        """A run up to its training step, or to its failure."""
        said = whole_run(failure=failure) if failure else whole_run()[:9]
        sent = reports(self.version_id, said, attempt=attempt)
        Ingest(self.store, "reports").take(delivered(sent, first))

    def stop(self) -> None:
        do(self.store, lambda session: session.change(VERSION, self.version_id, StopVersion()))

    def cancel(self) -> None:
        do(self.store, lambda session: session.change(VERSION, self.version_id, CancelVersion()))

    def retry(self) -> None:
        do(self.store, lambda session: versions.retry_version(session, self.version_id))

    def told(self) -> list[DesiredState]:
        """What workers are told as all of the log is gone through."""
        wishes: list[DesiredState] = []
        for recorded in self.store.read_all(names=control.REACTS_TO):
            control.react(self.store, lambda _, wish: wishes.append(wish), recorded)
        return wishes


@pytest.fixture
def training(scene: Scene) -> Training:
    return Training(scene.store, scene.train())


def test_a_cancelled_version_is_to_be_cancelled(training: Training) -> None:
    training.cancel()
    assert training.told() == [DesiredState(1, Desired.CANCEL)]


def test_a_version_to_stop_is_to_stop_until_it_has_ended(training: Training) -> None:
    training.report(first=1)
    training.stop()
    assert training.told() == [DesiredState(1, Desired.STOP)]
    training.report(failure="no memory", first=100)
    assert training.told() == []


def test_a_retried_version_is_not_to_stop(training: Training) -> None:
    training.report(first=1)
    training.stop()
    training.report(failure="no memory", first=100)
    training.retry()
    assert training.told() == []


def test_the_wish_of_an_attempt_is_that_of_the_attempt(training: Training) -> None:
    training.report(first=1)
    training.stop()
    training.report(failure="no memory", first=100)
    training.retry()
    training.report(attempt=2, first=200)
    training.stop()
    assert training.told() == [DesiredState(2, Desired.STOP)] * 2
    training.cancel()
    assert training.told() == [DesiredState(2, Desired.CANCEL)] * 3
