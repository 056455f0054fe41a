from collections.abc import Callable, Iterator

import msgspec
import pytest
from sqlalchemy import Engine

from domain.event import Event
from domain.training.version import (
    BatchMetricsRecorded,
    DatasetFrozen,
    TrainingLengthKnown,
    VersionTrainingCompleted,
    VersionTrainingFailed,
)
from projections.training.models_library import MODELS_LIBRARY
from projections.training.timings import PROJECT, VIEW, Timing, find_timing
from projections.training.version_progress import VERSION_PROGRESS
from tests.domain.training.version_samples import CREATED, started
from tests.projections.made_log import MadeLog

READY = VersionTrainingCompleted("checkpoint", "weights", 4, "length")
STOPPED = VersionTrainingCompleted("checkpoint", "weights", 4, "stop")
FAILED = VersionTrainingFailed("the disk is full")
Trained = Callable[..., Timing | None]


@pytest.fixture
def trained(engine: Engine) -> Iterator[Trained]:
    """The timing of view v of project p after one more training, of 8 images and 2 epochs."""
    log = MadeLog()
    frozen = DatasetFrozen("manifest", 8, 2, {"c1": 4, "c2": 4}, "validates", 17)
    batches = BatchMetricsRecorded(0, (0.1,) * 4, (0.5,) * 4)

    with engine.connect() as connection:

        def train(
            name: str, *, view: str = "v", end: Event = READY, delivery: int = 1, events: int = 0
        ) -> Timing | None:
            """`events` make it last so many seconds longer."""
            created = msgspec.structs.replace(CREATED, view_id=view)
            length = [TrainingLengthKnown(2, 4)] * (events + 1)
            log.add(f"version-{name}", created, frozen, started(delivery), *length, batches, end)
            log.follow(engine, [MODELS_LIBRARY, VERSION_PROGRESS])
            found = find_timing(connection, "p", "v")
            connection.rollback()
            return found

        yield train


def test_a_view_has_the_median_of_its_own_trainings(trained: Trained) -> None:
    # A second passes between two events: three from the start to the end, for 16 images.
    assert trained("a") == Timing(3 / 16, 1, VIEW, 2.0)
    assert trained("b", events=1) == Timing(3.5 / 16, 2, VIEW, 2.0)
    assert trained("c", events=16) == Timing(4 / 16, 3, VIEW, 2.0)


def test_without_its_own_it_has_those_of_the_project(trained: Trained) -> None:
    assert trained("a", view="other", events=2) == Timing(5 / 16, 1, PROJECT, 2.0)
    assert trained("b") == Timing(3 / 16, 1, VIEW, 2.0)


def test_what_failed_was_stopped_or_taken_up_again_is_not_timed(trained: Trained) -> None:
    assert trained("a", end=FAILED) is None
    assert trained("c", end=STOPPED) is None
    assert trained("b", delivery=2) is None
