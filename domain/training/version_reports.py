"""What a worker's reports add to a version: each iteration and each epoch once, in order."""

from domain.errors import Invalid
from domain.event import Event
from domain.text import escaped_lines
from domain.training import messages, prediction_reports
from domain.training.deliveries import is_superseded
from domain.training.messages import Purpose, Report
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
    VersionTrainingCompleted,
    VersionTrainingFailed,
    VersionTrainingStarted,
    require,
)


def record(report: Report, version: Version | None) -> list[Event]:
    """The events of a worker's report; none if it is a repeat or superseded.

    Each iteration and each epoch is recorded once: a resumed run adds only those that follow.
    Raises `Conflict` if another worker has the job according to the log.
    """
    current = require(version)
    if report.purpose != Purpose.TRAINING:
        return prediction_reports.record(report, current)
    if current.status in ENDED or report.attempt != current.attempt:
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
            )
        ]
    return _record_body(body, current)


def _record_body(body: messages.AnyReport, current: Version) -> list[Event]:
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
            return [
                EpochMetricsRecorded(
                    body.epoch,
                    body.iteration,
                    body.validation_loss,
                    body.validation_accuracy,
                    body.validation_mean_average_precision,
                )
            ]
        case messages.EpochItems() if _are_new(body, current):
            return [
                EpochItemsRecorded(
                    body.epoch, body.iteration, body.items, body.images, body.rows, body.seconds
                )
            ]
        case messages.CheckpointSaved() if _is_better(body, current):
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
            return [
                VersionEvaluated(body.checkpoint, body.validation, body.train, body.predictions)
            ]
        case messages.Completed():
            return [
                VersionTrainingCompleted(
                    body.checkpoint, body.final_weights, body.iterations, body.ended_by
                )
            ]
        case messages.Failed():
            # Not refused: a failure must be recorded whatever it says.
            return [VersionTrainingFailed(escaped_lines(body.reason), body.non_finite)]
    return []


def _is_better(body: messages.CheckpointSaved, current: Version) -> bool:
    """Whether it replaces the best checkpoint so far.

    The one reported before the evaluation is final: a resumed run on a GPU may have trained an
    epoch again to other weights.
    """
    if current.best is None or body.epoch > current.best.epoch:
        return True
    return current.status == EVALUATING and body.checkpoint != current.best.checkpoint


def _are_new(body: messages.EpochItems, current: Version) -> bool:
    """Whether the epoch's items are not recorded yet, and those of earlier epochs are kept."""
    return body.epoch > current.item_epochs_recorded and not current.items_discarded


def _is_new(body: messages.Evaluated, current: VersionEvaluated | None) -> bool:
    """A retried version is evaluated again if its checkpoint is another one."""
    return current is None or current.checkpoint != body.checkpoint


def _advance(body: messages.StepAdvanced, current: Version) -> list[Event]:
    if body.step not in STEPS or body.step == QUEUED:
        raise Invalid(f"step {body.step!r} is none of a worker's", field="step")
    if body.status not in {RUNNING, DONE, FAILED, SKIPPED} or not 0 <= body.fraction <= 1:
        raise Invalid(f"{body.status} at {body.fraction} is no progress", field="status")
    status, fraction = current.steps.get(body.step, (PENDING, -1.0))
    if status == DONE or (body.status == status and body.fraction <= fraction):
        return []
    return [TrainingStepAdvanced(body.step, body.status, body.fraction)]


def _new_iterations(body: messages.BatchMetrics, current: Version) -> list[Event]:
    if len(body.learning_rate) != len(body.loss):
        raise Invalid("a learning rate and a loss belong to every iteration", field="loss")
    seen = max(current.iterations_recorded - body.first_iteration, 0)
    if seen >= len(body.loss):
        return []
    return [
        BatchMetricsRecorded(
            body.first_iteration + seen, body.learning_rate[seen:], body.loss[seen:]
        )
    ]
