"""The whole history of one version, read from the log."""

from typing import Any

import msgspec

from application.log.store import END, Store
from domain.aggregates import VERSION
from domain.errors import Conflict, NotFound
from domain.event import Recorded
from domain.training.model_description import ModelDescription
from domain.training.preprocessing import outputs, preprocessing
from domain.training.version import (
    DatasetFrozen,
    Version,
    VersionCreated,
    VersionTrainingCompleted,
    VersionTrainingStarted,
)


class VersionHistory(msgspec.Struct, frozen=True):
    """A version's state, and the events needed to reproduce or describe it."""

    version_id: str
    state: Version
    created: VersionCreated
    frozen: DatasetFrozen | None
    started: VersionTrainingStarted | None
    completed: VersionTrainingCompleted | None
    position: int


def history_of(store: Store, version_id: str) -> VersionHistory:
    """Raises `NotFound`."""
    stream = VERSION.stream(version_id)
    events: list[Recorded] = store.histories([stream], upto=END, without=())
    last: dict[type[Any], Any] = {}
    for recorded in events:
        last[type(recorded.event)] = recorded.event
    state = VERSION.fold(recorded.event for recorded in events)
    if state is None:
        raise NotFound(f"version {version_id!r} not found")
    return VersionHistory(
        version_id,
        state,
        state.created,
        last.get(DatasetFrozen),
        last.get(VersionTrainingStarted),
        last.get(VersionTrainingCompleted),
        events[-1].position,
    )


def describe(history: VersionHistory) -> ModelDescription:
    """Raises `Conflict` for a version without weights to export."""
    state, created, frozen = history.state, history.created, history.frozen
    if state.best is None or frozen is None or history.completed is None:
        raise Conflict(f"the version is {state.status}; only a finished version can be downloaded")
    options = created.built_in("its checkpoint can be used only with its own code; download it")
    evaluated = state.evaluated
    initial = created.initial_weights
    return ModelDescription(
        version_id=history.version_id,
        number=created.number,
        name=state.name,
        status=state.status,
        kind=created.kind,
        concepts=created.concepts,
        thresholds=state.thresholds,
        options=options,
        checkpoint=state.best.checkpoint,
        final_weights=history.completed.final_weights,
        manifest=frozen.manifest,
        train_images=frozen.train_images,
        validation_images=frozen.validation_images,
        images_per_concept=frozen.images_per_concept,
        best_epoch=state.best.epoch,
        best_by=state.best.metric,
        best_value=state.best.value,
        validation=evaluated.validation if evaluated else None,
        train=evaluated.train if evaluated else None,
        predictions=evaluated.predictions if evaluated else None,
        initial_weights=f"{initial.origin}: {initial.blob}" if initial else None,
        environment=history.started.environment if history.started else {},
        log_position=created.log_position,
        described_at=history.position,
        preprocessing=preprocessing(created.kind, options, frozen.grey_bits),
        outputs=outputs(created.kind),
    )
