"""Policies that react to events: freeze the dataset, dispatch the job.

Each reaction may be repeated: freezing decides nothing twice, and a job's id names the attempt.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator

import msgspec

from application.dataset.dataset import grey_bits_of, images_at, parents_at
from application.handle import Request, handle
from application.log.store import Store
from application.training.histories import describe, history_of
from application.training.suggestions import unannotated
from application.training.test_evaluations import manifest_of_test_set
from domain.aggregates import EXPERIMENT, TRAINER, VERSION
from domain.event import Recorded, name_of
from domain.trainers.seed import SeedIssued
from domain.trainers.trainer import SAFETENSORS, Trainer, TrainerRegistered, queue_of
from domain.trainers.trainer import require as require_trainer
from domain.training import manifest
from domain.training import version as versions
from domain.training.jobs import AnyJob, OnnxJob, PredictJob, TrainerJob, TrainerPredictJob
from domain.training.messages import ManifestLine, Purpose, TrainJob
from domain.training.onnx import VersionOnnxRequested
from domain.training.options import not_built_in
from domain.training.predictions import (
    Requested,
    VersionSuggestionsRequested,
    VersionTestEvaluationRequested,
)
from domain.training.version import (
    DatasetFrozen,
    FreezeDataset,
    Version,
    VersionCreated,
    VersionRetried,
)

REACTS_TO = [
    name_of(event)
    for event in (
        VersionCreated,
        DatasetFrozen,
        VersionRetried,
        VersionTestEvaluationRequested,
        VersionSuggestionsRequested,
        VersionOnnxRequested,
        TrainerRegistered,
        SeedIssued,
    )
]
ACTOR = "policy"


class Effects(msgspec.Struct, frozen=True):
    """Effects of policies: store a manifest by its digest, publish a job, and let workers take jobs
    from a queue."""

    put_manifest: Callable[[Iterable[bytes]], str]
    dispatch: Callable[[AnyJob], None]
    open_queue: Callable[[str], None] = lambda _: None


def react(store: Store, effects: Effects, recorded: Recorded) -> None:
    """React to an event completely, before the position of the policies moves past it."""
    match recorded.event:
        case VersionCreated():
            _freeze(store, effects, recorded, recorded.event)
        case DatasetFrozen() | VersionRetried():
            _dispatch(store, effects, recorded)
        case VersionTestEvaluationRequested() | VersionSuggestionsRequested():
            _dispatch_prediction(store, effects, recorded, recorded.event)
        case VersionOnnxRequested():
            _dispatch_onnx(store, effects, recorded, recorded.event)
        case TrainerRegistered(name=name):
            effects.open_queue(queue_of(name))
        case SeedIssued(project_id=str(project_id)):
            effects.open_queue(queue_of(_trainer(store, recorded.entity_id).name, project_id))


def manifest_of(store: Store, created: VersionCreated) -> Iterator[ManifestLine]:
    """A version's manifest, rebuilt from the log alone."""
    return manifest.manifest(
        images_at(store, created.project_id, created.log_position),
        created.view_id,
        created.kind,
        frozenset(concept.concept_id for concept in created.concepts),
        negative_validation=created.negative_validation,
        reviewed_only=created.reviewed_only,
        parents=parents_at(store, created.view_id, created.log_position),
    )


def _freeze(store: Store, effects: Effects, recorded: Recorded, created: VersionCreated) -> None:
    version = version_of(store, recorded.entity_id)
    if version.frozen is not None or version.status in versions.ENDED:
        return  # the log is processed again for a new queue, and manifests are expensive
    command = _frozen_with(store, created) or _freeze_anew(store, effects, created)
    request = Request(
        actor=ACTOR,
        command_id=f"freeze:{recorded.entity_id}",
        correlation_id=recorded.metadata.correlation_id,
        causation_id=recorded.metadata.event_id,
    )

    handle(store, request, lambda session: session.decide(VERSION, recorded.entity_id, command))


def _freeze_anew(store: Store, effects: Effects, created: VersionCreated) -> FreezeDataset:
    tally = manifest.Tally()

    def canonical() -> Iterator[bytes]:
        for line in manifest_of(store, created):
            tally.add(line)
            yield manifest.canonical_line(line)

    manifest_digest = effects.put_manifest(canonical())
    bits = grey_bits_of(store, created.project_id, upto=created.log_position)
    return FreezeDataset(manifest_digest, tally.counts(), bits)


def _frozen_with(store: Store, created: VersionCreated) -> FreezeDataset | None:
    """The dataset of another trial of the same experiment, which is this one's, if there is one."""
    if created.experiment_id is None:
        return None
    stream = EXPERIMENT.stream(created.experiment_id)
    experiment = EXPERIMENT.fold(each.event for each in store.streams([stream])[stream])
    for trial in experiment.trials if experiment else ():
        frozen = version_of(store, trial.version_id).frozen
        if frozen is not None:
            counts = manifest.ManifestCounts(
                frozen.train_images,
                frozen.validation_images,
                frozen.images_per_concept,
                frozen.validation_set,
            )
            return FreezeDataset(frozen.manifest, counts, frozen.grey_bits)
    return None


