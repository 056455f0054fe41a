"""What a worker's reports add to a version: each iteration and each epoch once, in order."""

from domain.errors import Invalid
from domain.event import Event
from domain.text import MAX_REASON, escaped, escaped_lines
from domain.training import messages, prediction_reports
from domain.training.deliveries import is_superseded
from domain.training.messages import Purpose, Report, SplitFigures
from domain.training.predictions import VersionPredictionsReported
from domain.training.results import MOST_REFUSED, VersionReportRefused, VersionResultReported
from domain.training.version import (
    DONE,
    ENDED,
    EVALUATING,
    FAILED,
    PENDING,
    QUEUED,
    RUNNING,
    SKIPPED,
    STEPS,
    BatchMetricsRecorded,
    BestCheckpointSaved,
    EpochItemsRecorded,
    EpochMetricsRecorded,
    TrainingLengthKnown,
    TrainingStepAdvanced,
    Version,
    VersionEvaluated,
    VersionTrainingFailed,
    VersionTrainingStarted,
    require,
)


def record(report: Report, version: Version | None) -> list[Event]:
    """The events of a worker's report; none if it is a repeat or superseded.

    Each iteration and each epoch is recorded once and without a gap: a resumed run adds only those
    that follow. Nothing is recorded while a reported result is checked. Raises `Invalid` for a
    report that cannot be right, and `Conflict` if another worker has the job according to the log.
    """
    current = require(version)
    if report.purpose != Purpose.TRAINING:
        return prediction_reports.record(report, current)
    if not _counts(report, current):
        return []
    if is_superseded(report, current.delivery, current.worker):
        return []
    body = report.body
    if isinstance(body, messages.Started):
        return [
            VersionTrainingStarted(
                report.attempt,
                report.delivery,
                body.worker,
                body.device,
                body.environment,
                body.resumed_from,
                body.source,
            )
        ]
    return _record_body(report, body, current)


def refuse(report: Report, tag: str, reason: str, version: Version | None) -> list[Event]:
    """The event of a refused report of a training, or the failure of the request that another is
    about; none if it is a repeat, superseded, or one of too many."""
    current = require(version)
    if report.purpose != Purpose.TRAINING:
        return prediction_reports.refuse(report, reason, current)
    if not _counts(report, current):
        return []
    if report.delivery < current.delivery or current.worker not in {None, report.worker}:
        return []
    known = {(refused.delivery, refused.sequence) for refused in current.refused}
    if len(known) >= MOST_REFUSED or (report.delivery, report.sequence) in known:
        return []
    reason = escaped(reason)[:MAX_REASON]
    return [
        VersionReportRefused(
            report.attempt, report.delivery, report.sequence, escaped(tag)[:100], reason
        )
    ]


def files_named_by(event: Event) -> dict[str, str]:
    """The files that an event of a report names first, by the report's fields."""
    match event:
        case VersionTrainingStarted(source=str() as source):
            return {"source": source}
        case BestCheckpointSaved(checkpoint=checkpoint):
            return {"checkpoint": checkpoint}
        case VersionEvaluated(predictions=str() as predictions):
            return {"predictions": predictions}
        case VersionPredictionsReported(predictions=predictions):
            return {"predictions": predictions}
        case EpochItemsRecorded(items=items):
            return {"items": items}
    return {}


def _counts(report: Report, current: Version) -> bool:
    """Whether an attempt's report is of the one that runs, and its end is not reported yet."""
    if current.status in ENDED or current.reported is not None:
        return False
    return report.attempt == current.attempt


