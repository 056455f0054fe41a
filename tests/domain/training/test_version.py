"""What users and policies decide about a version; a worker's reports have a page of their own."""

import msgspec
import pytest

from domain.errors import Conflict, Invalid, NotFound, Refusal
from domain.event import Event
from domain.training import version as versions
from domain.training.manifest import ManifestCounts
from domain.training.messages import SplitFigures
from domain.training.version import (
    STEPS,
    ArchiveVersion,
    BatchMetricsRecorded,
    BestCheckpointSaved,
    CancelVersion,
    DatasetFrozen,
    DiscardEpochItems,
    EpochItemsDiscarded,
    EpochItemsRecorded,
    FreezeDataset,
    RenameVersion,
    RetryVersion,
    SetThresholds,
    StopVersion,
    ThresholdSet,
    TrainingStepAdvanced,
    VersionArchived,
    VersionEvaluated,
    VersionRenamed,
    VersionRetried,
    VersionStopRequested,
    VersionTrainingCancelled,
    VersionTrainingCompleted,
    VersionTrainingFailed,
    progress_of,
)
from tests.domain.story import Story
from tests.domain.training.version_samples import CONCEPTS, COUNTS, CREATE, CREATED, started

FAILED, COMPLETED = VersionTrainingFailed("no memory"), VersionTrainingCompleted("b", "w", 9)
STOP, CANCELLED = VersionStopRequested(), VersionTrainingCancelled()
STOPPED = VersionTrainingCompleted("b", "w", 9, "stop")
TRAINING = TrainingStepAdvanced("training", "running", 0.1)
EVALUATING = TrainingStepAdvanced("evaluating", "running", 0.1)
EVALUATED = VersionEvaluated("sha", SplitFigures(images=2), None, "parquet")
FROZEN = DatasetFrozen("sha", 8, 2, {"c1": 4, "c2": 4}, "validates")


given = Story(versions.evolve, versions.decide).given


def test_a_version_is_named_by_its_number_unless_it_is_given_a_name() -> None:
    given().when(CREATE).then(CREATED)
    named = msgspec.structs.replace(CREATED, name="Night shift")
    given().when(msgspec.structs.replace(CREATE, name=" Night shift ")).then(named)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"concepts": ()}, Conflict, "no concepts"),
        ({"concepts": CONCEPTS[:1]}, Conflict, "one concept, 'cat'"),
        ({"counts": ManifestCounts(0, 0, {})}, Conflict, "no image is annotated"),
        ({"counts": ManifestCounts(0, 3, {})}, Conflict, "left to train on"),
        ({"counts": ManifestCounts(8, 2, {"c1": 8})}, Conflict, "the same concept"),
        (
            {"counts": ManifestCounts(8, 0, {"c1": 4, "c2": 4})},
            Conflict,
            "no annotated validation images",
        ),
        ({"kind": "tagging", "concepts": ()}, Conflict, "at least one"),
        ({"kind": "tagging", "counts": ManifestCounts(8, 2, {})}, Conflict, "holds a concept"),
        ({"kind": "detection", "counts": ManifestCounts(0, 0, {})}, Conflict, "has a box"),
        (
            {"kind": "detection", "counts": ManifestCounts(0, 3, {})},
            Conflict,
            "no training image has a box",
        ),
    ],
)
def test_a_training_that_cannot_work_is_refused(
    change: dict[str, object], error: type[Refusal], says: str
) -> None:
    given().when(msgspec.structs.replace(CREATE, **change)).then(error, says=says)


@pytest.mark.parametrize("kind", ["tagging", "detection"])
def test_one_concept_is_enough_for(kind: str) -> None:
    command = msgspec.structs.replace(
        CREATE, kind=kind, concepts=CONCEPTS[:1], counts=ManifestCounts(8, 2, {"c1": 8})
    )
    created = msgspec.structs.replace(
        CREATED, kind=kind, concepts=CONCEPTS[:1], negative_validation=kind == "detection"
    )
    given().when(command).then(created)


def test_a_nameless_version_is_refused() -> None:
    given().when(msgspec.structs.replace(CREATE, name=" ")).then(Invalid, field="name")


def test_a_dataset_is_frozen_once() -> None:
    given(CREATED).when(FreezeDataset("sha", COUNTS)).then(FROZEN)
    given(CREATED, FROZEN).when(FreezeDataset("sha", COUNTS)).then()


