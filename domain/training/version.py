"""A model version: one architecture with its options, trained on one frozen set of images."""

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from domain.errors import Conflict, Invalid, NotFound
from domain.event import Event
from domain.library.view import CLASSIFICATION, DETECTION
from domain.text import MAX_REASON, clean_name
from domain.trainers.trainer import ONNX, TrainerUse
from domain.training import messages, predictions
from domain.training.adoption import Adoption, VersionAdopted, check_adoption
from domain.training.manifest import ManifestCounts
from domain.training.messages import ConceptLabel, InitialWeights, Purpose, SplitFigures
from domain.training.onnx import RequestOnnx, VersionOnnxRequested
from domain.training.options import TrainingOptions
from domain.training.predictions import (
    AcceptPredictions,
    Prediction,
    RefusePredictions,
    RequestSuggestions,
    RequestTestEvaluation,
    VersionSuggestionsRequested,
    VersionTestEvaluationRequested,
)
from domain.training.results import (
    AcceptResult,
    RefuseResult,
    VersionReportRefused,
    VersionResultMeasured,
    VersionResultReported,
)

QUEUED, PREPARING, TRAINING, EVALUATING = "queued", "preparing", "training", "evaluating"
SAVING = "saving"
READY, STOPPED, CANCELLED, FAILED = "ready", "stopped", "cancelled", "failed"
ENDED = frozenset({READY, STOPPED, CANCELLED, FAILED})
FINISHED = frozenset({READY, STOPPED})
"""With weights for good: the training has come to its end, or was stopped early."""
STOPPABLE = frozenset({PREPARING, TRAINING})

STEPS = (QUEUED, PREPARING, TRAINING, EVALUATING, SAVING)
_SHARE_OF_WHOLE = {QUEUED: 0.0, PREPARING: 0.05, TRAINING: 0.85, EVALUATING: 0.05, SAVING: 0.05}
PENDING, RUNNING, DONE, SKIPPED = "pending", "running", "done", "skipped"


class VersionCreated(Event, frozen=True, tag="version.created"):
    """A training was requested, on the images as they were at `log_position`.

    Its options are those of the built-in training, or a `trainer` of a user's has it, with settings
    of its own. `experiment_id` and `trial` name the experiment that it is a trial of, and its
    number in it. With `negative_validation`, a detection validates on images without a box of its
    concepts, too; those of earlier releases did not. With `adopted` there is no training: its
    trainer's model is brought as it is.
    """

    schema_version: ClassVar[int] = 8

    project_id: str
    view_id: str
    model_id: str
    number: int
    name: str
    kind: str
    concepts: tuple[ConceptLabel, ...]
    options: TrainingOptions | None
    log_position: int
    initial_weights: InitialWeights | None = None
    negative_validation: bool = False
    experiment_id: str | None = None
    trial: int | None = None
    trainer: TrainerUse | None = None
    adopted: Adoption | None = None

    @property
    def reviewed_only(self) -> bool:
        return self.options is not None and self.options.reviewed_only

    def built_in(self, purpose: str) -> TrainingOptions:
        """The options of the built-in training. Raises `Conflict` for a version of a trainer's,
        which says what cannot be done with it."""
        if self.options is None:
            name = self.trainer.name if self.trainer else "another program"
            raise Conflict(
                f"the version was trained by {name}, whose code is not Stemma's: {purpose}"
            )
        return self.options


class DatasetFrozen(Event, frozen=True, tag="version.dataset_frozen"):
    """The manifest of images is fixed: `manifest` is its sha256 and its key in the blob store.

    `validation_set` is the sha256 of the ids of the images that validate. Figures of versions with
    different ones cannot be compared. `grey_bits` are those of the project's 16-bit grey values;
    None stands for 16.
    """

    schema_version: ClassVar[int] = 3

    manifest: str
    train_images: int
    validation_images: int
    images_per_concept: dict[str, int]
    validation_set: str | None
    grey_bits: int | None = None


class VersionTrainingStarted(Event, frozen=True, tag="version.training_started"):
    """A worker took the job up, from nothing or after `resumed_from` iterations.

    `attempt` counts the user's tries, `delivery` how often the queue handed this try out. `source`
    is the sha256 of an archive of a trainer's code, in the blob store; like the `environment` it is
    what the worker declares.
    """

    schema_version: ClassVar[int] = 2

    attempt: int
    delivery: int
    worker: str
    device: str
    environment: dict[str, str]
    resumed_from: int
    source: str | None = None


