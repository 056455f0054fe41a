"""Descriptions of a training's events on the trail."""

from domain.audit.trail_descriptions import Description
from domain.event import Event
from domain.formatting import counted, percent
from domain.training import adoption, messages, onnx, predictions, results, version


def of_training(
    event: Event, subject: str, status: str | None, now: str | None
) -> Description | None:
    """The description, or None for an event that is not about a training.

    `status` is the version's before the event, `now` the one after it.
    """
    changed = (status, now) if status != now else (None, None)
    match event:
        case version.DatasetFrozen() as frozen:
            counts = f"{frozen.train_images} train, {frozen.validation_images} validate"
            return Description(
                f"images of {subject} frozen: {counts}, manifest {frozen.manifest[:12]}"
            )
        case version.VersionTrainingStarted() as started:
            resumed = f", after {started.resumed_from} iterations" if started.resumed_from else ""
            again = f", delivery {started.delivery}" if started.delivery > 1 else ""
            return Description(
                f"{subject} training started on {started.device} by {started.worker},"
                f" attempt {started.attempt}{again}{resumed}",
                *changed,
            )
        case version.TrainingStepAdvanced() as step:
            return Description(
                f"{subject}: {step.step} {step.status}, {percent(step.fraction)}", *changed
            )
        case version.TrainingLengthKnown() as length:
            return Description(
                f"{subject} will take {length.iterations} iterations,"
                f" {length.iterations_per_epoch} an epoch"
            )
        case version.BatchMetricsRecorded() as batch:
            first, count = batch.first_iteration + 1, len(batch.loss)
            span = (
                f"iteration {first}" if count == 1 else f"iterations {first} to {first + count - 1}"
            )
            return Description(f"{subject}: loss {batch.loss[-1]:.4g} after {span}")
        case version.EpochMetricsRecorded() as epoch:
            return Description(f"{subject}: epoch {epoch.epoch} validated, {_epoch(epoch)}")
        case version.EpochItemsRecorded() as items:
            return Description(
                f"{subject}: {counted(items.rows, 'item')} of {counted(items.images, 'image')}"
                " measured after epoch"
                f" {items.epoch}, sha256 {items.items[:12]}"
            )
        case version.EpochItemsDiscarded(kept_versions=kept):
            return Description(
                f"{subject}: the files of its measured items deleted; those of the newest {kept}"
                f" version{'s' if kept != 1 else ''} of the view are kept"
            )
        case version.BestCheckpointSaved() as best:
            metric = best.metric.replace("_", " ")
            return Description(
                f"{subject}: best checkpoint so far saved, {metric} {best.value:.4g} in epoch"
                f" {best.epoch}, sha256 {best.checkpoint[:12]}"
            )
        case version.VersionEvaluated() as evaluated:
            metrics = _evaluation(evaluated.validation, "validation")
            return Description(f"{subject} evaluated: {metrics}")
        case results.VersionReportRefused() as refused:
            what = refused.report.replace("_", " ") or "report"
            return Description(f"{subject}: {what} {refused.sequence} refused ({refused.reason})")
        case results.VersionResultReported() as reported:
            return Description(
                f"{subject}: its worker reported the end after {reported.iterations} iterations;"
                " the server checks it"
            )
        case results.VersionResultMeasured() as measured:
            metrics = _evaluation(measured.validation, "validation")
            differ = ", ".join(_difference(one) for one in measured.differences)
            wrong = f"; the worker reported other values: {differ}" if differ else ""
            return Description(f"{subject} measured by the server: {metrics}{wrong}")
        case version.VersionTrainingCompleted() as done:
            return Description(
                f"{subject} training completed after {done.iterations} iterations,"
                f" ended by {_ENDS.get(done.ended_by, done.ended_by)}",
                *changed,
            )
        case adoption.VersionAdopted() as adopted:
            return Description(
                f"{subject} adopted, its training not witnessed: weights {adopted.checkpoint[:12]}",
                *changed,
            )
        case version.VersionTrainingFailed(reason=reason):
            return Description(f"{subject} training failed ({reason})", *changed)
        case version.VersionStopRequested():
            return Description(f"{subject} requested an early stop that keeps its best weights")
        case version.VersionTrainingCancelled():
            return Description(f"{subject} training cancelled, its weights discarded", *changed)
        case version.VersionRetried(attempt=attempt):
            return Description(f"{subject} retried, attempt {attempt}", *changed)
    return _of_prediction(event, subject)


