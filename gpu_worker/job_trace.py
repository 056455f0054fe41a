"""The trace of a job in a worker: spans of its delivery, its steps and its epochs."""

import time
from contextlib import AbstractContextManager

from adapters.observability import tracing
from domain.trace_context import span_id_of, traceparent
from domain.training.jobs import Job, purpose_of
from domain.training.messages import (
    AnyReport,
    BatchMetrics,
    CheckpointSaved,
    EpochItems,
    EpochMetrics,
    Purpose,
    StepAdvanced,
)

_NAMES = {
    Purpose.TRAINING: "train",
    Purpose.TEST: "predict",
    Purpose.SUGGESTIONS: "predict",
    Purpose.ONNX: "make ONNX file",
}


class JobTrace:
    """The trace of one delivery. The id of its span is derived from the delivery's, so that the
    ingest of its reports knows their parent."""

    def __init__(self, job: Job, number: int) -> None:
        self._job = job
        self._name = f"{job.message_id}:{number}"
        self._steps: dict[str, int] = {}
        self._epoch_began = 0

    def delivery(self, worker: str) -> AbstractContextManager[None]:
        """The span of the delivery; its parent is the span that sent the job."""
        return tracing.span(
            _NAMES[purpose_of(self._job)],
            self._job.correlation_id,
            parent=span_id_of(self._job.message_id),
            own=span_id_of(self._name),
            kind="consumer",
            attributes={
                "stemma.version_id": self._job.version_id,
                "stemma.delivery": self._name,
                "stemma.worker": worker,
            },
        )

    def headers(self, body: AnyReport) -> dict[str, str]:
        """The headers of a report. Progress and metrics have no trace: they would flood it."""
        if isinstance(body, (BatchMetrics, EpochItems, StepAdvanced)):
            return {}
        return {"traceparent": traceparent(self._job.correlation_id, self._name)}

    def record(self, body: AnyReport) -> None:
        """Record the span that ends with this report: a step, an epoch, or a saved checkpoint."""
        now = time.time_ns()
        match body:
            case StepAdvanced(step=step, status="running"):
                self._steps.setdefault(step, now)
                if step == "training":
                    self._epoch_began = self._epoch_began or now
            case StepAdvanced(step=step, status=status):
                self._record(step, self._steps.pop(step, now), now, status=status)
            case EpochMetrics(epoch=epoch, validation_loss=loss):
                self._record("epoch", self._epoch_began, now, number=epoch, validation_loss=loss)
                self._epoch_began = now
            case CheckpointSaved(checkpoint=checkpoint, epoch=epoch):
                self._record("save checkpoint", now, now, checkpoint=checkpoint, number=epoch)

    def _record(self, name: str, began: int, ended: int, **attributes: str | int | float) -> None:
        tracing.record(
            name,
            self._job.correlation_id,
            began or ended,
            ended,
            parent=span_id_of(self._name),
            attributes={f"stemma.{key}": value for key, value in attributes.items()},
        )
