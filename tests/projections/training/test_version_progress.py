from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine

from domain.event import Event
from domain.training.version import (
    BatchMetricsRecorded,
    EpochMetricsRecorded,
    TrainingLengthKnown,
    TrainingStepAdvanced,
    VersionRenamed,
    VersionRetried,
    VersionStopRequested,
    VersionTrainingCancelled,
    VersionTrainingCompleted,
    VersionTrainingFailed,
)
from projections.training.version_progress import (
    VERSION_PROGRESS,
    ProgressRow,
    StepRow,
    find_progress,
    trainings_before,
)
from tests.domain.training.version_samples import CREATED, started
from tests.projections.made_log import MadeLog, at

Happened = Callable[..., ProgressRow]


@pytest.fixture
def happened(engine: Engine) -> Iterator[Happened]:
    """A version's progress after more events of it."""
    log = MadeLog()
    log.add("version-x", CREATED)

    with engine.connect() as connection:

        def tell(*events: Event) -> ProgressRow:
            log.add("version-x", *events)
            log.follow(engine, [VERSION_PROGRESS])
            row = find_progress(connection, "x")
            connection.rollback()
            assert row is not None
            return row

        yield tell


def step(name: str, status: str = "running", fraction: float = 0.0) -> TrainingStepAdvanced:
    return TrainingStepAdvanced(name, status, fraction)


def statuses(row: ProgressRow) -> list[str]:
    return [one.status for one in row.steps]


def test_a_created_version_is_queued(happened: Happened) -> None:
    row = happened()
    assert (row.status, row.progress, row.attempt, row.delivery) == ("queued", 0.0, 1, 0)
    assert [one.step for one in row.steps] == [
        "queued",
        "preparing",
        "training",
        "evaluating",
        "saving",
    ]
    assert statuses(row) == ["running", *["pending"] * 4]
    assert row.steps[0].started_at == at(1)


def test_a_started_version_is_no_longer_queued(happened: Happened) -> None:
    row = happened(started())
    assert (row.status, row.worker, row.device, row.delivery) == ("preparing", "w1", "cpu", 1)
    assert row.steps[0] == StepRow("queued", "done", at(1), at(2), 1.0)


def test_steps_move_and_tell_when(happened: Happened) -> None:
    row = happened(
        started(), step("preparing"), step("preparing", "done", 1.0), step("training", fraction=0.5)
    )
    assert row.steps[1] == StepRow("preparing", "done", at(3), at(4), 1.0)
    assert row.steps[2] == StepRow("training", "running", at(5), None, 0.5)
    assert row.status == "training"
    assert row.progress == pytest.approx(0.475)


def test_the_time_left_follows_from_what_an_iteration_took(happened: Happened) -> None:
    """The made log has a second between events: 4 iterations take 2 s."""
    length = TrainingLengthKnown(4, 10)
    assert happened(started(), length, step("training", fraction=0.2)).seconds_left is None
    row = happened(step("training", fraction=0.4), step("training", fraction=0.6))
    assert row.seconds_left == pytest.approx(2.0)
    assert happened(step("training", "done", 1.0)).seconds_left is None


def test_a_version_that_is_to_stop_has_its_epoch_left(happened: Happened) -> None:
    row = happened(
        started(),
        TrainingLengthKnown(4, 40),
        step("training"),
        step("training", fraction=0.05),
        step("training", fraction=0.15),
        VersionStopRequested(),
    )
    assert row.stop_requested
    assert row.seconds_left == pytest.approx(2 * 2 / 6)


def test_iterations_and_epochs_are_counted(happened: Happened) -> None:
    row = happened(
        TrainingLengthKnown(4, 8),
        BatchMetricsRecorded(0, (0.1,) * 4, (1.0,) * 4),
        EpochMetricsRecorded(1, 4, 0.5, 0.9, None),
        BatchMetricsRecorded(4, (0.1,), (1.0,)),
    )
    assert (row.iterations_per_epoch, row.iterations) == (4, 8)
    assert (row.iterations_done, row.epochs_done) == (5, 1)


