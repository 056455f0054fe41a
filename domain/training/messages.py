"""Jobs and reports: what travels between the backend and a GPU worker, and shared types."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from domain.training.options import TrainingOptions

LENGTH, PATIENCE, STOP = "length", "patience", "stop"

Count = Annotated[int, msgspec.Meta(ge=0, le=2_000_000_000)]
"""The largest value of a column of a read model: a report beyond it would stop the read model."""

Size = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Text = Annotated[str, msgspec.Meta(max_length=10_000, pattern=r"\A[^\x00]*\Z")]
"""PostgreSQL stores no NUL."""

Name = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_.-]{1,100}\Z")]
Digest = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
"""A sha256 in hexadecimal, by which a blob lies in the store."""

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]

MetricName = Annotated[str, msgspec.Meta(pattern=r"\A[a-z][a-z0-9_]{0,49}\Z")]
OwnMetrics = Annotated[dict[MetricName, float], msgspec.Meta(max_length=20)]
"""Metrics that a trainer measures itself, by its own names."""

CorrelationId = Annotated[str, msgspec.Meta(max_length=200, pattern=r"\A[^\x00-\x1f\x7f]*\Z")]


class ConceptLabel(msgspec.Struct, frozen=True):
    """A concept as a trained head knows it: output number i answers the i-th of these."""

    concept_id: str
    label: str


class InitialWeights(msgspec.Struct, frozen=True):
    """Weights to start from: safetensors, or what torch saved, in the blob store by its sha256.

    `origin` is the data they were pretrained on, or the id of the version that they are the
    checkpoint of; then output i of their head answers the i-th of `concepts`.
    """

    blob: str
    origin: str
    concepts: tuple[str, ...] | None = None


class Purpose(StrEnum):
    """What a job is for."""

    TRAINING = "training"
    TEST = "test"
    SUGGESTIONS = "suggestions"
    ONNX = "onnx"


class TrainJob(msgspec.Struct, frozen=True, tag_field="job", tag="train"):
    """Train one attempt of a version on its frozen manifest.

    `manifest` is the sha256 of the manifest's canonical JSON lines, under which they lie packed in
    the blob store.
    `deliveries_before` counts those of this attempt through a queue that was lost since.
    `grey_bits` are those of the 16-bit grey values of its images; None stands for 16.
    `token` is what a report on the job has to show: only who was given the job knows it.
    """

    version_id: str
    attempt: int
    kind: str
    concepts: tuple[ConceptLabel, ...]
    options: TrainingOptions
    manifest: str
    correlation_id: str
    deliveries_before: int = 0
    initial_weights: InitialWeights | None = None
    token: str = ""
    grey_bits: int | None = None

    @property
    def key(self) -> str:
        """What tells it from other jobs of the version."""
        return job_key(Purpose.TRAINING, self.attempt)

    @property
    def message_id(self) -> str:
        """The id that makes a repeated dispatch of the same attempt harmless."""
        return f"{self.version_id}:{self.key}"


def job_key(purpose: Purpose, attempt: int) -> str:
    return f"{attempt}" if purpose == Purpose.TRAINING else f"{purpose}-{attempt}"


class WorkerPresence(msgspec.Struct, frozen=True):
    """Who is there, and since when it has been at that version (or idle, without one).

    `trouble` is what it tries again and again, as publishing a report, and why.
    """

    worker: Name
    device: Text
    version_id: Name | None
    since: datetime
    trouble: Text = ""


class Desired(StrEnum):
    """Desired states of a running training: ended at once, or after its epoch."""

    CANCEL = "cancel"
    STOP = "stop"


class DesiredState(msgspec.Struct, frozen=True):
    """The desired state of a version, set during one of its attempts."""

    attempt: int
    desired: Desired

    def applies_to(self, job: TrainJob) -> Desired | None:
        """The desired state of a job, if any: a cancellation applies to older attempts too, a stop
        only to its own attempt."""
        if self.desired == Desired.CANCEL:
            return Desired.CANCEL if self.attempt >= job.attempt else None
        return Desired.STOP if self.attempt == job.attempt else None

    def supersedes(self, other: "DesiredState") -> bool:
        """Whether this replaces the other: a newer attempt does, and a cancellation a stop."""
        if self.attempt != other.attempt:
            return self.attempt > other.attempt
        return self.desired == Desired.CANCEL and other.desired == Desired.STOP


class ReportBody(msgspec.Struct, frozen=True, tag_field="report"):
    """What a worker has to say. The tag is its frozen name on the wire."""


class Started(ReportBody, frozen=True, tag="started"):
    """Work began, from nothing or from a checkpoint after `resumed_from` iterations.

    `source` is the sha256 of the stored archive of the trainer's code, if there is one.
    """

    worker: Text
    device: Text
    environment: dict[Text, Text]
    resumed_from: Count
    source: Digest | None = None


class StepAdvanced(ReportBody, frozen=True, tag="step_advanced"):
    """A step of the progress bar moved: status is running, done, failed or skipped.

    `fraction` of the step done is in [0, 1].
    """

    step: Text
    status: Text
    fraction: float


class DataPrepared(ReportBody, frozen=True, tag="data_prepared"):
    """Images are at hand: how long one epoch and the whole training will be, in iterations.

    An epoch draws `samples` images; `drawn` is how many of them hold each concept, by its id.
    """

    iterations_per_epoch: Count
    iterations: Count
    samples: Count = 0
    drawn: dict[Text, Count] = {}


class BatchMetrics(ReportBody, frozen=True, tag="batch_metrics"):
    """Learning rate and loss of consecutive iterations, the first of them numbered from 0."""

    first_iteration: Count
    learning_rate: tuple[float, ...]
    loss: tuple[float, ...]


class EpochMetrics(ReportBody, frozen=True, tag="epoch_metrics"):
    """The validation set's metrics after `epoch` (counted from 1) at `iteration` iterations.

    `accuracy` is in [0, 1], and not measured for detection; `mean_average_precision` is not
    measured for classification. `more` are a trainer's own metrics.
    """

    epoch: Count
    iteration: Count
    validation_loss: float
    validation_accuracy: Share | None
    validation_mean_average_precision: Share | None = None
    more: OwnMetrics = {}


class EpochItems(ReportBody, frozen=True, tag="epoch_items"):
    """The items of the sample after `epoch`: `items` is the sha256 of their Parquet file.

    It has `rows` items of `images` images; measuring and storing them took `seconds`.
    """

    epoch: Count
    iteration: Count
    items: Digest
    images: Count
    rows: Count
    seconds: float


class CheckpointSaved(ReportBody, frozen=True, tag="checkpoint_saved"):
    """The best weights so far are in the blob store as safetensors under their sha256.

    `metric` has the value `value`; `validation_loss` decides between equal ones.
    """

    checkpoint: Digest
    bytes: Size
    metric: Text
    value: float
    epoch: Count
    validation_loss: float | None = None


class SplitFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint comes to on a split's images; None is what its kind does not measure.

    `accuracy` is of images (classification) or of their single answers at threshold 0.5 (tagging).
    The mean average precision of detection is COCO's: over IoU 0.50 to 0.95, at 0.50, at 0.75.
    `calibration_error` is the expected calibration error (Naeini et al. 2015) in ten bins, of the
    highest scores (classification) or of all of them (tagging); it is not measured for detection,
    and earlier releases did not.
    """

    images: int
    loss: float | None = None
    accuracy: float | None = None
    mean_average_precision: float | None = None
    map_50: float | None = None
    map_75: float | None = None
    calibration_error: float | None = None