class TrainingStepAdvanced(Event, frozen=True, tag="version.training_step_advanced"):
    """A step of the progress bar moved; `fraction` of it, in [0, 1], is done.

    Steps are `preparing`, `training`, `evaluating`, `saving`; a status is `running`, `done`,
    `failed` or `skipped`.
    """

    step: str
    status: str
    fraction: float


class TrainingLengthKnown(Event, frozen=True, tag="version.training_length_known"):
    """How many iterations an epoch and the whole training take.

    An epoch draws `samples` images, more than there are if they are balanced; `drawn` is how many
    of them hold each concept, by its id.
    """

    schema_version: ClassVar[int] = 2

    iterations_per_epoch: int
    iterations: int
    samples: int | None = None
    drawn: dict[str, int] = msgspec.field(default_factory=dict)


class BatchMetricsRecorded(Event, frozen=True, tag="version.batch_metrics_recorded"):
    """Learning rate and loss of consecutive iterations, the first numbered from 0."""

    first_iteration: int
    learning_rate: tuple[float, ...]
    loss: tuple[float, ...]


class EpochMetricsRecorded(Event, frozen=True, tag="version.epoch_metrics_recorded"):
    """The validation set's metrics after an epoch; None is what the kind does not measure.

    Epochs count from 1. `iteration` is how many iterations were done by then. `more` are metrics of
    a trainer's own, as it reports them.
    """

    schema_version: ClassVar[int] = 3

    epoch: int
    iteration: int
    validation_loss: float
    validation_accuracy: float | None
    validation_mean_average_precision: float | None
    more: dict[str, float] = msgspec.field(default_factory=dict)


class BestCheckpointSaved(Event, frozen=True, tag="version.best_checkpoint_saved"):
    """The best weights so far are stored as safetensors under their sha256.

    Of epochs with the same value, the best is the one with the lowest validation loss.
    """

    schema_version: ClassVar[int] = 2

    checkpoint: str
    bytes: int
    metric: str
    value: float
    epoch: int
    validation_loss: float | None = None


class EpochItemsRecorded(Event, frozen=True, tag="version.epoch_items_recorded"):
    """The items of an epoch's sample were measured: each image, its concepts or its true boxes.

    `items` is the sha256 of their Parquet file, by which it lies in the blob store. It has `rows`
    items of `images` images; `seconds` is how long measuring and storing them took.
    """

    epoch: int
    iteration: int
    items: str
    images: int
    rows: int
    seconds: float


class EpochItemsDiscarded(Event, frozen=True, tag="version.epoch_items_discarded"):
    """The files of the version's epochs are given up; what was recorded of them stays.

    Those of the newest `kept_versions` versions of the view that have some are kept.
    """

    kept_versions: int


class VersionEvaluated(Event, frozen=True, tag="version.evaluated"):
    """The saved checkpoint's metrics on the frozen images, and its predictions for them.

    `predictions` is the sha256 of their Parquet file, by which it lies in the blob store.
    """

    schema_version: ClassVar[int] = 3

    checkpoint: str
    validation: SplitFigures
    train: SplitFigures | None
    predictions: str | None


class ThresholdSet(Event, frozen=True, tag="version.threshold_set"):
    """From this score on, in [0, 1], an answer of this concept counts as predicted."""

    concept_id: str
    threshold: float


class VersionTrainingCompleted(Event, frozen=True, tag="version.training_completed"):
    """The training ended well; `final_weights` is the sha256 of the last iteration's weights.

    `ended_by` says what ended it: its `length`, its `patience`, or the request to `stop` early.
    """

    schema_version: ClassVar[int] = 2

    checkpoint: str
    final_weights: str
    iterations: int
    ended_by: str = messages.LENGTH


class VersionTrainingFailed(Event, frozen=True, tag="version.training_failed"):
    """The training ended badly, for a reason in the user's words. It may be retried.

    `non_finite` says that an output, a loss or a metric stopped being a finite number.
    """

    schema_version: ClassVar[int] = 2

    reason: str
    non_finite: bool = False


class VersionStopRequested(Event, frozen=True, tag="version.stop_requested"):
    """The training is to end after its running epoch and to keep the best weights so far."""


class VersionTrainingCancelled(Event, frozen=True, tag="version.training_cancelled"):
    """The training was given up for good: its weights are discarded, and reports ignored."""


