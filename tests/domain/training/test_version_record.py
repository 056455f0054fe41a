"""What a worker's reports add to a version, each once, and which of them add nothing."""

import pytest

from domain.errors import Conflict, Invalid, NotFound
from domain.event import Event
from domain.training import version as versions
from domain.training import version_reports
from domain.training.messages import (
    AnyReport,
    BatchMetrics,
    CheckpointSaved,
    Completed,
    DataPrepared,
    EpochItems,
    EpochMetrics,
    Evaluated,
    Failed,
    SplitFigures,
    Started,
    StepAdvanced,
)
from domain.training.results import (
    MOST_REFUSED,
    VersionReportRefused,
    VersionResultReported,
)
from domain.training.version import (
    BatchMetricsRecorded,
    BestCheckpointSaved,
    EpochItemsDiscarded,
    EpochItemsRecorded,
    EpochMetricsRecorded,
    TrainingLengthKnown,
    TrainingStepAdvanced,
    VersionEvaluated,
    VersionRetried,
    VersionTrainingCompleted,
    VersionTrainingFailed,
)
from tests.domain.story import Story
from tests.domain.training.version_samples import CREATED, report, started

given = Story(versions.evolve, version_reports.record).given

VALIDATION = SplitFigures(images=2, loss=0.5, accuracy=0.9)
TRAIN = SplitFigures(images=8, loss=0.1, accuracy=1.0)
START = Started("w1", "cpu", {"torch": "2"}, 0)
PAIRS: list[tuple[AnyReport, Event]] = [
    (StepAdvanced("training", "running", 0.5), TrainingStepAdvanced("training", "running", 0.5)),
    (
        DataPrepared(7, 28, 50, {"c1": 25, "c2": 25}),
        TrainingLengthKnown(7, 28, 50, {"c1": 25, "c2": 25}),
    ),
    (BatchMetrics(0, (0.1, 0.2), (2.0, 1.0)), BatchMetricsRecorded(0, (0.1, 0.2), (2.0, 1.0))),
    (EpochMetrics(1, 7, 0.5, 0.9, 0.8), EpochMetricsRecorded(1, 7, 0.5, 0.9, 0.8)),
    (EpochItems(1, 7, "sha", 9, 27, 0.5), EpochItemsRecorded(1, 7, "sha", 9, 27, 0.5)),
    (
        CheckpointSaved("sha", 9, "accuracy", 0.9, 1),
        BestCheckpointSaved("sha", 9, "accuracy", 0.9, 1),
    ),
    (
        Evaluated("sha", VALIDATION, TRAIN, "parquet"),
        VersionEvaluated("sha", VALIDATION, TRAIN, "parquet"),
    ),
    (
        Completed("sha", "weights", 28, "patience"),
        VersionResultReported(1, 1, "sha", "weights", 28, "patience"),
    ),
    (Failed("no memory"), VersionTrainingFailed("no memory")),
]


def test_a_worker_starts() -> None:
    given(CREATED).when(report(START)).then(started())


def test_a_worker_starts_again_after_a_redelivery() -> None:
    again = Started("w1", "cpu", {"torch": "2"}, 14)
    given(CREATED, started()).when(report(again, delivery=2)).then(started(2, resumed_from=14))


@pytest.mark.parametrize("delivery", [1, 2])
def test_a_start_counts_once_and_not_after_a_later_one(delivery: int) -> None:
    given(CREATED, started(2)).when(report(START, delivery=delivery)).then()


@pytest.mark.parametrize(("body", "event"), PAIRS)
def test_each_report_becomes_its_event(body: AnyReport, event: Event) -> None:
    given(CREATED, started()).when(report(body)).then(event)


@pytest.mark.parametrize(("body", "event"), PAIRS)
def test_a_repeated_report_adds_nothing(body: AnyReport, event: Event) -> None:
    given(CREATED, started(), event).when(report(body)).then()


@pytest.mark.parametrize("body", [START, *(body for body, _ in PAIRS)])
def test_a_superseded_run_adds_nothing(body: AnyReport) -> None:
    given(CREATED, started(2)).when(report(body, delivery=1)).then()
    retried = (CREATED, started(3), VersionTrainingFailed("no memory"), VersionRetried(2))
    given(*retried).when(report(body, attempt=1, delivery=4)).then()
    given(*retried).when(report(body, attempt=3)).then()


def test_a_worker_starts_in_no_other_name() -> None:
    given(CREATED).when(report(START, worker="w2")).then(Conflict)


@pytest.mark.parametrize("body", [body for body, _ in PAIRS])
def test_only_the_worker_that_has_the_job_reports_on_it(body: AnyReport) -> None:
    given(CREATED, started()).when(report(body, worker="w2")).then(Conflict)


