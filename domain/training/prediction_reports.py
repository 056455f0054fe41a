"""What a worker's reports of a request add to a version: one result, or a failure."""

from domain.event import Event
from domain.text import escaped_lines
from domain.training import messages
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

    Raises `Conflict` if another worker has the job according to the log.
    """
    current, body = version.predictions.get(report.purpose), report.body
    if current is None or not current.running or report.attempt != current.number:
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