class VersionRetried(Event, frozen=True, tag="version.retried"):
    """A failed version goes back to the queue, to go on from its last checkpoint.

    `attempt` counts from 1, which is the try that the version was created with.
    """

    attempt: int


class VersionRenamed(Event, frozen=True, tag="version.renamed"):
    """The version has another name."""

    name: str


class VersionArchived(Event, frozen=True, tag="version.archived"):
    """The version is no longer listed by default."""


def default_threshold(kind: str) -> float:
    """The threshold of a concept until one is set: classification predicts the arg max."""
    return 0.0 if kind == CLASSIFICATION else 0.5


def progress_of(event: TrainingStepAdvanced) -> float:
    """The fraction of the whole training that is done, in [0, 1], at this progress of a step."""
    before = STEPS[: STEPS.index(event.step)]
    return sum(_SHARE_OF_WHOLE[step] for step in before) + (
        _SHARE_OF_WHOLE[event.step] * event.fraction
    )


def status_at_end(event: VersionTrainingCompleted) -> str:
    """`stopped` if a user's request ended the training early, otherwise `ready`."""
    return STOPPED if event.ended_by == messages.STOP else READY


class Version(msgspec.Struct, frozen=True):
    """`steps` maps the current delivery's steps to (status, fraction); `worker` has taken it.

    `reported` is a result that the server is checking, `refused` the attempt's refused reports.
    """

    created: VersionCreated
    name: str
    status: str = QUEUED
    attempt: int = 1
    delivery: int = 0
    worker: str | None = None
    source: str | None = None
    steps: dict[str, tuple[str, float]] = msgspec.field(default_factory=dict)
    frozen: DatasetFrozen | None = None
    length: TrainingLengthKnown | None = None
    iterations_recorded: int = 0
    epochs_recorded: int = 0
    item_epochs_recorded: int = 0
    items_discarded: bool = False
    best: BestCheckpointSaved | None = None
    evaluated: VersionEvaluated | None = None
    reported: VersionResultReported | None = None
    refused: tuple[VersionReportRefused, ...] = ()
    stop_requested: bool = False
    archived: bool = False
    thresholds: dict[str, float] = msgspec.field(default_factory=dict)
    predictions: dict[Purpose, Prediction] = msgspec.field(default_factory=dict)


class CreateVersion(msgspec.Struct, frozen=True):
    """`number`, `counts` and `log_position` are set by the handler; the rest by the caller.

    `counts` is None for a trial, whose experiment has been checked.
    """

    project_id: str
    view_id: str
    model_id: str
    number: int
    name: str | None
    kind: str
    concepts: tuple[ConceptLabel, ...]
    options: TrainingOptions | None
    counts: ManifestCounts | None
    log_position: int
    initial_weights: InitialWeights | None = None
    experiment_id: str | None = None
    trial: int | None = None
    trainer: TrainerUse | None = None
    adopted: Adoption | None = None


class FreezeDataset(msgspec.Struct, frozen=True):
    manifest: str
    counts: ManifestCounts
    grey_bits: int | None = None


class RetryVersion(msgspec.Struct, frozen=True):
    pass


class StopVersion(msgspec.Struct, frozen=True):
    pass


class CancelVersion(msgspec.Struct, frozen=True):
    pass


class RenameVersion(msgspec.Struct, frozen=True):
    name: str


class ArchiveVersion(msgspec.Struct, frozen=True):
    pass


class DiscardEpochItems(msgspec.Struct, frozen=True):
    kept_versions: int


class SetThresholds(msgspec.Struct, frozen=True):
    """`thresholds` by concept id; those of other concepts stay."""

    thresholds: dict[str, float]


Command = (
    CreateVersion
    | FreezeDataset
    | RetryVersion
    | StopVersion
    | CancelVersion
    | RenameVersion
    | ArchiveVersion
    | DiscardEpochItems
    | SetThresholds
    | AcceptResult
    | RefuseResult
    | AcceptPredictions
    | RefusePredictions
    | RequestTestEvaluation
    | RequestSuggestions
    | RequestOnnx
)


def evolve(version: Version | None, event: Event) -> Version | None:
    if isinstance(event, VersionCreated):
        return Version(event, event.name, QUEUED if event.adopted is None else EVALUATING)
    return (
        version if version is None else msgspec.structs.replace(version, **_change(version, event))
    )