def test_items_of_an_epoch_that_is_trained_again_are_recorded_once() -> None:
    first = EpochItemsRecorded(2, 14, "sha", 9, 9, 0.5)
    history = given(CREATED, started(), first, started(2))
    for epoch in (1, 2):
        again = EpochItems(epoch, 7 * epoch, "other", 9, 9, 0.7)
        history.when(report(again, delivery=2)).then()
    third = EpochItems(3, 21, "other", 9, 9, 0.7)
    recorded = EpochItemsRecorded(3, 21, "other", 9, 9, 0.7)
    history.when(report(third, delivery=2)).then(recorded)


def test_a_retried_version_whose_items_are_given_up_records_no_more() -> None:
    first, failed = EpochItemsRecorded(1, 7, "sha", 9, 9, 0.5), VersionTrainingFailed("no memory")
    story = (CREATED, started(), first, failed, EpochItemsDiscarded(3), VersionRetried(2))
    second = EpochItems(2, 14, "sha", 9, 9, 0.5)
    given(*story, started(attempt=2)).when(report(second, attempt=2)).then()


def test_a_job_that_was_handed_on_is_reported_by_its_next_worker() -> None:
    """The first delivery's worker did not live to start it, and the second gives up for both."""
    lost = Failed("interrupted")
    given(CREATED, started()).when(report(lost, delivery=2, worker="w2")).then(
        VersionTrainingFailed("interrupted")
    )
    failed = (CREATED, started(), VersionTrainingFailed("interrupted"), VersionRetried(2))
    given(*failed).when(report(lost, attempt=2, worker="w2")).then(
        VersionTrainingFailed("interrupted")
    )


@pytest.mark.parametrize("end", [VersionTrainingFailed("x"), VersionTrainingCompleted("a", "b", 1)])
@pytest.mark.parametrize("body", [START, *(body for body, _ in PAIRS)])
def test_an_ended_version_takes_no_report(body: AnyReport, end: Event) -> None:
    given(CREATED, started(), end).when(report(body, delivery=2)).then()


def test_a_retry_starts_with_the_first_delivery_again() -> None:
    history = (CREATED, started(3), VersionTrainingFailed("no memory"), VersionRetried(2))
    given(*history).when(report(START, attempt=2)).then(started(1, attempt=2))


@pytest.mark.parametrize(
    ("first", "recorded"),
    [
        (0, None),
        (2, BatchMetricsRecorded(4, (0.1,), (5.0,))),
        (4, BatchMetricsRecorded(4, (0.1,) * 3, (3.0, 4.0, 5.0))),
    ],
)
def test_of_a_resumed_run_only_new_iterations_are_recorded(
    first: int, recorded: BatchMetricsRecorded | None
) -> None:
    before = BatchMetricsRecorded(0, (0.1,) * 4, (9.0,) * 4)
    chunk = BatchMetrics(first, (0.1,) * 3, (3.0, 4.0, 5.0))
    expected = [recorded] if recorded else []
    given(CREATED, before, started(2, resumed_from=first)).when(report(chunk, delivery=2)).then(
        *expected
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (BatchMetrics(9, (0.1,), (1.0,)), "iteration"),
        (EpochMetrics(3, 21, 0.4, 0.95), "epoch"),
    ],
)
def test_what_leaves_a_gap_is_refused(body: AnyReport, field: str) -> None:
    before = (
        BatchMetricsRecorded(0, (0.1,) * 4, (9.0,) * 4),
        EpochMetricsRecorded(1, 7, 0.5, 0.9, None),
    )
    given(CREATED, started(), *before).when(report(body)).then(Invalid, field=field)


def test_after_its_end_a_run_adds_nothing_until_the_result_is_checked() -> None:
    end = VersionResultReported(1, 1, "sha", "weights", 28, "length")
    for body in (START, *(body for body, _ in PAIRS)):
        given(CREATED, started(), end).when(report(body, delivery=2)).then()


refusing = Story(
    versions.evolve,
    lambda sent, version: version_reports.refuse(sent, "epoch_metrics", "no", version),
).given


def refused(sequence: int, delivery: int = 1) -> VersionReportRefused:
    return VersionReportRefused(1, delivery, sequence, "epoch_metrics", "no")


def test_a_refused_report_is_recorded_once() -> None:
    body = EpochMetrics(3, 21, 0.4, 0.95)
    refusing(CREATED, started()).when(report(body, sequence=5)).then(refused(5))
    refusing(CREATED, started(), refused(5)).when(report(body, sequence=5)).then()
    refusing(CREATED, started(), refused(5)).when(report(body, sequence=6)).then(refused(6))