class Evaluated(ReportBody, frozen=True, tag="evaluated"):
    """The saved checkpoint's metrics, and its predictions: a Parquet file, by its sha256."""

    checkpoint: Digest
    validation: SplitFigures
    train: SplitFigures
    predictions: Digest


class Predicted(ReportBody, frozen=True, tag="predicted"):
    """The images of a manifest are predicted by a saved checkpoint.

    `predictions` is the sha256 of their Parquet file, which has `rows` images. `metrics` are None
    for images without annotation.
    """

    checkpoint: Digest
    metrics: SplitFigures | None
    rows: Count
    predictions: Digest


class OnnxMade(ReportBody, frozen=True, tag="onnx_made"):
    """The saved checkpoint is in the blob store as an ONNX file of `bytes` bytes, under its sha256.

    On `images` of the dataset its outputs differ from torch's by at most `difference`.
    """

    checkpoint: Digest
    onnx: Digest
    bytes: Size
    images: Count
    difference: float


class Completed(ReportBody, frozen=True, tag="completed"):
    """Training ended well. `final_weights` is the sha256 of the last iteration's weights.

    `ended_by` says what ended it: its length, its patience, or the request to stop early.
    """

    checkpoint: Digest
    final_weights: Digest
    iterations: Count
    ended_by: Text = LENGTH


class Failed(ReportBody, frozen=True, tag="failed"):
    """Training ended badly: the reason in the user's words, with what to change.

    `non_finite` says that an output, a loss or a metric stopped being a finite number.
    """

    reason: str
    non_finite: bool = False


AnyReport = (
    Started
    | StepAdvanced
    | DataPrepared
    | BatchMetrics
    | EpochMetrics
    | EpochItems
    | CheckpointSaved
    | Evaluated
    | Predicted
    | OnnxMade
    | Completed
    | Failed
)


class Report(msgspec.Struct, frozen=True):
    """One report. `attempt` and `delivery` fence: those of a superseded run are ignored.

    `attempt` counts the user's tries, or requests of another purpose than a training; `delivery`
    how often the queue handed this one out. `token` is the job's.
    """

    version_id: Name
    attempt: Count
    delivery: Count
    sequence: Size
    at: datetime
    worker: Name
    correlation_id: CorrelationId
    body: AnyReport
    token: str = ""
    purpose: Purpose = Purpose.TRAINING

    @property
    def message_id(self) -> str:
        """The id that makes a repeated publish of the same report harmless."""
        key = job_key(self.purpose, self.attempt)
        return f"{self.version_id}:{key}:{self.delivery}:{self.sequence}"


Sides = tuple[float, float, float, float]
"""Of a box: left, top, width and height, as shares of the image's sides."""


class ManifestLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One item of a version's frozen dataset; `concepts` are the ids it is annotated with.

    `image` is the image's id. For a crop, it is the id with `:` and the crop's number, and `crop`
    is where it lies. In a detection view `boxes` has the box of each concept.
    """

    image: str
    blob: str
    split: str
    concepts: tuple[str, ...]
    boxes: tuple[Sides, ...] = ()
    crop: Sides | None = None