def _change(version: Version, event: Event) -> dict[str, object]:
    match event:
        case DatasetFrozen():
            return {"frozen": event}
        case VersionTrainingStarted():
            return {
                "status": PREPARING,
                "delivery": event.delivery,
                "worker": event.worker,
                "source": event.source,
                "steps": {},
            }
        case TrainingStepAdvanced():
            steps = version.steps | {event.step: (event.status, event.fraction)}
            status = event.step if event.step in {TRAINING, EVALUATING} else version.status
            return {"steps": steps, "status": status}
        case TrainingLengthKnown():
            return {"length": event}
        case BatchMetricsRecorded():
            return {"iterations_recorded": event.first_iteration + len(event.loss)}
        case EpochMetricsRecorded():
            return {"epochs_recorded": event.epoch}
        case EpochItemsRecorded():
            return {"item_epochs_recorded": event.epoch}
        case EpochItemsDiscarded():
            return {"items_discarded": True}
        case BestCheckpointSaved():
            return {"best": event}
        case VersionEvaluated():
            return {"evaluated": event}
        case VersionReportRefused():
            return {"refused": (*version.refused, event)}
        case VersionResultReported():
            return {"reported": event}
        case VersionResultMeasured():
            measured = VersionEvaluated(
                event.checkpoint, event.validation, event.train, event.predictions
            )
            return {"evaluated": measured}
        case VersionTrainingCompleted():
            return {"status": status_at_end(event), "reported": None}
        case VersionAdopted():
            return {"status": READY, "best": _adopted_best(version, event)}
        case VersionTrainingFailed():
            return {"status": FAILED, "reported": None}
        case VersionStopRequested():
            return {"stop_requested": True}
        case VersionTrainingCancelled():
            return {"status": CANCELLED, "best": None, "evaluated": None, "reported": None}
        case VersionRetried():
            return {
                "status": QUEUED,
                "attempt": event.attempt,
                "delivery": 0,
                "worker": None,
                "steps": {},
                "refused": (),
                "stop_requested": False,
            }
        case VersionRenamed():
            return {"name": event.name}
        case VersionArchived():
            return {"archived": True}
        case ThresholdSet():
            return {"thresholds": version.thresholds | {event.concept_id: event.threshold}}
    purpose = predictions.purpose_of(event)
    if purpose is None:
        return {}
    changed = predictions.evolve(version.predictions.get(purpose), event)
    return {"predictions": version.predictions | ({purpose: changed} if changed else {})}


def _adopted_best(version: Version, event: VersionAdopted) -> BestCheckpointSaved:
    """The checkpoint that was brought, with what was measured of it. It is of no known epoch."""
    measured = version.evaluated.validation if version.evaluated else SplitFigures(images=0)
    metric = "accuracy" if version.created.kind == CLASSIFICATION else "mean_average_precision"
    value = getattr(measured, metric) or 0.0
    return BestCheckpointSaved(
        event.checkpoint, event.bytes, f"validation_{metric}", value, 0, measured.loss
    )


def decide(command: Command, version: Version | None) -> list[Event]:
    if isinstance(command, CreateVersion):
        return _create(command)
    current = require(version)
    match command:
        case FreezeDataset():
            return _freeze(command, current)
        case RetryVersion():
            if current.status != FAILED:
                raise Conflict(
                    f"the version is {current.status}; only a failed version can be retried"
                )
            if current.created.adopted is not None:
                raise Conflict(
                    "an adoption cannot be retried: adopt a version with other files instead"
                )
            return [VersionRetried(current.attempt + 1)]
        case StopVersion():
            return _stop(current)
        case CancelVersion():
            if current.status in ENDED - {CANCELLED}:
                raise Conflict(f"the version is {current.status}; archive it if you do not want it")
            return [] if current.status == CANCELLED else [VersionTrainingCancelled()]
        case RenameVersion():
            name = clean_name(command.name)
            return [] if name == current.name else [VersionRenamed(name)]
        case ArchiveVersion():
            if current.status not in ENDED:
                raise Conflict(f"the version is {current.status}; wait until it has ended")
            return [] if current.archived else [VersionArchived()]
        case DiscardEpochItems():
            return _discard_items(command, current)
        case SetThresholds():
            return _set_thresholds(command, current)
        case AcceptResult():
            return _accept_result(command, current)
        case RefuseResult():
            return [VersionTrainingFailed(command.reason)] if in_check(current, command) else []
        case AcceptPredictions() | RefusePredictions():
            return predictions.decide(command, current.predictions.get(command.purpose))
        case RequestTestEvaluation():
            return _request_test_evaluation(command, current)
        case RequestSuggestions():
            return _request_suggestions(command, current)
        case RequestOnnx():
            return _request_onnx(current)