def _record_body(report: Report, body: messages.AnyReport, current: Version) -> list[Event]:
    match body:
        case messages.StepAdvanced():
            return _advance(body, current)
        case messages.DataPrepared():
            length = TrainingLengthKnown(
                body.iterations_per_epoch, body.iterations, body.samples, body.drawn
            )
            return [] if current.length == length else [length]
        case messages.BatchMetrics():
            return _new_iterations(body, current)
        case messages.EpochMetrics() if body.epoch > current.epochs_recorded:
            _refuse_gap(body.epoch, current.epochs_recorded + 1, "epoch")
            return [
                EpochMetricsRecorded(
                    body.epoch,
                    body.iteration,
                    body.validation_loss,
                    body.validation_accuracy,
                    body.validation_mean_average_precision,
                    body.more,
                )
            ]
        case messages.EpochItems() if _are_new(body, current):
            return [
                EpochItemsRecorded(
                    body.epoch, body.iteration, body.items, body.images, body.rows, body.seconds
                )
            ]
        case messages.CheckpointSaved() if _is_better(body, current):
            _refuse_impossible(body.value if body.metric in _SHARES else None, body.metric)
            return [
                BestCheckpointSaved(
                    body.checkpoint,
                    body.bytes,
                    body.metric,
                    body.value,
                    body.epoch,
                    body.validation_loss,
                )
            ]
        case messages.Evaluated() if _is_new(body, current.evaluated):
            for split in (body.validation, body.train):
                for metric in SplitFigures.__struct_fields__[2:]:
                    _refuse_impossible(getattr(split, metric), metric)
            return [
                VersionEvaluated(body.checkpoint, body.validation, body.train, body.predictions)
            ]
        case messages.Completed():
            return [
                VersionResultReported(
                    report.attempt,
                    report.delivery,
                    body.checkpoint,
                    body.final_weights,
                    body.iterations,
                    body.ended_by,
                )
            ]
        case messages.Failed():
            # Not refused: a failure must be recorded whatever it says.
            return [VersionTrainingFailed(escaped_lines(body.reason), body.non_finite)]
    return []


_SHARES = frozenset({"validation_accuracy", "validation_mean_average_precision"})


def _refuse_impossible(value: float | None, metric: str) -> None:
    if value is not None and not 0 <= value <= 1:
        raise Invalid(f"{metric} must be from 0 to 1, got {value}", field=metric)


def _refuse_gap(first: int, following: int, what: str) -> None:
    if first > following:
        raise Invalid(
            f"{what} {first} does not follow on what is recorded; {what} {following} is next",
            field=what,
        )


def _is_better(body: messages.CheckpointSaved, current: Version) -> bool:
    """Whether it replaces the best checkpoint so far.

    The one reported before the evaluation is final: a resumed run on a GPU may have trained an
    epoch again to other weights.
    """
    if current.best is None or body.epoch > current.best.epoch:
        return True
    stored = current.best.checkpoint, current.best.bytes
    return current.status == EVALUATING and (body.checkpoint, body.bytes) != stored


def _are_new(body: messages.EpochItems, current: Version) -> bool:
    """Whether the epoch's items are not recorded yet, and those of earlier epochs are kept."""
    return body.epoch > current.item_epochs_recorded and not current.items_discarded


def _is_new(body: messages.Evaluated, current: VersionEvaluated | None) -> bool:
    """A retried version is evaluated again if its checkpoint, or what it predicts, is another."""
    evaluated = body.checkpoint, body.predictions
    return current is None or (current.checkpoint, current.predictions) != evaluated


def _advance(body: messages.StepAdvanced, current: Version) -> list[Event]:
    if body.step not in STEPS or body.step == QUEUED:
        raise Invalid(f"step {body.step!r} is not one of a worker's steps", field="step")
    if body.status not in {RUNNING, DONE, FAILED, SKIPPED} or not 0 <= body.fraction <= 1:
        raise Invalid(f"{body.status} at {body.fraction} is not progress", field="status")
    status, fraction = current.steps.get(body.step, (PENDING, -1.0))
    if status == DONE or (body.status == status and body.fraction <= fraction):
        return []
    return [TrainingStepAdvanced(body.step, body.status, body.fraction)]


def _new_iterations(body: messages.BatchMetrics, current: Version) -> list[Event]:
    if len(body.learning_rate) != len(body.loss):
        raise Invalid("every iteration needs a learning rate and a loss", field="loss")
    _refuse_gap(body.first_iteration, current.iterations_recorded, "iteration")
    seen = max(current.iterations_recorded - body.first_iteration, 0)
    if seen >= len(body.loss):
        return []
    return [
        BatchMetricsRecorded(
            body.first_iteration + seen, body.learning_rate[seen:], body.loss[seen:]
        )
    ]