def _difference(difference: results.MetricDifference) -> str:
    reported = "nothing" if difference.reported is None else f"{difference.reported:.6g}"
    return f"{difference.split} {difference.metric.replace('_', ' ')} {reported}"


_ENDS = {
    messages.LENGTH: "its length",
    messages.PATIENCE: "its patience",
    messages.STOP: "the request to stop early",
}


def _epoch(epoch: version.EpochMetricsRecorded) -> str:
    metrics = {
        "loss": epoch.validation_loss,
        "accuracy": epoch.validation_accuracy,
        "mAP": epoch.validation_mean_average_precision,
    } | {f"{name} (reported)": value for name, value in epoch.more.items()}
    return _listed(metrics)


def _of_prediction(event: Event, subject: str) -> Description | None:
    """The description of an event about an evaluation on the test set, suggestions, or ONNX."""
    match event:
        case onnx.VersionOnnxRequested():
            return Description(f"an ONNX file of {subject} requested")
        case onnx.VersionOnnxStarted() as started:
            again = f", delivery {started.delivery}" if started.delivery > 1 else ""
            return Description(f"{subject}: making an ONNX file started by {started.worker}{again}")
        case onnx.VersionOnnxMade() as made:
            return Description(
                f"ONNX file {made.onnx[:12]} made of {subject}, which differs from torch by"
                f" {made.difference:.2g} at most on {made.images} images"
            )
        case onnx.VersionOnnxFailed(reason=reason):
            return Description(f"{subject}: making an ONNX file failed ({reason})")
        case predictions.VersionPredictionsReported() as reported:
            return Description(
                f"{subject}: a worker reported predictions of {counted(reported.rows, 'image')},"
                f" sha256 {reported.predictions[:12]}; the server checks them"
            )
        case predictions.VersionSuggestionsRequested() as requested:
            return Description(
                f"suggestions of {subject} requested for {counted(requested.images, 'image')},"
                " manifest"
                f" {requested.manifest[:12]}{_by_trainer(requested)}"
            )
        case predictions.VersionSuggestionsStarted() as started:
            again = f", delivery {started.delivery}" if started.delivery > 1 else ""
            return Description(
                f"{subject}: suggestions started on {started.device} by {started.worker}{again}"
            )
        case predictions.VersionSuggestionsMade() as made:
            return Description(
                f"{subject} suggests annotations for {counted(made.rows, 'image')}, predictions"
                f" {made.predictions[:12]}"
            )
        case predictions.VersionSuggestionsFailed(reason=reason):
            return Description(f"{subject}: suggestions failed ({reason})")
        case predictions.VersionTestEvaluationRequested() as requested:
            return Description(
                f"{subject} to be evaluated on the test set ({requested.reason}):"
                f" {counted(requested.images, 'image')}, manifest {requested.manifest[:12]};"
                " earlier"
                f" evaluations on it: {requested.earlier_of_version} of this version,"
                f" {requested.earlier_of_view} in the view{_by_trainer(requested)}"
            )
        case predictions.VersionTestEvaluationStarted() as started:
            again = f", delivery {started.delivery}" if started.delivery > 1 else ""
            return Description(
                f"{subject}: evaluation {started.number} on the test set started on"
                f" {started.device} by {started.worker}{again}"
            )
        case predictions.VersionTestEvaluated() as evaluated:
            return Description(
                f"{subject} evaluated on the test set, evaluation {evaluated.number}:"
                f" {_evaluation(evaluated.metrics, 'test')}, predictions"
                f" {evaluated.predictions[:12]}"
            )
        case predictions.VersionTestEvaluationFailed() as failed:
            return Description(
                f"{subject}: evaluation {failed.number} on the test set failed ({failed.reason})"
            )
    return None


def _by_trainer(requested: predictions.Requested) -> str:
    return "; a worker of its trainer predicts" if requested.by_trainer else ""


def _evaluation(split: messages.SplitFigures, which: str) -> str:
    metrics = {
        "loss": split.loss,
        "accuracy": split.accuracy,
        "mAP": split.mean_average_precision,
    }
    return f"{_listed(metrics)} on {counted(split.images, f'{which} image')}"


def _listed(metrics: dict[str, float | None]) -> str:
    items = [f"{name} {value:.4g}" for name, value in metrics.items() if value is not None]
    return ", ".join(items) or "no metrics"