def _create(command: CreateVersion) -> list[Event]:
    """Create a version. Refuses a training that cannot work, before any job."""
    if command.counts is not None:
        reviewed_only = command.options is not None and command.options.reviewed_only
        check_trainable(command.kind, command.concepts, command.counts, reviewed_only)
    if command.adopted is not None:
        check_adoption(command.adopted)
    name = f"Version {command.number}" if command.name is None else clean_name(command.name)
    return [
        VersionCreated(
            command.project_id,
            command.view_id,
            command.model_id,
            command.number,
            name,
            command.kind,
            command.concepts,
            command.options,
            command.log_position,
            command.initial_weights,
            negative_validation=command.kind == DETECTION,
            experiment_id=command.experiment_id,
            trial=command.trial,
            trainer=command.trainer,
            adopted=command.adopted,
        )
    ]


def check_trainable(
    kind: str,
    concepts: Sequence[ConceptLabel],
    counts: ManifestCounts,
    reviewed_only: bool = False,
) -> None:
    """Raises `Conflict` for a training that cannot work, with what is missing."""
    if not concepts:
        least = "two" if kind == CLASSIFICATION else "one"
        raise Conflict(f"the model has no concepts; add at least {least}")
    if kind == CLASSIFICATION and len(concepts) == 1:
        raise Conflict(f"the model has one concept, {concepts[0].label!r}; add another")
    if counts.train + counts.validation == 0:
        what = "has a box" if kind == DETECTION else "is annotated with a concept"
        raise Conflict(f"no image {what} of this model; annotate some")
    if counts.train == 0 and reviewed_only:
        raise Conflict(
            "no training image of this model is reviewed; review some, or train without"
            " reviewed_only",
            field="reviewed_only",
        )
    if counts.train == 0 and kind == DETECTION:
        raise Conflict(
            "no training image has a box of this model; annotate some, or draw a smaller validation"
            " split"
        )
    if counts.train == 0:
        raise Conflict("no annotated image is left to train on; draw a smaller validation split")
    if kind == CLASSIFICATION and len(counts.per_concept) == 1:
        raise Conflict("all training images hold the same concept; annotate images of another")
    if not counts.per_concept:
        raise Conflict("no training image holds a concept of this model; annotate some")
    if counts.validation == 0:
        raise Conflict(
            "there are no annotated validation images; draw a validation set (on the project's page"
            " or by `stemma projects draw-validation`)"
        )


def _freeze(command: FreezeDataset, current: Version) -> list[Event]:
    """Freezing again is no event: the manifest follows from the log, so it is the same one.

    Freezing a version that was cancelled meanwhile is no event either.
    """
    if current.frozen is not None or current.status in ENDED:
        return []
    counts = command.counts
    return [
        DatasetFrozen(
            command.manifest,
            counts.train,
            counts.validation,
            counts.per_concept,
            counts.validation_set,
            command.grey_bits,
        )
    ]


def _set_thresholds(command: SetThresholds, current: Version) -> list[Event]:
    if current.evaluated is None:
        raise Conflict(
            f"the version is {current.status} and has not been evaluated; thresholds come after"
            " that"
        )
    concepts = {concept.concept_id for concept in current.created.concepts}
    for concept_id, threshold in command.thresholds.items():
        if concept_id not in concepts:
            raise Invalid("this is not a concept of the version's model", field=concept_id)
        if not 0 <= threshold <= 1:
            raise Invalid(f"a threshold must be from 0 to 1, got {threshold}", field=concept_id)
    default = default_threshold(current.created.kind)
    return [
        ThresholdSet(concept_id, threshold)
        for concept_id, threshold in command.thresholds.items()
        if threshold != current.thresholds.get(concept_id, default)
    ]


def _discard_items(command: DiscardEpochItems, current: Version) -> list[Event]:
    if current.status not in ENDED:
        raise Conflict(f"the version is {current.status}; wait until it has ended")
    if current.items_discarded or not current.item_epochs_recorded:
        return []
    return [EpochItemsDiscarded(command.kept_versions)]


def result_in_check(current: Version, attempt: int) -> VersionResultReported | None:
    """The reported result of an attempt that is neither accepted nor refused yet."""
    reported = current.reported
    return reported if reported is not None and reported.attempt == attempt else None


def adoption_in_check(current: Version) -> Adoption | None:
    """What was brought, once the dataset is frozen and until it is accepted or refused."""
    return None if current.frozen is None or current.status in ENDED else current.created.adopted