def test_a_completed_version_is_ready(happened: Happened) -> None:
    row = happened(started(), step("saving", "done", 1.0), VersionTrainingCompleted("a", "b", 8))
    assert (row.status, row.progress, row.reason) == ("ready", 1.0, None)


def test_a_version_that_ended_by_the_wish_is_stopped(happened: Happened) -> None:
    row = happened(started(), VersionStopRequested(), VersionTrainingCompleted("a", "b", 4, "stop"))
    assert (row.status, row.progress, row.reason) == ("stopped", 1.0, None)


def test_a_cancelled_version_skips_what_is_left(happened: Happened) -> None:
    row = happened(started(), step("training", fraction=0.5), VersionTrainingCancelled())
    assert (row.status, row.reason, row.seconds_left) == ("cancelled", None, None)
    assert row.progress == pytest.approx(0.475)
    assert statuses(row) == ["done", "skipped", "skipped", "skipped", "skipped"]
    assert row.steps[2] == StepRow("training", "skipped", at(3), at(4), 0.5)


def test_a_queued_version_that_is_cancelled_waits_no_more(happened: Happened) -> None:
    row = happened(VersionTrainingCancelled())
    assert statuses(row) == ["skipped"] * 5
    assert row.steps[0].ended_at == at(2)


def test_a_failure_is_shown_in_the_step_it_happened_in(happened: Happened) -> None:
    row = happened(started(), step("training", fraction=0.5), VersionTrainingFailed("no memory"))
    assert (row.status, row.reason) == ("failed", "no memory")
    assert row.progress == pytest.approx(0.475)
    assert row.steps[2] == StepRow("training", "failed", at(3), at(4), 0.5)


def test_a_retry_begins_the_steps_anew_and_keeps_the_count(happened: Happened) -> None:
    happened(started(3), BatchMetricsRecorded(0, (0.1,), (1.0,)), step("training", fraction=0.5))
    happened(VersionStopRequested())
    row = happened(VersionTrainingFailed("no memory"), VersionRetried(2))
    assert (row.status, row.reason, row.progress) == ("queued", None, 0.0)
    assert not row.stop_requested
    assert (row.attempt, row.delivery, row.iterations_done) == (2, 0, 1)
    assert statuses(row) == ["running", *["pending"] * 4]


def test_a_redelivery_begins_the_steps_anew(happened: Happened) -> None:
    row = happened(started(), step("training", fraction=0.5), started(2))
    assert (row.status, row.progress, row.delivery) == ("preparing", 0.0, 2)
    assert statuses(row) == ["done", *["pending"] * 4]


def test_the_position_is_that_of_the_versions_last_event(happened: Happened) -> None:
    assert happened().position == 1
    assert happened(VersionRenamed("Best"), started()).position == 3


def test_an_unknown_version_has_no_progress(engine: Engine) -> None:
    with engine.connect() as connection:
        assert find_progress(connection, "nothing") is None


def test_what_is_before_a_queued_version(engine: Engine) -> None:
    """Whatever runs, and what was queued earlier: a retried version goes to the end."""
    log = MadeLog()
    for name in ("ended", "running", "retried", "first", "renamed", "last"):
        log.add(f"version-{name}", CREATED)
    log.add("version-ended", started(), VersionTrainingCancelled())
    log.add("version-running", started(), step("training"))
    log.add("version-retried", started(), VersionTrainingFailed("no luck"), VersionRetried(2))
    log.add("version-renamed", VersionRenamed("another name"))
    log.follow(engine, [VERSION_PROGRESS])
    with engine.connect() as connection:
        found = {one: trainings_before(connection, one) for one in ("first", "renamed", "last")}
        assert found == {"first": 1, "renamed": 2, "last": 3}
        assert trainings_before(connection, "retried") == 4
        assert [trainings_before(connection, one) for one in ("running", "ended")] == [None, None]
        connection.rollback()
        log.add("version-first", VersionTrainingCancelled())
        log.follow(engine, [VERSION_PROGRESS])
        assert trainings_before(connection, "last") == 2
