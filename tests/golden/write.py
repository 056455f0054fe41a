"""Writes the samples that are missing: `python -m tests.golden.write`. Never overwrites one."""

from datetime import UTC, datetime
from pathlib import Path

from application.log.mapper import EventMapper
from domain.access.account import (
    PERSON,
    AccountClosed,
    AccountErased,
    AccountOpened,
    GroupRoleGranted,
    GroupRoleWithdrawn,
    IdentityLinked,
    RoleGranted,
    RoleWithdrawn,
)
from domain.access.key import (
    InvitationAccepted,
    InvitationIssued,
    KeyIssued,
    KeyRevoked,
    KeyRotated,
    Scope,
)
from domain.access.roles import Role
from domain.dataset.annotation import DoubtedLabel
from domain.dataset.blob import BlobErased, BlobErasureOrdered
from domain.dataset.image import (
    Annotation,
    Box,
    ImageAdded,
    ImageAnnotated,
    ImageAnnotatedBlindly,
    ImageErased,
    ImageRemoved,
    ImageReviewed,
    ImageReviewWithdrawn,
    ImageSplitAssigned,
    SuggestionAccepted,
    SuggestionRejected,
    SuspectCorrected,
    SuspectLeftUnsure,
    SuspectUpheld,
)
from domain.dataset.imports import (
    ImportChecked,
    ImportCompleted,
    ImportCounts,
    ImportFailed,
    ImportProblem,
    ImportRefused,
    ImportRemark,
    ImportRequested,
    ImportRules,
)
from domain.dataset.project import (
    GreyDepthChosen,
    GroupKeySet,
    ProjectCreated,
    ProjectRenamed,
    SnapshotNamed,
    SnapshotRemoved,
    TestSetDrawn,
    ValidationSplitDrawn,
)
from domain.event import Event, Metadata, Recorded
from domain.experiments.experiment import (
    ExperimentConcluded,
    ExperimentStarted,
    ExperimentStopRequested,
    TrialProposed,
    TrialPruned,
)
from domain.experiments.space import SearchSpace
from domain.experiments.trainer_space import Range, TrainerSearch
from domain.library.model import (
    ConceptSetAmended,
    ModelArchived,
    ModelCreated,
    ModelForked,
    ModelRenamed,
    ModelReopened,
    VersionNumbered,
)
from domain.library.view import (
    ChildViewAdded,
    ConceptAdded,
    ConceptRemoved,
    ConceptRenamed,
    ConditionsChanged,
    ModelRegistered,
    ViewArchived,
    ViewCreated,
    ViewRenamed,
    ViewRestored,
)
from domain.subscriptions.webhook import (
    WebhookParked,
    WebhookPaused,
    WebhookRegistered,
    WebhookRemoved,
    WebhookReplayed,
    WebhookResumed,
    WebhookSecretRotated,
)
from domain.trainers.form import Choice, Flag, Number, Text
from domain.trainers.seed import SeedIssued, SeedRevoked
from domain.trainers.trainer import (
    TrainerFormChanged,
    TrainerRegistered,
    TrainerRetired,
    TrainerUse,
)
from domain.training.adoption import Adoption, VersionAdopted
from domain.training.messages import ConceptLabel, InitialWeights, Purpose, SplitFigures
from domain.training.onnx import (
    VersionOnnxFailed,
    VersionOnnxMade,
    VersionOnnxRequested,
    VersionOnnxStarted,
)
from domain.training.options import Augmentation, TrainingOptions
from domain.training.predictions import (
    VersionPredictionsReported,
    VersionSuggestionsFailed,
    VersionSuggestionsMade,
    VersionSuggestionsRequested,
    VersionSuggestionsStarted,
    VersionTestEvaluated,
    VersionTestEvaluationFailed,
    VersionTestEvaluationRequested,
    VersionTestEvaluationStarted,
)
from domain.training.results import (
    MetricDifference,
    VersionReportRefused,
    VersionResultMeasured,
    VersionResultReported,
)
from domain.training.version import (
    BatchMetricsRecorded,
    BestCheckpointSaved,
    DatasetFrozen,
    EpochItemsDiscarded,
    EpochItemsRecorded,
    EpochMetricsRecorded,
    ThresholdSet,
    TrainingLengthKnown,
    TrainingStepAdvanced,
    VersionArchived,
    VersionCreated,
    VersionEvaluated,
    VersionRenamed,
    VersionRetried,
    VersionStopRequested,
    VersionTrainingCancelled,
    VersionTrainingCompleted,
    VersionTrainingFailed,
    VersionTrainingStarted,
)

