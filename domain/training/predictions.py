"""Predictions with a finished version that somebody requests: on the test set of its project, and
suggestions for images that are not annotated.

Each is a job of the queue that trainings are taken from, with deliveries of its own. By a trainer's
version its worker claims scores alone: the server checks and measures them, and only then do the
result or the failure follow.
"""

from typing import ClassVar

import msgspec

from domain.errors import Invalid
from domain.event import Event
from domain.training import messages
from domain.training.messages import Purpose, SplitFigures
from domain.training.onnx import (
    VersionOnnxFailed,
    VersionOnnxMade,
    VersionOnnxRequested,
    VersionOnnxStarted,
)


class VersionTestEvaluationRequested(Event, frozen=True, tag="version.test_evaluation_requested"):
    """Somebody ordered the metrics of the saved checkpoint on the project's test set.

    The test set is that of the log's position `log_position`: `manifest` is the sha256 of the lines
    of its `images`, and their key in the blob store. `number` counts the requests for the version
    from 1. `earlier_of_version` and `earlier_of_view` count those before it, for the version and
    for all versions of the view, that had not failed by then. `by_trainer` is true if a
    worker of the version's trainer predicts, and false if one of Stemma's does.
    """

    schema_version: ClassVar[int] = 2

    view_id: str
    number: int
    reason: str
    checkpoint: str
    manifest: str
    images: int
    log_position: int
    earlier_of_version: int
    earlier_of_view: int
    by_trainer: bool = False


class VersionTestEvaluationStarted(Event, frozen=True, tag="version.test_evaluation_started"):
    """A worker began to predict the test images; `delivery` counts how often the queue delivered
    the job."""

    number: int
    delivery: int
    worker: str
    device: str
    environment: dict[str, str]


class VersionTestEvaluated(Event, frozen=True, tag="version.test_evaluated"):
    """The checkpoint's metrics on the test images of a request, and its predictions for them.

    `predictions` is the sha256 of their Parquet file of `rows` images, by which it lies in the blob
    store.
    """

    number: int
    checkpoint: str
    metrics: SplitFigures
    rows: int
    predictions: str


class VersionTestEvaluationFailed(Event, frozen=True, tag="version.test_evaluation_failed"):
    """The test images of a request could not be predicted, for a reason in the user's words."""

    number: int
    reason: str


class VersionSuggestionsRequested(Event, frozen=True, tag="version.suggestions_requested"):
    """Suggestions of the saved checkpoint were requested for the images without annotation.

    They are those of the view at the log's position `log_position`, without those of the test set:
    `manifest` is the sha256 of the lines of these `images`, and their key in the blob store.
    `number` counts the requests for the version from 1. `by_trainer` is true if a worker of
    the version's trainer predicts, and false if one of Stemma's does.
    """

    schema_version: ClassVar[int] = 2

    view_id: str
    number: int
    checkpoint: str
    manifest: str
    images: int
    log_position: int
    by_trainer: bool = False


class VersionSuggestionsStarted(Event, frozen=True, tag="version.suggestions_started"):
    """A worker began to predict the images of a request; `delivery` counts how often the queue
    delivered the job."""

    number: int
    delivery: int
    worker: str
    device: str
    environment: dict[str, str]


class VersionSuggestionsMade(Event, frozen=True, tag="version.suggestions_made"):
    """The checkpoint's predictions for the images of a request, which are what it suggests.

    `predictions` is the sha256 of their Parquet file of `rows` images, by which it lies in the blob
    store.
    """

    number: int
    checkpoint: str
    rows: int
    predictions: str


class VersionSuggestionsFailed(Event, frozen=True, tag="version.suggestions_failed"):
    """The images of a request could not be predicted, for a reason in the user's words."""

    number: int
    reason: str


class VersionPredictionsReported(Event, frozen=True, tag="version.predictions_reported"):
    """The worker of a request reported predictions; the server checks and measures them next.

    Only versions of trainers have it. `purpose` is `test` or `suggestions`, `number` that of the
    request. `predictions` is the sha256 of a Parquet file of `rows` scores, by which it lies in the
    blob store.
    """

    purpose: Purpose
    number: int
    checkpoint: str
    rows: int
    predictions: str


class AcceptPredictions(msgspec.Struct, frozen=True):
    """What the server measured of the reported predictions of a request; `predictions` are the
    scores beside the truth, and `metrics` are None for suggestions."""

    purpose: Purpose
    number: int
    predictions: str
    metrics: SplitFigures | None


class RefusePredictions(msgspec.Struct, frozen=True):
    """The reported predictions of a request cannot be what the worker claims."""

    purpose: Purpose
    number: int
    reason: str


class RequestSuggestions(msgspec.Struct, frozen=True):
    """The handler sets all of it."""

    manifest: str
    images: int
    log_position: int
    by_trainer: bool = False


class RequestTestEvaluation(msgspec.Struct, frozen=True):
    """`reason` is the caller's; the handler sets the rest."""

    reason: str
    manifest: str
    images: int
    log_position: int
    earlier_of_view: int
    by_trainer: bool = False