def _dispatch(store: Store, effects: Effects, recorded: Recorded) -> None:
    version = version_of(store, recorded.entity_id)
    attempt = recorded.event.attempt if isinstance(recorded.event, VersionRetried) else 1
    if version.frozen is None or version.status in versions.ENDED or version.attempt != attempt:
        return
    if version.created.adopted is not None:
        return  # there is nothing to train: the service of results measures it
    created, frozen = version.created, version.frozen
    if created.trainer is not None:
        job: AnyJob = TrainerJob(
            version_id=recorded.entity_id,
            attempt=attempt,
            kind=created.kind,
            concepts=created.concepts,
            trainer=created.trainer.name,
            form=created.trainer.form,
            settings=created.trainer.settings,
            format=created.trainer.format,
            manifest=frozen.manifest,
            train_images=frozen.train_images,
            validation_images=frozen.validation_images,
            correlation_id=recorded.metadata.correlation_id,
            deliveries_before=version.delivery,
            queue=_trainer(store, created.trainer.trainer_id).queue(created.project_id),
        )
        effects.dispatch(job)
        return
    job = TrainJob(
        version_id=recorded.entity_id,
        attempt=attempt,
        kind=version.created.kind,
        concepts=version.created.concepts,
        options=created.built_in("it has no job for the built-in worker"),
        manifest=version.frozen.manifest,
        correlation_id=recorded.metadata.correlation_id,
        deliveries_before=version.delivery,
        initial_weights=version.created.initial_weights,
        grey_bits=version.frozen.grey_bits,
    )
    effects.dispatch(job)


def _dispatch_prediction(
    store: Store, effects: Effects, recorded: Recorded, requested: Requested
) -> None:
    tests = isinstance(requested, VersionTestEvaluationRequested)
    purpose = Purpose.TEST if tests else Purpose.SUGGESTIONS
    version = version_of(store, recorded.entity_id)
    current = version.predictions.get(purpose)
    if current is None or current.number != requested.number or not current.running:
        return
    images = manifest_of_test_set if tests else unannotated
    lines = images(store, version.created, requested.log_position)
    digest_without_truth = hashlib.sha256()

    def canonical() -> Iterator[bytes]:
        for line in lines:
            digest_without_truth.update(manifest.canonical_line(manifest.without_truth(line)))
            yield manifest.canonical_line(line)

    effects.put_manifest(canonical())
    created = version.created
    if requested.by_trainer:
        assert created.trainer is not None
        predict_job = TrainerPredictJob(
            version_id=recorded.entity_id,
            attempt=requested.number,
            kind=created.kind,
            concepts=created.concepts,
            trainer=created.trainer.name,
            form=created.trainer.form,
            settings=created.trainer.settings,
            format=created.trainer.format,
            manifest=digest_without_truth.hexdigest(),
            train_images=0,
            validation_images=requested.images,
            correlation_id=recorded.metadata.correlation_id,
            deliveries_before=current.delivery,
            queue=_trainer(store, created.trainer.trainer_id).queue(created.project_id),
            purpose=purpose,
            checkpoint=requested.checkpoint,
        )
        effects.dispatch(predict_job)
        return
    own = created.trainer
    job = PredictJob(
        version_id=recorded.entity_id,
        purpose=purpose,
        request=requested.number,
        kind=created.kind,
        concepts=created.concepts,
        options=not_built_in(own.name) if own else created.built_in("only it can predict"),
        checkpoint=requested.checkpoint,
        manifest=requested.manifest,
        correlation_id=recorded.metadata.correlation_id,
        deliveries_before=current.delivery,
        grey_bits=version.frozen.grey_bits if version.frozen else None,
        format=own.format if own else SAFETENSORS,
    )
    effects.dispatch(job)


def _dispatch_onnx(
    store: Store, effects: Effects, recorded: Recorded, requested: VersionOnnxRequested
) -> None:
    history = history_of(store, recorded.entity_id)
    current = history.state.predictions.get(Purpose.ONNX)
    if current is None or current.number != requested.number or not current.running:
        return
    model = describe(history)
    job = OnnxJob(
        version_id=recorded.entity_id,
        request=requested.number,
        model=model,
        manifest=model.manifest,
        correlation_id=recorded.metadata.correlation_id,
        deliveries_before=current.delivery,
    )
    effects.dispatch(job)


def _trainer(store: Store, trainer_id: str) -> Trainer:
    stream = TRAINER.stream(trainer_id)
    events = store.streams([stream])[stream]
    return require_trainer(TRAINER.fold(recorded.event for recorded in events))


def version_of(store: Store, version_id: str) -> Version:
    """The current state of a version."""
    stream = VERSION.stream(version_id)
    events = store.streams([stream])[stream]
    return versions.require(VERSION.fold(recorded.event for recorded in events))
