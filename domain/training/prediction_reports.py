"""What a worker's reports of a requested prediction add to a version: one result, or a failure."""

from domain.event import Event
from domain.text import escaped_lines
from domain.training import messages
from domain.training.deliveries import is_superseded
from domain.training.messages import Purpose, Report
from domain.training.predictions import (
    VersionSuggestionsFailed,
    VersionSuggestionsMade,
    VersionSuggestionsStarted,
    VersionTestEvaluated,
    VersionTestEvaluationFailed,
    VersionTestEvaluationStarted,
)
from domain.training.version import Version


def record(report: Report, version: Version) -> list[Event]:
    """The events of a report; none if it is a repeat, superseded, or its request has ended.

    Raises `Conflict` if another worker has the job according to the log.
    """
    current, body = version.predictions.get(report.purpose), report.body
    if current is None or not current.running or report.attempt != current.number:
        return []
    if is_superseded(report, current.delivery, current.worker):
        return []
    tests = report.purpose == Purpose.TEST
    if isinstance(body, messages.Started):
        started = VersionTestEvaluationStarted if tests else VersionSuggestionsStarted
        return [
            started(current.number, report.delivery, body.worker, body.device, body.environment)
        ]
    match body:
        case messages.Predicted(metrics=metrics) if tests and metrics is not None:
            return [
                VersionTestEvaluated(
                    current.number, body.checkpoint, metrics, body.rows, body.predictions
                )
            ]
        case messages.Predicted() if not tests:
            return [
                VersionSuggestionsMade(current.number, body.checkpoint, body.rows, body.predictions)
            ]
        case messages.Failed(reason=reason):
            # Not refused: a failure must be recorded whatever it says.
            failed = VersionTestEvaluationFailed if tests else VersionSuggestionsFailed
            return [failed(current.number, escaped_lines(reason))]
    return []
