"""Evaluations on the test set: who may order one when, and one result of each, whatever comes."""

import msgspec
import pytest

from domain.errors import Conflict, Invalid
from domain.event import Event
from domain.training import version as versions
from domain.training import version_reports
from domain.training.jobs import Job, PredictJob, decode_job
from domain.training.messages import (
    AnyReport,
    Completed,
    Failed,
    OnnxMade,
    Predicted,
    Purpose,
    Report,
    SplitFigures,
    Started,
    TrainJob,
)
from domain.training.onnx import (
    RequestOnnx,
    VersionOnnxFailed,
    VersionOnnxMade,
    VersionOnnxRequested,
    VersionOnnxStarted,
)
from domain.training.predictions import (
    RequestSuggestions,
    RequestTestEvaluation,
    VersionSuggestionsFailed,
    VersionSuggestionsMade,
    VersionSuggestionsRequested,
    VersionSuggestionsStarted,
    VersionTestEvaluated,
    VersionTestEvaluationFailed,
    VersionTestEvaluationRequested,
    VersionTestEvaluationStarted,
)
from domain.training.version import (
    BestCheckpointSaved,
    VersionTrainingCancelled,
    VersionTrainingCompleted,
    VersionTrainingFailed,
)
from tests.domain.story import Story
from tests.domain.training.version_samples import CONCEPTS, CREATED, OPTIONS, report, started

given = Story(versions.evolve, versions.decide).given
told = Story(versions.evolve, version_reports.record).given

BEST = BestCheckpointSaved("best", 9, "validation_accuracy", 0.9, 1)
READY = CREATED, started(), BEST, VersionTrainingCompleted("best", "weights", 9)
ORDER = RequestTestEvaluation("before the release", "manifest", 7, 30, 4)
FIGURES = SplitFigures(images=7, loss=0.5, accuracy=0.9)
PREDICTED = Predicted("best", FIGURES, 7, "parquet")
START = Started("w1", "cpu", {"torch": "2"}, 0)


def requested(number: int = 1, before: int = 0) -> VersionTestEvaluationRequested:
    return VersionTestEvaluationRequested(
        "v", number, "before the release", "best", "manifest", 7, 30, before, 4
    )


def begun(number: int = 1, delivery: int = 1) -> VersionTestEvaluationStarted:
    return VersionTestEvaluationStarted(number, delivery, "w1", "cpu", {"torch": "2"})


def evaluated(number: int = 1) -> VersionTestEvaluated:
    return VersionTestEvaluated(number, "best", FIGURES, 7, "parquet")


def of_test(body: AnyReport, *, attempt: int = 1, delivery: int = 1, worker: str = "w1") -> Report:
    made = report(body, attempt=attempt, delivery=delivery, worker=worker)
    return msgspec.structs.replace(made, purpose=Purpose.TEST)


def test_a_ready_version_is_evaluated_on_the_test_set() -> None:
    given(*READY).when(ORDER).then(requested())
    given(*READY).when(msgspec.structs.replace(ORDER, reason=" ")).then(Invalid, field="reason")


def test_a_version_that_was_stopped_early_has_weights_too() -> None:
    stopped = VersionTrainingCompleted("best", "weights", 9, "stop")
    given(CREATED, started(), BEST, stopped).when(ORDER).then(requested())


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ((), "queued"),
        ((started(), BEST), "preparing"),
        ((started(), BEST, VersionTrainingFailed("no memory")), "failed"),
        ((started(), BEST, VersionTrainingCancelled()), "cancelled"),
    ],
)
def test_a_version_that_is_not_ready_is_not(events: tuple[Event, ...], says: str) -> None:
    given(CREATED, *events).when(ORDER).then(Conflict, says=f"the version is {says}; only a ready")


def test_without_test_images_there_is_nothing_to_evaluate_on() -> None:
    empty = msgspec.structs.replace(ORDER, images=0)
    given(*READY).when(empty).then(Conflict, says="no test image is annotated")


def test_one_evaluation_runs_at_a_time_and_the_next_says_how_many_were_before() -> None:
    given(*READY, requested()).when(ORDER).then(Conflict, says="evaluation 1 of this version")
    given(*READY, requested(), begun()).when(ORDER).then(Conflict, says="already running")
    given(*READY, requested(), evaluated()).when(ORDER).then(requested(2, before=1))
    failed = VersionTestEvaluationFailed(1, "no memory")
    given(*READY, requested(), failed).when(ORDER).then(requested(2, before=0))


def test_a_worker_starts_and_reports_a_result() -> None:
    told(*READY, requested()).when(of_test(START)).then(begun())
    told(*READY, requested(), begun()).when(of_test(PREDICTED)).then(evaluated())
    failed = VersionTestEvaluationFailed(1, "1 image cannot be used\n\\x1b")
    failure = Failed("1 image cannot be used\n\x1b")
    told(*READY, requested(), begun()).when(of_test(failure)).then(failed)


@pytest.mark.parametrize("body", [START, PREDICTED, Failed("no memory")])
def test_after_the_result_nothing_counts(body: AnyReport) -> None:
    for delivery in (1, 2):
        again = of_test(body, delivery=delivery)
        told(*READY, requested(), begun(), evaluated()).when(again).then()


