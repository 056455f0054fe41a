"""What a worker reports of a training, from start to end."""

from collections.abc import Sequence

import msgspec

from application.handle import Decided, Request, Session, handle
from application.log.store import Store
from application.training.ingest import Delivered
from application.training.policies import version_of
from application.training.results import REACTS_TO
from domain.aggregates import VERSION
from domain.event import Event
from domain.training.messages import (
    AnyReport,
    BatchMetrics,
    CheckpointSaved,
    Completed,
    DataPrepared,
    EpochMetrics,
    Evaluated,
    Failed,
    Report,
    SplitFigures,
    Started,
    StepAdvanced,
)
from domain.training.results import VersionResultReported
from domain.training.version import Version, VersionTrainingCompleted, result_in_check
from tests.domain.training.version_samples import report

PER_EPOCH = 4
_EPOCH = [
    "batch_metrics_recorded",
    "epoch_metrics_recorded",
    "best_checkpoint_saved",
    "training_step_advanced",
]
WHOLE = [
    "created",
    "training_started",
    "training_step_advanced",
    "training_length_known",
    "training_step_advanced",
    *_EPOCH,
    *_EPOCH,
    "training_step_advanced",
    "training_step_advanced",
    "evaluated",
    "training_step_advanced",
    "training_step_advanced",
    "result_reported",
]
"""The names of a version's events after a whole run of two epochs, whose result is not checked."""


def sha(number: int) -> str:
    return f"{number:064x}"


def whole_run(
    *, epochs: int = 2, first_epoch: int = 1, failure: str | None = None
) -> list[AnyReport]:
    """Every report of a run of so many epochs; its last ones are missing if it fails."""
    said: list[AnyReport] = [
        Started("w1", "cpu", {"torch": "2"}, (first_epoch - 1) * PER_EPOCH),
        StepAdvanced("preparing", "running", 0.0),
        DataPrepared(PER_EPOCH, PER_EPOCH * epochs),
        StepAdvanced("preparing", "done", 1.0),
    ]
    for epoch in range(first_epoch, epochs + 1):
        first, done = (epoch - 1) * PER_EPOCH, epoch * PER_EPOCH
        losses = tuple(1 / (number + 1) for number in range(first, done))
        said += [
            BatchMetrics(first, (0.01,) * PER_EPOCH, losses),
            EpochMetrics(epoch, done, 1 / (epoch + 1), 1 - 0.1 / epoch),
            CheckpointSaved(sha(epoch), 1000, "validation_accuracy", 1 - 0.1 / epoch, epoch),
            StepAdvanced("training", "running", epoch / epochs),
        ]
    if failure is not None:
        return [*said, Failed(failure)]
    return [
        *said,
        StepAdvanced("training", "done", 1.0),
        StepAdvanced("evaluating", "running", 0.0),
        Evaluated(
            sha(epochs),
            SplitFigures(images=2, loss=0.3, accuracy=0.95),
            SplitFigures(images=8, loss=0.1, accuracy=1.0),
            sha(99),
        ),
        StepAdvanced("evaluating", "done", 1.0),
        StepAdvanced("saving", "done", 1.0),
        Completed(sha(epochs), sha(98), PER_EPOCH * epochs),
    ]


def reports(
    version_id: str, said: Sequence[AnyReport], *, attempt: int = 1, delivery: int = 1
) -> list[Report]:
    return [
        report(body, version_id=version_id, attempt=attempt, delivery=delivery, sequence=number)
        for number, body in enumerate(said, start=1)
    ]


def accept_results(store: Store) -> None:
    """Accept every reported result as it is, which the server else checks and measures first."""
    for recorded in store.read_all(names=REACTS_TO):
        reported, version_id = recorded.event, recorded.entity_id
        if not isinstance(reported, VersionResultReported):
            continue
        version = version_of(store, version_id)
        if result_in_check(version, reported.attempt) is None:
            continue
        completed = VersionTrainingCompleted(
            reported.checkpoint, reported.final_weights, reported.iterations, reported.ended_by
        )

        def decide(
            session: Session, key: str = version_id, event: Event = completed
        ) -> Decided[Version]:
            session.record(VERSION, key, [event])
            return Decided(VERSION, key)

        command = f"accept:{version_id}:{reported.attempt}"
        request = Request(
            actor="policy",
            command_id=command,
            correlation_id=recorded.metadata.correlation_id,
        )
        handle(store, request, decide)


def delivered(sent: Sequence[Report], first: int = 1) -> list[Delivered]:
    """Reports as the report stream hands them over, at consecutive sequences."""
    return [
        Delivered(sequence, msgspec.json.encode(one)) for sequence, one in enumerate(sent, first)
    ]
