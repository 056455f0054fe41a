"""Jobs and reports: what travels between the backend and a GPU worker, and all they share."""

from datetime import datetime

import msgspec

from domain.options import TrainingOptions


class ConceptLabel(msgspec.Struct, frozen=True):
    """A concept as a trained head knows it: output number i answers the i-th of these."""

    concept_id: str
    label: str


class TrainJob(msgspec.Struct, frozen=True):
    """Train one attempt of a version on its frozen manifest.

    `manifest` is the sha256 of the manifest's canonical JSON lines, under which they lie packed in
    the blob store.
    `deliveries_before` counts those of this attempt through a queue that was lost since.
    """

    version_id: str
    attempt: int
    kind: str
    concepts: tuple[ConceptLabel, ...]
    options: TrainingOptions
    manifest: str
    correlation_id: str
    deliveries_before: int = 0

    @property
    def message_id(self) -> str:
        """The id that makes a repeated dispatch of the same attempt harmless."""
        return f"{self.version_id}:{self.attempt}"


class ReportBody(msgspec.Struct, frozen=True, tag_field="report"):
    """What a worker has to say. The tag is its frozen name on the wire."""


class Started(ReportBody, frozen=True, tag="started"):
    """Work began, from nothing or from a checkpoint after `resumed_from` iterations."""

    worker: str
    device: str
    environment: dict[str, str]
    resumed_from: int


class StepAdvanced(ReportBody, frozen=True, tag="step_advanced"):
    """A step of the progress bar moved: status is running, done, failed or skipped.

    `fraction` of the step done is in [0, 1].
    """

    step: str
    status: str
    fraction: float


class DataPrepared(ReportBody, frozen=True, tag="data_prepared"):
    """Images are at hand: how long one epoch and the whole training will be, in iterations."""

    iterations_per_epoch: int
    iterations: int


class BatchMetrics(ReportBody, frozen=True, tag="batch_metrics"):
    """Learning rate and loss of consecutive iterations, the first of them numbered from 0."""

    first_iteration: int
    learning_rate: tuple[float, ...]
    loss: tuple[float, ...]


class EpochMetrics(ReportBody, frozen=True, tag="epoch_metrics"):
    """The validation set's figures after `epoch` (counted from 1) at `iteration` iterations.

    `accuracy` is in [0, 1]; `mean_average_precision` is not measured for classification.
    """

    epoch: int
    iteration: int
    validation_loss: float
    validation_accuracy: float
    validation_mean_average_precision: float | None = None


class CheckpointSaved(ReportBody, frozen=True, tag="checkpoint_saved"):
    """The best weights so far are in the blob store as safetensors under their sha256."""

    checkpoint: str
    bytes: int
    metric: str
    value: float
    epoch: int


class Evaluated(ReportBody, frozen=True, tag="evaluated"):
    """The saved checkpoint's figures on the frozen validation images."""

    checkpoint: str
    validation_loss: float
    validation_accuracy: float
    validation_images: int


class Completed(ReportBody, frozen=True, tag="completed"):
    """Training ended well. `final_weights` is the sha256 of the last iteration's weights."""

    checkpoint: str
    final_weights: str
    iterations: int


class Failed(ReportBody, frozen=True, tag="failed"):
    """Training ended badly: the reason in the user's words, with what to change."""

    reason: str


AnyReport = (
    Started
    | StepAdvanced
    | DataPrepared
    | BatchMetrics
    | EpochMetrics
    | CheckpointSaved
    | Evaluated
    | Completed
    | Failed
)


class Report(msgspec.Struct, frozen=True):
    """One report. `attempt` and `delivery` fence: those of a superseded run are ignored.

    `attempt` counts the user's tries, `delivery` how often the queue handed this try out.
    """

    version_id: str
    attempt: int
    delivery: int
    sequence: int
    at: datetime
    worker: str
    correlation_id: str
    body: AnyReport

    @property
    def message_id(self) -> str:
        """The id that makes a repeated publish of the same report harmless."""
        return f"{self.version_id}:{self.attempt}:{self.delivery}:{self.sequence}"


class ManifestLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One image of a version's frozen dataset; `concepts` are the ids it is annotated with.

    In a detection view `boxes` has the box of each: left, top, width and height, as shares of the
    image's sides.
    """

    image: str
    blob: str
    split: str
    concepts: tuple[str, ...]
    boxes: tuple[tuple[float, float, float, float], ...] = ()