def test_a_failed_version_is_retried_under_the_next_attempt() -> None:
    given(CREATED, FAILED).when(RetryVersion()).then(VersionRetried(2))
    given(CREATED, FAILED, VersionRetried(2), FAILED).when(RetryVersion()).then(VersionRetried(3))


@pytest.mark.parametrize(
    ("history", "says"),
    [
        ((), "queued"),
        ((started(),), "preparing"),
        ((started(), TRAINING), "training"),
        ((started(), EVALUATING), "evaluating"),
        ((COMPLETED,), "ready"),
        ((started(), TRAINING, STOP, STOPPED), "stopped"),
        ((CANCELLED,), "cancelled"),
        ((FAILED, VersionRetried(2)), "queued"),
    ],
)
def test_only_a_failed_version_is_retried(history: tuple[Event, ...], says: str) -> None:
    given(CREATED, *history).when(RetryVersion()).then(Conflict, says=says)


def test_a_retry_keeps_what_was_recorded_and_begins_the_steps_anew() -> None:
    batch = BatchMetricsRecorded(0, (0.1, 0.1), (1.0, 0.9))
    step = TrainingStepAdvanced("training", "running", 0.5)
    state = given(CREATED, started(2), step, batch, FAILED, VersionRetried(2)).state
    assert state is not None
    assert (state.attempt, state.delivery, state.status) == (2, 0, "queued")
    assert (state.steps, state.iterations_recorded) == ({}, 2)


def test_a_version_is_renamed() -> None:
    given(CREATED).when(RenameVersion(" Best ")).then(VersionRenamed("Best"))
    given(CREATED, VersionRenamed("Best")).when(RenameVersion("Best")).then()
    given(CREATED).when(RenameVersion("")).then(Invalid, field="name")


@pytest.mark.parametrize(
    "history",
    [
        (),
        (FROZEN,),
        (started(),),
        (started(), TRAINING),
        (started(), TRAINING, STOP),
        (started(), EVALUATING),
        (FAILED, VersionRetried(2)),
    ],
)
def test_a_version_that_has_not_ended_is_cancelled_once(history: tuple[Event, ...]) -> None:
    asked = given(CREATED, *history)
    asked.when(CancelVersion()).then(CANCELLED)
    cancelled = given(CREATED, *history, CANCELLED)
    assert cancelled.state is not None
    assert cancelled.state.status == "cancelled"
    cancelled.when(CancelVersion()).then()


@pytest.mark.parametrize(
    ("end", "says"), [(COMPLETED, "ready"), (STOPPED, "stopped"), (FAILED, "failed")]
)
def test_an_ended_version_is_not_cancelled(end: Event, says: str) -> None:
    given(CREATED, started(), end).when(CancelVersion()).then(Conflict, says=says)


def test_a_cancelled_version_has_no_weights() -> None:
    best = BestCheckpointSaved("sha", 9, "accuracy", 0.9, 1)
    state = given(CREATED, started(), best, CANCELLED).state
    assert state is not None
    assert (state.best, state.evaluated) == (None, None)


def test_a_cancelled_version_is_not_frozen_any_more() -> None:
    given(CREATED, CANCELLED).when(FreezeDataset("sha", COUNTS)).then()


@pytest.mark.parametrize("history", [(started(),), (started(), TRAINING)])
def test_a_version_that_is_prepared_or_trained_is_stopped_once(history: tuple[Event, ...]) -> None:
    given(CREATED, *history).when(StopVersion()).then(STOP)
    given(CREATED, *history, STOP).when(StopVersion()).then()
    given(CREATED, *history, STOP, EVALUATING).when(StopVersion()).then()


@pytest.mark.parametrize(
    ("history", "says"),
    [
        ((), "cancel it"),
        ((started(), EVALUATING), "almost done"),
        ((started(), COMPLETED), "ready"),
        ((started(), TRAINING, STOP, STOPPED), "stopped"),
        ((started(), FAILED), "failed"),
        ((CANCELLED,), "cancelled"),
        ((started(), TRAINING, STOP, FAILED, VersionRetried(2)), "queued"),
    ],
)
def test_what_does_not_train_is_not_stopped(history: tuple[Event, ...], says: str) -> None:
    given(CREATED, *history).when(StopVersion()).then(Conflict, says=says)


