"""What a worker's reports add to a version: each iteration and each epoch once, in order."""

from domain.errors import Conflict, Invalid
from domain.event import Event
from domain.training import messages
from domain.training.messages import Report
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
    """What a worker's report adds to what is known; nothing, if it is a repeat or superseded.

    Each iteration and each epoch is recorded once: of a resumed run only what goes beyond it.
    Raises `Conflict` where another worker has the job, as far as the log can tell.
    """
    known = require(version)
    if known.status in ENDED or report.attempt != known.attempt:
        return []
    body = report.body
    if isinstance(body, messages.Started):
        if report.delivery <= known.delivery:
            return []
        if body.worker != report.worker:
            raise Conflict(f"worker {report.worker} cannot start in the name of {body.worker}")
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
    if report.delivery < known.delivery:
        return []
    if report.delivery == known.delivery and known.worker not in {None, report.worker}:
        raise Conflict(f"worker {known.worker} has the job, and not {report.worker}")
    return _record_body(body, known)


def _record_body(body: messages.AnyReport, known: Version) -> list[Event]:
    match body:
        case messages.StepAdvanced():
            return _advance(body, known)
        case messages.DataPrepared():
            length = TrainingLengthKnown(
                body.iterations_per_epoch, body.iterations, body.samples, body.drawn
            )
            return [] if known.length == length else [length]
        case messages.BatchMetrics():
            return _new_iterations(body, known)
        case messages.EpochMetrics() if body.epoch > known.epochs_recorded:
            return [
                EpochMetricsRecorded(
                    body.epoch,
                    body.iteration,
                    body.validation_loss,
                    body.validation_accuracy,
                    body.validation_mean_average_precision,
                )
            ]
        case messages.CheckpointSaved() if _is_better(body, known):
            return [
                BestCheckpointSaved(
                    body.checkpoint, body.bytes, body.metric, body.value, body.epoch
                )
            ]
        case messages.Evaluated() if _is_news(body, known.evaluated):
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
            # PostgreSQL stores no NUL, and a failure must be recorded whatever it says.
            return [VersionTrainingFailed(body.reason.replace("\0", "\ufffd"))]
    return []


def _is_better(body: messages.CheckpointSaved, known: Version) -> bool:
    """Whether it takes the place of the best so far.

    The one told before it is evaluated is the run's last word: a resumed run on a GPU may have
    trained an epoch again to other weights.
    """
    if known.best is None or body.epoch > known.best.epoch:
        return True
    return known.status == EVALUATING and body.checkpoint != known.best.checkpoint


def _is_news(body: messages.Evaluated, known: VersionEvaluated | None) -> bool:
    """A retried version is evaluated again if its checkpoint is another one."""
    return known is None or known.checkpoint != body.checkpoint


def _advance(body: messages.StepAdvanced, known: Version) -> list[Event]:
    if body.step not in STEPS or body.step == QUEUED:
        raise Invalid(f"step {body.step!r} is none of a worker's", field="step")
    if body.status not in {RUNNING, DONE, FAILED, SKIPPED} or not 0 <= body.fraction <= 1:
        raise Invalid(f"{body.status} at {body.fraction} is no progress", field="status")
    status, fraction = known.steps.get(body.step, (PENDING, -1.0))
    if status == DONE or (body.status == status and body.fraction <= fraction):
        return []
    return [TrainingStepAdvanced(body.step, body.status, body.fraction)]


def _new_iterations(body: messages.BatchMetrics, known: Version) -> list[Event]:
    if len(body.learning_rate) != len(body.loss):
        raise Invalid("a learning rate and a loss belong to every iteration", field="loss")
    seen = max(known.iterations_recorded - body.first_iteration, 0)
    if seen >= len(body.loss):
        return []
    return [
        BatchMetricsRecorded(
            body.first_iteration + seen, body.learning_rate[seen:], body.loss[seen:]
        )
    ]
