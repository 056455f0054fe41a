"""Predictions with a finished version that somebody requests: on the test set of its project, and
suggestions for images that are not annotated.

Each is a job of the queue that trainings are taken from, with deliveries of its own.
"""

import msgspec

from domain.event import Event
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
    for all versions of the view, that had not failed by then.
    """

    view_id: str
    number: int
    reason: str
    checkpoint: str
    manifest: str
    images: int
    log_position: int
    earlier_of_version: int
    earlier_of_view: int


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
    `number` counts the requests for the version from 1.
    """

    view_id: str
    number: int
    checkpoint: str
    manifest: str
    images: int
    log_position: int


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


class RequestSuggestions(msgspec.Struct, frozen=True):
    """The handler sets all of it."""

    manifest: str
    images: int
    log_position: int


class RequestTestEvaluation(msgspec.Struct, frozen=True):
    """`reason` is the caller's; the handler sets the rest."""

    reason: str
    manifest: str
    images: int
    log_position: int
    earlier_of_view: int


class Prediction(msgspec.Struct, frozen=True):
    """The newest request of a kind; `succeeded` counts the results of all requests before it.

    `reason` is why it failed; `onnx` is the file that a request for one was answered with.
    """

    number: int
    running: bool = True
    delivery: int = 0
    worker: str | None = None
    succeeded: int = 0
    reason: str | None = None
    onnx: VersionOnnxMade | None = None


Requested = VersionTestEvaluationRequested | VersionSuggestionsRequested
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
    return _PURPOSES.get(type(event))


def evolve(prediction: Prediction | None, event: Event) -> Prediction | None:
    """The newest request of a purpose after an event about one of them."""
    if isinstance(event, Requested | VersionOnnxRequested):
        return Prediction(event.number, succeeded=prediction.succeeded if prediction else 0)
    if prediction is None:
        return None
    if isinstance(event, Started):
        return msgspec.structs.replace(prediction, delivery=event.delivery, worker=event.worker)
    if isinstance(event, VersionOnnxMade):
        prediction = msgspec.structs.replace(prediction, onnx=event)
    if isinstance(event, Succeeded):
        succeeded = prediction.succeeded + 1
        return msgspec.structs.replace(prediction, running=False, succeeded=succeeded)
    if isinstance(event, Failed):
        return msgspec.structs.replace(prediction, running=False, reason=event.reason)
    return prediction