def test_reports_of_other_requests_and_of_superseded_deliveries_count_for_nothing() -> None:
    history = *READY, requested(), evaluated(), requested(2, 1), begun(2, delivery=3)
    for late in (PREDICTED, Failed("no memory"), START):
        told(*history).when(of_test(late)).then()
        told(*history).when(of_test(late, attempt=2, delivery=2)).then()
        told(*history).when(of_test(late, attempt=3, delivery=9)).then()
    told(*history).when(of_test(PREDICTED, attempt=2, delivery=3)).then(evaluated(2))
    told(*history).when(of_test(START, attempt=2, delivery=4)).then(begun(2, delivery=4))


def test_another_worker_cannot_report_on_it() -> None:
    history = *READY, requested(), begun()
    told(*history).when(of_test(PREDICTED, worker="w2")).then(Conflict, says="worker w1 has")
    told(*history).when(of_test(START, delivery=2, worker="w2")).then(
        Conflict, says="cannot start as"
    )


def test_reports_of_a_training_and_of_a_test_are_not_taken_for_each_other() -> None:
    told(*READY, requested()).when(of_test(Completed("best", "weights", 9))).then()
    told(CREATED, started()).when(report(PREDICTED)).then()
    told(*READY, requested()).when(report(PREDICTED)).then()
    told(CREATED, started()).when(of_test(PREDICTED)).then()


def test_suggestions_are_requested_and_made_beside_an_evaluation() -> None:
    ask = RequestSuggestions("manifest", 9, 30)
    asked = VersionSuggestionsRequested("v", 1, "best", "manifest", 9, 30)
    given(CREATED).when(ask).then(Conflict, says="only a ready one makes suggestions")
    given(*READY, requested()).when(ask).then(asked)
    given(*READY, asked).when(ask).then(Conflict, says="request 1 for suggestions")
    given(*READY, asked).when(ORDER).then(requested())
    none = RequestSuggestions("manifest", 0, 30)
    given(*READY).when(none).then(Conflict, says="every image of the view is annotated")
    begun_too = VersionSuggestionsStarted(1, 1, "w1", "cpu", {"torch": "2"})
    made = VersionSuggestionsMade(1, "best", 9, "parquet")
    predicted = Predicted("best", None, 9, "parquet")
    both = *READY, requested(), asked
    told(*both).when(of_suggestions(START)).then(begun_too)
    told(*both, begun_too).when(of_suggestions(predicted)).then(made)
    told(*both, begun_too).when(of_suggestions(Failed("no"))).then(
        VersionSuggestionsFailed(1, "no")
    )
    told(*both, begun_too, made).when(of_suggestions(predicted)).then()
    told(*both, begun_too, made).when(of_test(PREDICTED)).then(evaluated())
    told(*both).when(of_test(predicted)).then()


def test_one_onnx_file_is_made_and_a_failed_one_is_requested_again() -> None:
    ask, asked = RequestOnnx(), VersionOnnxRequested(1, "best")
    given(CREATED).when(ask).then(Conflict, says="only a ready one has an ONNX file")
    given(*READY, requested()).when(ask).then(asked)
    given(*READY, asked).when(ask).then()
    began = VersionOnnxStarted(1, 1, "w1", "cpu", {"torch": "2"})
    made = VersionOnnxMade(1, "best", "file", 9, 4, 0.5)
    told(*READY, asked).when(of_onnx(START)).then(began)
    told(*READY, asked, began).when(of_onnx(OnnxMade("best", "file", 9, 4, 0.5))).then(made)
    given(*READY, asked, began, made).when(ask).then()
    told(*READY, asked, began, made).when(of_onnx(Failed("late"))).then()
    failed = VersionOnnxFailed(1, "no")
    told(*READY, asked, began).when(of_onnx(Failed("no"))).then(failed)
    given(*READY, asked, failed).when(ask).then(VersionOnnxRequested(2, "best"))
    told(*READY, asked, began).when(of_onnx(PREDICTED)).then()


def of_onnx(body: AnyReport) -> Report:
    return msgspec.structs.replace(report(body), purpose=Purpose.ONNX)


def of_suggestions(body: AnyReport) -> Report:
    return msgspec.structs.replace(report(body), purpose=Purpose.SUGGESTIONS)


def test_jobs_are_told_apart_also_those_of_earlier_releases() -> None:
    train = TrainJob("v", 2, "classification", CONCEPTS, OPTIONS, "manifest", "correlation")
    predict = PredictJob(
        "v", Purpose.TEST, 2, "classification", CONCEPTS, OPTIONS, "best", "manifest", "correlation"
    )
    jobs: tuple[Job, ...] = (train, predict)
    for job in jobs:
        assert decode_job(msgspec.json.encode(job)) == job
    assert (train.message_id, predict.message_id) == ("v:2", "v:test-2")
    bare = msgspec.json.decode(msgspec.json.encode(train))
    del bare["job"]
    assert decode_job(msgspec.json.encode(bare)) == train
    for other in (b"nonsense", b'{"job":"cook"}'):
        with pytest.raises(msgspec.DecodeError):
            decode_job(other)
