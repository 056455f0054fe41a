"""What a worker's reports of a request add to a version: one result, or a failure."""

from domain.event import Event
from domain.text import MAX_REASON, escaped, escaped_lines
from domain.training import messages, predictions
from domain.training.deliveries import is_superseded
from domain.training.messages import Purpose, Report
from domain.training.onnx import VersionOnnxFailed, VersionOnnxMade, VersionOnnxStarted
from domain.training.predictions import (
    VersionSuggestionsFailed,
    VersionSuggestionsMade,
    VersionSuggestionsStarted,
    VersionTestEvaluated,
    VersionTestEvaluationFailed,
    VersionTestEvaluationStarted,
)
from domain.training.version import Version

_Events = tuple[
    type[VersionTestEvaluationStarted | VersionSuggestionsStarted | VersionOnnxStarted],
    type[VersionTestEvaluationFailed | VersionSuggestionsFailed | VersionOnnxFailed],
]
_EVENTS: dict[Purpose, _Events] = {
    Purpose.TEST: (VersionTestEvaluationStarted, VersionTestEvaluationFailed),
    Purpose.SUGGESTIONS: (VersionSuggestionsStarted, VersionSuggestionsFailed),
    Purpose.ONNX: (VersionOnnxStarted, VersionOnnxFailed),
}
"""That work on a request of a purpose began, and that it failed."""


def record(report: Report, version: Version) -> list[Event]:
    """The events of a report; none if it is a repeat, superseded, or its request has ended.

    Raises `Conflict` if another worker has the job according to the log, and `Invalid` for
    predictions that cannot be those of the request.
    """
    current, body = _running(report, version), report.body
    if current is None:
        return []
    if is_superseded(report, current.delivery, current.worker):
        return []
    number, (started, failed) = current.number, _EVENTS[report.purpose]
    match body:
        case messages.Started():
            return [started(number, report.delivery, body.worker, body.device, body.environment)]
        case messages.Failed(reason=reason):
            # Not refused: a failure must be recorded whatever it says.
            return [failed(number, escaped_lines(reason))]
        case messages.Predicted() if current.requested and version.created.trainer is not None:
            return predictions.report(body, report.purpose, current)
        case messages.Predicted() if report.purpose == Purpose.SUGGESTIONS:
            return [VersionSuggestionsMade(number, body.checkpoint, body.rows, body.predictions)]
        case messages.Predicted(metrics=metrics) if metrics and report.purpose == Purpose.TEST:
            return [
                VersionTestEvaluated(number, body.checkpoint, metrics, body.rows, body.predictions)
            ]
        case messages.OnnxMade() if report.purpose == Purpose.ONNX:
            return [
                VersionOnnxMade(
                    number,
                    body.checkpoint,
                    body.onnx,
                    body.bytes,
                    body.images,
                    body.difference,
                )
            ]
    return []


def refuse(report: Report, reason: str, version: Version) -> list[Event]:
    """The failure of the request whose report was refused: its result will not come. None if the
    report is a repeat or superseded, or its request has ended."""
    current = _running(report, version)
    if current is None or report.delivery < current.delivery:
        return []
    if current.worker not in {None, report.worker}:
        return []
    _, failed = _EVENTS[report.purpose]
    return [
        failed(
            current.number, f"a report of its worker was refused: {escaped(reason)}"[:MAX_REASON]
        )
    ]


def _running(report: Report, version: Version) -> predictions.Prediction | None:
    """The request that a report is about, unless it has ended, or its predictions are in check."""
    current = version.predictions.get(report.purpose)
    if current is None or not current.running or current.reported is not None:
        return None
    return current if report.attempt == current.number else None
