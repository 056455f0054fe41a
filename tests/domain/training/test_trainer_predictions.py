"""Predictions by versions of trainers: claims until the server has measured them."""

import msgspec
import pytest

from domain.errors import Conflict, Invalid
from domain.event import Event
from domain.trainers.trainer import TrainerUse
from domain.training import version as versions
from domain.training import version_reports
from domain.training.jobs import TrainerPredictJob, purpose_of
from domain.training.messages import (
    AnyReport,
    Failed,
    Predicted,
    Purpose,
    Report,
    SplitFigures,
    Started,
)
from domain.training.predictions import (
    AcceptPredictions,
    RefusePredictions,
    RequestSuggestions,
    RequestTestEvaluation,
    VersionPredictionsReported,
    VersionSuggestionsFailed,
    VersionSuggestionsMade,
    VersionSuggestionsRequested,
    VersionTestEvaluated,
    VersionTestEvaluationFailed,
    VersionTestEvaluationRequested,
    VersionTestEvaluationStarted,
)
from domain.training.version import (
    BestCheckpointSaved,
    VersionCreated,
    VersionTrainingCompleted,
)
from tests.domain.story import Story
from tests.domain.training.version_samples import CONCEPTS, report, started

given = Story(versions.evolve, versions.decide).given
on_report = Story(versions.evolve, version_reports.record).given

USE = TrainerUse("id", "acme/logreg", "form", {}, "opaque")
CREATED = VersionCreated(
    "p", "v", "m", 3, "Version 3", "classification", CONCEPTS, None, 17, trainer=USE
)
BEST = BestCheckpointSaved("best", 9, "validation_accuracy", 0.9, 1)
READY = CREATED, started(), BEST, VersionTrainingCompleted("best", "weights", 9)
REQUESTED = VersionTestEvaluationRequested(
    "v", 1, "before the release", "best", "manifest", 7, 30, 0, 4, by_trainer=True
)
SUGGESTING = VersionSuggestionsRequested("v", 1, "best", "manifest", 7, 30, by_trainer=True)
BEGUN = VersionTestEvaluationStarted(1, 1, "w1", "cpu", {"torch": "2"})
PREDICTED = Predicted("best", None, 7, "parquet")
REPORTED = VersionPredictionsReported(Purpose.TEST, 1, "best", 7, "parquet")
FIGURES = SplitFigures(images=7, loss=0.5, accuracy=0.9)
ACCEPT = AcceptPredictions(Purpose.TEST, 1, "joined", FIGURES)
EVALUATED = VersionTestEvaluated(1, "best", FIGURES, 7, "joined")


def of_test(body: AnyReport, *, delivery: int = 1, worker: str = "w1") -> Report:
    made = report(body, delivery=delivery, worker=worker)
    return msgspec.structs.replace(made, purpose=Purpose.TEST)


def test_a_request_says_who_predicts() -> None:
    order = RequestTestEvaluation("before the release", "manifest", 7, 30, 4, by_trainer=True)
    given(*READY).when(order).then(REQUESTED)
    given(*READY).when(RequestSuggestions("manifest", 7, 30, by_trainer=True)).then(SUGGESTING)


def test_predictions_are_a_claim_that_is_then_measured() -> None:
    on_report(*READY, REQUESTED, BEGUN).when(of_test(PREDICTED)).then(REPORTED)
    given(*READY, REQUESTED, BEGUN, REPORTED).when(ACCEPT).then(EVALUATED)
    refuse = RefusePredictions(Purpose.TEST, 1, "7 rows are needed")
    failed = VersionTestEvaluationFailed(1, "7 rows are needed")
    given(*READY, REQUESTED, BEGUN, REPORTED).when(refuse).then(failed)


def test_metrics_of_the_worker_do_not_count() -> None:
    claimed = msgspec.structs.replace(PREDICTED, metrics=FIGURES)
    on_report(*READY, REQUESTED, BEGUN).when(of_test(claimed)).then(REPORTED)