FOLDER = Path(__file__).parent

METADATA = Metadata(
    event_id="0198c5f0-1c2d-7000-8000-0123456789ab",
    occurred_at=datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC),
    actor="user:ada",
    command_id="3f2a8a4e-0b8c-4d6f-9a58-0f1e2d3c4b5a",
    correlation_id="9d8c7b6a-5f4e-4d3c-8b2a-190807060504",
    causation_id="0198c5f0-0000-7000-8000-0123456789ab",
)
SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
OPTIONS = TrainingOptions(
    architecture="resnet18",
    epochs=4.5,
    batch_size=32,
    optimizer="nadam",
    initial_learning_rate=0.001,
    resizer="fixed",
    width=32,
    height=48,
    augmentations=(Augmentation("brightness", {"max_delta": 0.05}),),
    seed=7,
)
CONCEPTS = (ConceptLabel("concept-1", "Zähler"), ConceptLabel("concept-2", "猫"))

EXAMPLES: tuple[Event, ...] = (
    ProjectCreated("Digits"),
    ProjectRenamed("Ziffern „null“"),
    ValidationSplitDrawn(0.2, 7, 1797, 359, 12, "view-1", "patient"),
    TestSetDrawn(0.1, 7, 1438, 144, 13, "view-1", "patient"),
    GroupKeySet("patient", 14, 120, 3, "majority"),
    GreyDepthChosen(12),
    ImageAdded("project-1", SHA, 640, 480, "naïve name.png", {"camera": "left"}),
    ImageAnnotated(
        "view-1",
        (Annotation("concept-1"), Annotation("concept-2", Box(0.1, 0.25, 0.5, 0.125))),
        False,
    ),
    ImageSplitAssigned("validation"),
    ImageReviewed("view-1", 2),
    ImageAnnotatedBlindly(
        "view-1", (Annotation("concept-1", Box(0.125, 0.25, 0.5, 0.25)),), False, 2
    ),
    ImageReviewWithdrawn("view-1"),
    SuggestionAccepted("view-1", "version-1", changed=True),
    SuggestionRejected("view-1", "version-1"),
    SuspectUpheld("view-1", "version-1", DoubtedLabel("concept-1")),
    SuspectLeftUnsure("view-1", "version-1", DoubtedLabel("concept-1", present=False)),
    SuspectCorrected(
        "view-1", "version-1", DoubtedLabel("concept-2", box=Box(0.1, 0.25, 0.5, 0.125))
    ),
    ImageRemoved(),
    ImageErased(SHA, "consent was withdrawn"),
    BlobErasureOrdered("consent was withdrawn"),
    BlobErased(),
    ImportRequested(
        "project-1",
        "cats.zip",
        False,
        "which animal",
        ImportRules("coco", "detection", False, True, True, True, "unannotated", 0),
    ),
    ImportCompleted(
        "coco", ImportCounts(9, 8, 7, 6, 5, 4, 3, 2, 1, 1), SHA, (ImportRemark("left out", 1),)
    ),
    ImportChecked("csv", ImportCounts(), None),
    ImportRefused(
        "1 of 9 images cannot be taken",
        1,
        (ImportProblem("a.csv:7", "there is no such file"),),
        SHA,
    ),
    ImportFailed("the disk is full"),
    SnapshotNamed("before the review", 41),
    SnapshotRemoved("before the review"),
    ViewCreated(
        "project-1",
        "which digit",
        "classification",
        "view-2",
        (("concept-1",), ("concept-2", "concept-3")),
        True,
    ),
    ChildViewAdded("view-3"),
    ConditionsChanged((("concept-1",),)),
    ViewRenamed("which digit is it"),
    ViewArchived(),
    ViewRestored(),
    ConceptAdded("concept-1", "Zähler"),
    ConceptRenamed("concept-1", "Nenner"),
    ConceptRemoved("concept-1"),
    ModelRegistered("model-1", ("concept-1", "concept-2")),
    ModelCreated("view-1", "Model 1", ("concept-1", "concept-2")),
    ModelForked("view-1", "Model 2", "model-1", ("concept-1",), "removed '猫'"),
    ConceptSetAmended(("concept-1", "concept-2")),
    ModelReopened(),
    ModelRenamed("Digits by day"),
    ModelArchived(),
    VersionNumbered("version-1", 3),
    VersionCreated(
        "project-1",
        "view-1",
        "model-1",
        3,
        "Version 3",
        "classification",
        CONCEPTS,
        OPTIONS,
        4242,
        InitialWeights(SHA, "imagenet"),
        negative_validation=True,
        experiment_id="experiment-1",
        trial=7,
        trainer=TrainerUse(
            "trainer-1", "acme/logreg", SHA, {"epochs": 8, "penalty": 0.01, "solver": "sgd"}, "onnx"
        ),
        adopted=Adoption(SHA, 44_800_000, SHA[::-1]),
    ),
    TrainerRegistered(
        "acme/logreg",
        ("classification", "tagging"),
        (
            Number("epochs", 8.0, "Epochs", 1.0, 100.0, whole=True),
            Choice("solver", "sgd", ("sgd", "adam"), "Solver"),
            Flag("balanced", default=False),
            Text("note", "", "Note"),
        ),
        "safetensors",
        predicts=True,
    ),
    TrainerFormChanged(("classification",), (Number("penalty", 0.01),), predicts=True),
    TrainerRetired(),
    SeedIssued("gpu7", "U" + "A" * 55, "project-1"),
    SeedRevoked("gpu7"),
    DatasetFrozen(SHA, 1438, 359, {"concept-1": 700, "concept-2": 738}, SHA[::-1], 12),
    VersionTrainingStarted(1, 2, "worker-1", "cuda:0", {"torch": "2.11.0"}, 42, SHA),
    TrainingStepAdvanced("training", "running", 0.375),
    TrainingLengthKnown(45, 203, 1500, {"concept-1": 750, "concept-2": 750}),
    BatchMetricsRecorded(16, (0.001, 0.0009), (2.302585092994046, 1e-07)),
    EpochMetricsRecorded(1, 45, 0.25, None, 0.5, {"f1": 0.75}),
    EpochItemsRecorded(1, 45, SHA, 1797, 1797, 0.125),
    EpochItemsDiscarded(10),
    BestCheckpointSaved(SHA, 44_800_000, "validation_accuracy", 0.9375, 1, 0.25),
    VersionEvaluated(
        SHA,
        SplitFigures(images=359, loss=0.25, accuracy=0.9375),
        SplitFigures(images=1438, mean_average_precision=0.5, map_50=0.75, map_75=0.625),
        SHA[::-1],
    ),
    ThresholdSet("concept-1", 0.375),
    VersionTestEvaluationRequested(
        "view-1",
        2,
        "before the release of May",
        SHA,
        SHA[::-1],
        200,
        5123,
        1,
        4,
        by_trainer=True,
    ),
    VersionTestEvaluationStarted(2, 1, "gpu-1", "cuda", {"torch": "2.11.0"}),
    VersionTestEvaluated(2, SHA, SplitFigures(images=200, loss=0.5, accuracy=0.875), 200, SHA),
    VersionTestEvaluationFailed(2, "1 image cannot be used"),
    VersionPredictionsReported(Purpose.TEST, 1, SHA, 180, SHA[::-1]),
    VersionSuggestionsRequested("view-1", 1, SHA, SHA[::-1], 900, 5124, by_trainer=True),
    VersionSuggestionsStarted(1, 1, "gpu-1", "cuda", {"torch": "2.11.0"}),
    VersionSuggestionsMade(1, SHA, 900, SHA[::-1]),
    VersionSuggestionsFailed(1, "1 image cannot be used"),
    VersionOnnxRequested(1, SHA),
    VersionOnnxStarted(1, 1, "gpu-1", "cpu", {"torch": "2.11.0"}),
    VersionOnnxMade(1, SHA, SHA[::-1], 5_900_123, 4, 0.00001),
    VersionOnnxFailed(1, "the outputs of the ONNX file differ from torch's by 0.01"),
    VersionReportRefused(1, 2, 17, "epoch_metrics", "epoch 3 does not follow on what is recorded"),
    VersionResultReported(1, 2, SHA, SHA[::-1], 203, "stop"),
    VersionResultMeasured(
        1,
        SHA,
        SHA[::-1],
        SplitFigures(images=359, loss=0.25, accuracy=0.9375, calibration_error=0.03125),
        SplitFigures(images=1438, mean_average_precision=0.5, map_50=0.75, map_75=0.625),
        (MetricDifference("validation", "accuracy", 0.96875, 0.9375),),
    ),
    VersionAdopted(SHA, 44_800_000),
    VersionTrainingCompleted(SHA, SHA[::-1], 203, "stop"),
    VersionTrainingFailed("the loss stopped being a finite number", non_finite=True),
    VersionStopRequested(),
    VersionTrainingCancelled(),
    VersionRetried(2),
    VersionRenamed("Night shift"),
    VersionArchived(),
    ExperimentStarted(
        project_id="project-1",
        view_id="view-1",
        model_id="model-1",
        name="Night search",
        kind="classification",
        concepts=CONCEPTS,
        log_position=4242,
        base={"epochs": 9.0, "batch_size": 32, "pretrained": "none"},
        space=SearchSpace(
            architectures=("efficientnet_b0", "resnet18"),
            optimizers=("momentum", "nadam"),
            weight_decays=(0.0, 0.0001),
            augmentations=("horizontal_flip",),
            balancing=(False, True),
            image_sizes=(32, 64),
        ),
        objective="validation_accuracy",
        epochs=9.0,
        budget=24,
        concurrency=4,
        seed=7,
        pruning=True,
        weights=("resnet18-f37072fd.pth",),
        trainer=TrainerSearch(
            TrainerUse("trainer-1", "acme/logreg", SHA, {"epochs": 9, "solver": "saga"}, "opaque"),
            {"penalty": Range(0.0001, 1.0, log=True), "solver": ("lbfgs", "saga")},
            labels={"penalty": "Penalty"},
        ),
    ),
    TrialProposed(
        5,
        "version-5",
        {"architecture": "resnet18", "rate_multiplier": 0.5, "balancing": True, "image_size": 64},
        "tpe",
        4711,
        {"numpy": "2.4.6", "optuna": "5.0.0"},
    ),
    TrialPruned(5, "version-5", 3, 0.25, 4, 0.75, 4720),
    ExperimentStopRequested(),
    ExperimentConcluded(
        ended_by="budget",
        reason=None,
        best="version-7",
        best_trial=7,
        value=0.9375,
        completed=8,
        pruned=15,
        failed=1,
        epochs_trained=110,
        epochs_planned=216,
        importances={"rate_multiplier": 0.75, "architecture": 0.25},
        log_position=5001,
    ),
    WebhookRegistered(
        "hooks.example.com",
        ("version.*",),
        "project-1",
        "Ticker",
        "https://hooks.example.com/stemma?key=naïve",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ),
    WebhookPaused(),
    WebhookParked("answered 410: it wants no more events"),
    WebhookResumed(),
    WebhookReplayed(41),
    WebhookSecretRotated(
        datetime(2026, 3, 5, 5, 6, 7, tzinfo=UTC), "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    ),
    WebhookRemoved(),
    AccountOpened("ada", PERSON, "ada@example.com"),
    RoleGranted(Role.TRAINER, "project-1"),
    RoleWithdrawn(Role.ADMINISTRATOR, None),
    GroupRoleGranted(Role.TRAINER, "project-1", "vision"),
    GroupRoleWithdrawn(Role.AUDITOR, None, "/staff/audit"),
    IdentityLinked("https://login.example.com", "00u1"),
    AccountClosed(),
    AccountErased("asked for, ticket 4711"),
    KeyIssued(
        "account-1",
        "nightly",
        SHA,
        Scope((Role.ANNOTATOR, Role.VIEWER), ("project-1",)),
        datetime(2027, 3, 4, 5, 6, 7, tzinfo=UTC),
    ),
    KeyRotated(SHA[::-1], datetime(2026, 4, 4, 5, 6, 7, tzinfo=UTC)),
    KeyRevoked(),
    InvitationIssued("account-1", "invitation", SHA, datetime(2026, 3, 11, 5, 6, 7, tzinfo=UTC)),
    InvitationAccepted(SHA[::-1]),
)


def file_name(name: str, version: int) -> str:
    return f"{name}.v{version}.json"


KEY = bytes(range(32))
"""The key of the samples' stream."""


def sample_mapper() -> EventMapper:
    """A mapper that seals the same text the same way each time, as only samples may."""
    return EventMapper(bytes)


def main() -> None:
    mapper = sample_mapper()
    for event in EXAMPLES:
        path = FOLDER / file_name(event.event_name, event.schema_version)
        if not path.exists():
            stored = mapper.to_stored_event(Recorded("stream-1", 1, event, METADATA), KEY)
            path.write_bytes(stored.state)
            print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