Requested = VersionTestEvaluationRequested | VersionSuggestionsRequested


class Prediction(msgspec.Struct, frozen=True):
    """The newest request of a kind; `succeeded` counts the results of all requests before it.

    `requested` is the request, but that of an ONNX file; `reported` are predictions that the server
    checks. `reason` is why it failed; `onnx` is the file that a request for one was answered with.
    """

    number: int
    requested: Requested | None = None
    running: bool = True
    delivery: int = 0
    worker: str | None = None
    reported: VersionPredictionsReported | None = None
    succeeded: int = 0
    reason: str | None = None
    onnx: VersionOnnxMade | None = None

    @property
    def by_trainer(self) -> bool:
        return self.requested is not None and self.requested.by_trainer


Started = VersionTestEvaluationStarted | VersionSuggestionsStarted | VersionOnnxStarted
Succeeded = VersionTestEvaluated | VersionSuggestionsMade | VersionOnnxMade
Failed = VersionTestEvaluationFailed | VersionSuggestionsFailed | VersionOnnxFailed

_PURPOSES: dict[type[Event], Purpose] = {
    VersionTestEvaluationRequested: Purpose.TEST,
    VersionTestEvaluationStarted: Purpose.TEST,
    VersionTestEvaluated: Purpose.TEST,
    VersionTestEvaluationFailed: Purpose.TEST,
    VersionSuggestionsRequested: Purpose.SUGGESTIONS,
    VersionSuggestionsStarted: Purpose.SUGGESTIONS,
    VersionSuggestionsMade: Purpose.SUGGESTIONS,
    VersionSuggestionsFailed: Purpose.SUGGESTIONS,
    VersionOnnxRequested: Purpose.ONNX,
    VersionOnnxStarted: Purpose.ONNX,
    VersionOnnxMade: Purpose.ONNX,
    VersionOnnxFailed: Purpose.ONNX,
}


def purpose_of(event: Event) -> Purpose | None:
    """The purpose of the request that an event is about; None if it is about something else."""
    if isinstance(event, VersionPredictionsReported):
        return event.purpose
    return _PURPOSES.get(type(event))


def evolve(prediction: Prediction | None, event: Event) -> Prediction | None:
    """The newest request of a purpose after an event about one of them."""
    if isinstance(event, Requested | VersionOnnxRequested):
        requested = event if isinstance(event, Requested) else None
        succeeded = prediction.succeeded if prediction else 0
        return Prediction(event.number, requested, succeeded=succeeded)
    if prediction is None:
        return None
    if isinstance(event, VersionPredictionsReported):
        return msgspec.structs.replace(prediction, reported=event)
    if isinstance(event, Started):
        return msgspec.structs.replace(prediction, delivery=event.delivery, worker=event.worker)
    if isinstance(event, VersionOnnxMade):
        prediction = msgspec.structs.replace(prediction, onnx=event)
    if isinstance(event, Succeeded):
        succeeded = prediction.succeeded + 1
        return msgspec.structs.replace(
            prediction, running=False, reported=None, succeeded=succeeded
        )
    if isinstance(event, Failed):
        return msgspec.structs.replace(
            prediction, running=False, reported=None, reason=event.reason
        )
    return prediction


def report(body: messages.Predicted, purpose: Purpose, current: Prediction) -> list[Event]:
    """The event of a trainer's predictions for the running request. Raises `Invalid` for those of
    another checkpoint, or of more or fewer images."""
    requested = current.requested
    assert requested is not None
    if body.checkpoint != requested.checkpoint:
        raise Invalid(
            f"checkpoint {body.checkpoint} is not that of the request, {requested.checkpoint}",
            field="checkpoint",
        )
    if body.rows != requested.images:
        raise Invalid(
            f"{body.rows} images are predicted, and the request has {requested.images}",
            field="rows",
        )
    return [
        VersionPredictionsReported(
            purpose, current.number, body.checkpoint, body.rows, body.predictions
        )
    ]


def predictions_in_check(
    current: Prediction | None, number: int
) -> VersionPredictionsReported | None:
    """Reported predictions of a request that are neither accepted nor refused yet."""
    is_current = current is not None and current.number == number
    return current.reported if current is not None and is_current else None


def decide(
    command: AcceptPredictions | RefusePredictions, current: Prediction | None
) -> list[Event]:
    """The end of a request whose predictions were reported; none if it has ended."""
    reported = predictions_in_check(current, command.number)
    if reported is None:
        return []
    number = reported.number
    is_test = reported.purpose == Purpose.TEST
    if isinstance(command, RefusePredictions):
        failed = VersionTestEvaluationFailed if is_test else VersionSuggestionsFailed
        return [failed(number, command.reason)]
    checkpoint, rows = reported.checkpoint, reported.rows
    if is_test:
        assert command.metrics is not None
        return [
            VersionTestEvaluated(number, checkpoint, command.metrics, rows, command.predictions)
        ]
    return [VersionSuggestionsMade(number, checkpoint, rows, command.predictions)]