def test_suggestions_are_checked_too() -> None:
    reported = VersionPredictionsReported(Purpose.SUGGESTIONS, 1, "best", 7, "parquet")
    sent = msgspec.structs.replace(report(PREDICTED), purpose=Purpose.SUGGESTIONS)
    on_report(*READY, SUGGESTING).when(sent).then(reported)
    accept = AcceptPredictions(Purpose.SUGGESTIONS, 1, "joined", None)
    made = VersionSuggestionsMade(1, "best", 7, "joined")
    given(*READY, SUGGESTING, reported).when(accept).then(made)
    refuse = RefusePredictions(Purpose.SUGGESTIONS, 1, "no")
    given(*READY, SUGGESTING, reported).when(refuse).then(VersionSuggestionsFailed(1, "no"))


def test_nothing_is_accepted_twice_or_without_a_claim() -> None:
    given(*READY, REQUESTED, BEGUN).when(ACCEPT).then()
    given(*READY, REQUESTED, BEGUN, REPORTED, EVALUATED).when(ACCEPT).then()
    other = msgspec.structs.replace(ACCEPT, number=2)
    given(*READY, REQUESTED, BEGUN, REPORTED).when(other).then()


@pytest.mark.parametrize("body", [PREDICTED, Started("w1", "cpu", {}, 0), Failed("too late")])
def test_a_claim_in_check_is_not_changed_by_a_later_delivery(body: AnyReport) -> None:
    on_report(*READY, REQUESTED, BEGUN, REPORTED).when(of_test(body, delivery=2)).then()


def test_a_request_in_check_is_running() -> None:
    order = RequestTestEvaluation("again", "manifest", 7, 30, 4, by_trainer=True)
    given(*READY, REQUESTED, BEGUN, REPORTED).when(order).then(Conflict, says="already running")


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        (Predicted("other", None, 7, "parquet"), "checkpoint", "is not that of the request"),
        (Predicted("best", None, 6, "parquet"), "rows", "6 images are predicted, and the request"),
    ],
)
def test_a_claim_about_something_else_is_refused(body: Predicted, field: str, says: str) -> None:
    on_report(*READY, REQUESTED, BEGUN).when(of_test(body)).then(Invalid, field=field, says=says)


def refused(events: tuple[Event, ...], sent: Report) -> list[Event]:
    return version_reports.refuse(sent, "predicted", "it is wrong", on_report(*events).state)


def test_a_refused_report_fails_its_request() -> None:
    failed = VersionTestEvaluationFailed(1, "a report of its worker was refused: it is wrong")
    events = (*READY, REQUESTED, BEGUN)
    assert refused(events, of_test(PREDICTED)) == [failed]
    assert refused((*READY, REQUESTED), of_test(PREDICTED)) == [failed]


def test_a_refused_report_of_somebody_else_fails_nothing() -> None:
    begun_again = msgspec.structs.replace(BEGUN, delivery=2)
    assert refused((*READY, REQUESTED, begun_again), of_test(PREDICTED)) == []
    assert refused((*READY, REQUESTED, BEGUN), of_test(PREDICTED, worker="w2")) == []
    assert refused((*READY, REQUESTED, BEGUN, REPORTED), of_test(PREDICTED)) == []
    assert refused(READY, of_test(PREDICTED)) == []


def test_a_worker_of_the_contract_before_can_read_the_job() -> None:
    """It reads the fields of a training, and sees that its contract is too old."""
    job = TrainerPredictJob(
        "v", 2, "classification", CONCEPTS, "acme/logreg", "form", {}, "opaque", "manifest", 0, 7,
        "correlation", purpose=Purpose.SUGGESTIONS, checkpoint="best",
    )  # fmt: skip
    sent = msgspec.json.decode(msgspec.json.encode(job))
    of_a_training = {
        "version_id", "attempt", "kind", "concepts", "trainer", "form", "settings", "format",
        "manifest", "train_images", "validation_images", "correlation_id", "deliveries_before",
        "token", "contract",
    }  # fmt: skip
    assert of_a_training <= sent.keys()
    assert (sent["job"], sent["contract"]) == ("trainer_predict", 2)
    assert (job.message_id, purpose_of(job)) == ("v:suggestions-2", Purpose.SUGGESTIONS)