def test_only_the_first_refused_reports_of_an_attempt_are_recorded() -> None:
    body, many = EpochMetrics(3, 21, 0.4, 0.95), [refused(n) for n in range(MOST_REFUSED)]
    refusing(CREATED, started(), *many).when(report(body, sequence=99)).then()
    again = (VersionTrainingFailed("x"), VersionRetried(2), started(attempt=2))
    refusing(CREATED, started(), *many, *again).when(report(body, sequence=9, attempt=2)).then(
        VersionReportRefused(2, 1, 9, "epoch_metrics", "no")
    )


def test_a_refused_report_of_a_superseded_run_or_of_another_worker_is_not_recorded() -> None:
    body = EpochMetrics(3, 21, 0.4, 0.95)
    refusing(CREATED, started(2)).when(report(body, delivery=1)).then()
    refusing(CREATED, started()).when(report(body, worker="w2")).then()
    refusing(CREATED, started()).when(report(body, attempt=2)).then()


def test_of_a_resumed_run_only_new_epochs_are_recorded() -> None:
    history = (CREATED, EpochMetricsRecorded(2, 14, 0.5, 0.9, None), started(2))
    given(*history).when(report(EpochMetrics(1, 7, 0.6, 0.8), delivery=2)).then()
    given(*history).when(report(EpochMetrics(3, 21, 0.4, 0.95), delivery=2)).then(
        EpochMetricsRecorded(3, 21, 0.4, 0.95, None)
    )


def test_a_checkpoint_of_an_earlier_epoch_does_not_come_back() -> None:
    history = (CREATED, started(), BestCheckpointSaved("sha2", 9, "accuracy", 0.9, 2))
    given(*history).when(report(CheckpointSaved("sha1", 9, "accuracy", 0.8, 1))).then()
    given(*history).when(report(CheckpointSaved("sha3", 9, "accuracy", 0.95, 3))).then(
        BestCheckpointSaved("sha3", 9, "accuracy", 0.95, 3)
    )


def test_the_checkpoint_that_is_evaluated_is_the_best_one() -> None:
    """On a GPU an epoch that is trained again comes to other weights."""
    before = (CREATED, started(), BestCheckpointSaved("lost", 9, "accuracy", 0.9, 2), started(2))
    again = CheckpointSaved("again", 9, "accuracy", 0.8, 2)
    given(*before).when(report(again, delivery=2)).then()
    evaluating = (*before, TrainingStepAdvanced("evaluating", "running", 0.0))
    given(*evaluating).when(report(again, delivery=2)).then(
        BestCheckpointSaved("again", 9, "accuracy", 0.8, 2)
    )
    same = CheckpointSaved("lost", 9, "accuracy", 0.9, 2)
    given(*evaluating).when(report(same, delivery=2)).then()


def test_a_changed_length_is_recorded_again() -> None:
    history = (CREATED, started(), TrainingLengthKnown(7, 28))
    given(*history).when(report(DataPrepared(8, 32))).then(TrainingLengthKnown(8, 32, 0))


def test_a_step_does_not_go_back_within_a_run() -> None:
    history = (CREATED, started(), TrainingStepAdvanced("training", "running", 0.5))
    given(*history).when(report(StepAdvanced("training", "running", 0.4))).then()
    done = (*history, TrainingStepAdvanced("training", "done", 1.0))
    given(*done).when(report(StepAdvanced("training", "running", 1.0))).then()


def test_a_resumed_run_goes_through_the_steps_again() -> None:
    history = (CREATED, started(), TrainingStepAdvanced("training", "running", 0.5), started(2))
    given(*history).when(report(StepAdvanced("training", "running", 0.4), delivery=2)).then(
        TrainingStepAdvanced("training", "running", 0.4)
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (StepAdvanced("dreaming", "running", 0.5), "step"),
        (StepAdvanced("queued", "running", 0.5), "step"),
        (StepAdvanced("training", "pending", 0.5), "status"),
        (StepAdvanced("training", "running", 1.1), "status"),
        (StepAdvanced("training", "running", -0.1), "status"),
        (BatchMetrics(0, (0.1,), (1.0, 2.0)), "loss"),
        (CheckpointSaved("sha", 9, "validation_accuracy", 7.5, 1), "validation_accuracy"),
        (Evaluated("sha", SplitFigures(images=2, accuracy=7.5), TRAIN, "parquet"), "accuracy"),
    ],
)
def test_a_report_that_makes_no_sense_is_refused(body: AnyReport, field: str) -> None:
    given(CREATED, started()).when(report(body)).then(Invalid, field=field)


def test_a_reason_is_kept_as_text_that_can_be_stored() -> None:
    given(CREATED, started()).when(report(Failed("bad \0 byte"))).then(
        VersionTrainingFailed("bad \\x00 byte")
    )


def test_a_version_that_is_not_there_takes_no_report() -> None:
    given().when(report(START)).then(NotFound)
