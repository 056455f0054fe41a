"""What users and policies decide about a version; a worker's reports have a page of their own."""

import msgspec
import pytest

from domain import version as versions
from domain.errors import Conflict, Invalid, NotFound, Refusal
from domain.event import Event
from domain.manifest import ManifestCounts
from domain.version import (
    STEPS,
    ArchiveVersion,
    BatchMetricsRecorded,
    CreateVersion,
    DatasetFrozen,
    FreezeDataset,
    RenameVersion,
    RetryVersion,
    TrainingStepAdvanced,
    Version,
    VersionArchived,
    VersionRenamed,
    VersionRetried,
    VersionTrainingCompleted,
    VersionTrainingFailed,
    progress_of,
)
from tests.domain.story import Story
from tests.domain.version_samples import CONCEPTS, COUNTS, CREATE, CREATED, started

FAILED, COMPLETED = VersionTrainingFailed("no memory"), VersionTrainingCompleted("b", "w", 9)
FROZEN = DatasetFrozen("sha", 8, 2, {"c1": 4, "c2": 4}, "validates")


def decide(command: object, version: Version | None) -> list[Event]:
    match command:
        case CreateVersion():
            return versions.create(command)
        case FreezeDataset():
            return versions.freeze(command, version)
        case RetryVersion() | RenameVersion() | ArchiveVersion():
            return versions.decide(command, version)
    raise AssertionError(command)


given = Story(versions.evolve, decide).given


def test_a_version_is_named_by_its_number_unless_it_is_given_a_name() -> None:
    given().when(CREATE).then(CREATED)
    named = msgspec.structs.replace(CREATED, name="Night shift")
    given().when(msgspec.structs.replace(CREATE, name=" Night shift ")).then(named)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"kind": "tagging"}, Invalid, "tagging"),
        ({"kind": "detection"}, Invalid, "detection"),
        ({"concepts": ()}, Conflict, "no concepts"),
        ({"concepts": CONCEPTS[:1]}, Conflict, "one concept, 'cat'"),
        ({"counts": ManifestCounts(0, 0, {})}, Conflict, "no image is annotated"),
        ({"counts": ManifestCounts(0, 3, {})}, Conflict, "left to train on"),
        ({"counts": ManifestCounts(8, 2, {"c1": 8})}, Conflict, "the same concept"),
        (
            {"counts": ManifestCounts(8, 0, {"c1": 4, "c2": 4})},
            Conflict,
            "no annotated image valid",
        ),
    ],
)
def test_a_training_that_cannot_work_is_refused(
    change: dict[str, object], error: type[Refusal], says: str
) -> None:
    given().when(msgspec.structs.replace(CREATE, **change)).then(error, says=says)


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
        ((started(), TrainingStepAdvanced("training", "running", 0.1)), "training"),
        ((started(), TrainingStepAdvanced("evaluating", "running", 0.1)), "evaluating"),
        ((COMPLETED,), "ready"),
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


@pytest.mark.parametrize("end", [COMPLETED, FAILED])
def test_an_ended_version_is_archived_once(end: Event) -> None:
    given(CREATED, end).when(ArchiveVersion()).then(VersionArchived())
    given(CREATED, end, VersionArchived()).when(ArchiveVersion()).then()


def test_a_version_in_training_is_not_archived() -> None:
    given(CREATED, started()).when(ArchiveVersion()).then(Conflict, says="preparing")


@pytest.mark.parametrize(
    "command",
    [FreezeDataset("sha", COUNTS), RetryVersion(), RenameVersion("Best"), ArchiveVersion()],
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