def test_what_ended_the_training_says_whether_it_was_stopped() -> None:
    """It may have come to its full length before it heard of the wish."""
    for end, status in ((STOPPED, "stopped"), (COMPLETED, "ready")):
        state = given(CREATED, started(), TRAINING, STOP, end).state
        assert state is not None
        assert state.status == status


def test_a_retry_runs_on_until_it_is_asked_to_stop_anew() -> None:
    retried = given(CREATED, started(), TRAINING, STOP, FAILED, VersionRetried(2))
    assert retried.state is not None
    assert not retried.state.stop_requested
    again = given(CREATED, started(), STOP, FAILED, VersionRetried(2), started(attempt=2))
    again.when(StopVersion()).then(STOP)


@pytest.mark.parametrize("end", [COMPLETED, STOPPED, FAILED, CANCELLED])
def test_an_ended_version_is_archived_once(end: Event) -> None:
    given(CREATED, end).when(ArchiveVersion()).then(VersionArchived())
    given(CREATED, end, VersionArchived()).when(ArchiveVersion()).then()


def test_a_version_in_training_is_not_archived() -> None:
    given(CREATED, started()).when(ArchiveVersion()).then(Conflict, says="preparing")


def test_thresholds_of_an_evaluated_version_are_set() -> None:
    history = (CREATED, EVALUATED, COMPLETED)
    asked = SetThresholds({"c1": 0.25, "c2": 1.0})
    given(*history).when(asked).then(ThresholdSet("c1", 0.25), ThresholdSet("c2", 1.0))


def test_a_threshold_that_is_in_force_is_not_set_again() -> None:
    history = (CREATED, EVALUATED, COMPLETED, ThresholdSet("c1", 0.25))
    given(*history).when(SetThresholds({"c1": 0.25, "c2": 0.0})).then()
    given(*history).when(SetThresholds({"c1": 0.0})).then(ThresholdSet("c1", 0.0))
    given(*history).when(SetThresholds({})).then()


def test_the_threshold_of_a_tagging_is_a_half_unless_set() -> None:
    tagging = msgspec.structs.replace(CREATED, kind="tagging")
    given(tagging, EVALUATED).when(SetThresholds({"c1": 0.5})).then()
    given(tagging, EVALUATED).when(SetThresholds({"c1": 0.0})).then(ThresholdSet("c1", 0.0))


@pytest.mark.parametrize("threshold", [-0.1, 1.01, float("nan"), float("inf")])
def test_a_threshold_is_a_score(threshold: float) -> None:
    asked = SetThresholds({"c1": 0.5, "c2": threshold})
    given(CREATED, EVALUATED).when(asked).then(Invalid, field="c2")


def test_a_threshold_belongs_to_a_concept_of_the_version() -> None:
    given(CREATED, EVALUATED).when(SetThresholds({"c9": 0.5})).then(Invalid, field="c9")


def test_a_version_that_is_not_evaluated_has_no_thresholds() -> None:
    given(CREATED).when(SetThresholds({"c1": 0.5})).then(Conflict, says="not been evaluated")


@pytest.mark.parametrize(
    "command",
    [
        FreezeDataset("sha", COUNTS),
        RetryVersion(),
        StopVersion(),
        CancelVersion(),
        RenameVersion("Best"),
        ArchiveVersion(),
        SetThresholds({}),
    ],
)
def test_a_version_that_is_not_there_takes_no_command(command: object) -> None:
    given().when(command).then(NotFound)


def test_events_before_the_first_leave_no_version() -> None:
    assert given(FAILED).state is None


def test_progress_grows_from_step_to_step_and_ends_at_one() -> None:
    steps = [
        progress_of(TrainingStepAdvanced(step, "done", part)) for step in STEPS for part in (0, 1)
    ]
    assert steps == sorted(steps)
    assert steps[0] == 0
    assert steps[-1] == pytest.approx(1)


def test_items_of_an_ended_version_are_given_up_once() -> None:
    items, given_up = EpochItemsRecorded(1, 7, "sha", 9, 9, 0.5), EpochItemsDiscarded(10)
    given(CREATED, started(), items).when(DiscardEpochItems(10)).then(Conflict, says="wait")
    given(CREATED, started(), items, COMPLETED).when(DiscardEpochItems(10)).then(given_up)
    given(CREATED, started(), items, COMPLETED, given_up).when(DiscardEpochItems(10)).then()
    given(CREATED, started(), COMPLETED).when(DiscardEpochItems(10)).then()