def in_check(current: Version, command: AcceptResult | RefuseResult) -> bool:
    adopted = adoption_in_check(current)
    return adopted is not None or result_in_check(current, command.attempt) is not None


def _accept_result(command: AcceptResult, current: Version) -> list[Event]:
    if not in_check(current, command):
        return []
    adopted, reported = adoption_in_check(current), current.reported
    end: Event
    if adopted is not None:
        end = VersionAdopted(adopted.checkpoint, adopted.bytes)
        checkpoint = adopted.checkpoint
    else:
        assert reported is not None
        checkpoint = reported.checkpoint
        end = VersionTrainingCompleted(
            checkpoint, reported.final_weights, reported.iterations, reported.ended_by
        )
    measured = VersionResultMeasured(
        command.attempt,
        checkpoint,
        command.predictions,
        command.validation,
        command.train,
        command.differences,
    )
    return [measured, end]


_WHAT_IT_DOES = {
    Purpose.TEST: "is evaluated on the test set",
    Purpose.SUGGESTIONS: "makes suggestions",
    Purpose.ONNX: "has an ONNX file",
}
_RUNNING = {
    Purpose.TEST: "evaluation {} of this version on the test set is",
    Purpose.SUGGESTIONS: "request {} for suggestions of this version is",
    Purpose.ONNX: "request {} for an ONNX file of this version is",
}


def check_can_predict(current: Version, purpose: Purpose) -> None:
    """Raises `Conflict` for a version that cannot predict for this purpose now."""
    if current.status not in FINISHED or current.best is None:
        what = _WHAT_IT_DOES[purpose]
        raise Conflict(f"the version is {current.status}; only a ready one {what}")
    running = current.predictions.get(purpose)
    if running is not None and running.running:
        what = _RUNNING[purpose].format(running.number)
        raise Conflict(f"{what} already running; wait for its result")


def _request_test_evaluation(command: RequestTestEvaluation, current: Version) -> list[Event]:
    check_can_predict(current, Purpose.TEST)
    reason = clean_name(command.reason, "reason", MAX_REASON)
    if not command.images:
        raise Conflict(
            "no test image is annotated for this version's model; draw a test set, and annotate it"
        )
    before = current.predictions.get(Purpose.TEST)
    assert current.best is not None
    return [
        VersionTestEvaluationRequested(
            current.created.view_id,
            before.number + 1 if before else 1,
            reason,
            current.best.checkpoint,
            command.manifest,
            command.images,
            command.log_position,
            before.succeeded if before else 0,
            command.earlier_of_view,
            command.by_trainer,
        )
    ]


def _request_suggestions(command: RequestSuggestions, current: Version) -> list[Event]:
    check_can_predict(current, Purpose.SUGGESTIONS)
    if not command.images:
        raise Conflict("every image of the view is annotated, or is of the test set; add some")
    before = current.predictions.get(Purpose.SUGGESTIONS)
    assert current.best is not None
    return [
        VersionSuggestionsRequested(
            current.created.view_id,
            before.number + 1 if before else 1,
            current.best.checkpoint,
            command.manifest,
            command.images,
            command.log_position,
            command.by_trainer,
        )
    ]


def _request_onnx(current: Version) -> list[Event]:
    """One file is enough: the saved checkpoint of a version that has ended never changes."""
    before = current.predictions.get(Purpose.ONNX)
    if before is not None and (before.running or before.onnx is not None):
        return []
    check_can_predict(current, Purpose.ONNX)
    trainer = current.created.trainer
    if trainer is not None and trainer.format == ONNX:
        raise Conflict("the version's checkpoint is an ONNX file already: download it")
    current.created.built_in("only it can make an ONNX file")
    assert current.best is not None
    number = before.number + 1 if before else 1
    return [VersionOnnxRequested(number, current.best.checkpoint)]


def _stop(current: Version) -> list[Event]:
    if current.status == QUEUED:
        raise Conflict("the version is queued and has no weights to keep; cancel it instead")
    if current.status in ENDED:
        raise Conflict(f"the version is {current.status}; there is nothing left to stop")
    if current.stop_requested:
        return []
    if current.status not in STOPPABLE:
        raise Conflict(f"the version is {current.status} and almost done; wait, or cancel it")
    return [VersionStopRequested()]


def require(version: Version | None) -> Version:
    if version is None:
        raise NotFound("version not found")
    return version
