"""Events of a working system, created without executing commands."""

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from itertools import islice

import psycopg

from application.handle import new_metadata
from application.log.mapper import EventMapper
from application.log.sealing import new_key
from application.log.store import Store
from domain.aggregates import IMAGE, MODEL, VERSION
from domain.dataset.image import (
    Annotation,
    ImageAdded,
    ImageAnnotated,
    ImageSplitAssigned,
    image_id,
)
from domain.event import Event, Recorded
from domain.library.model import VersionNumbered
from domain.training.messages import ConceptLabel, SplitFigures
from domain.training.options import resolve_options
from domain.training.version import (
    BestCheckpointSaved,
    DatasetFrozen,
    TrainingStepAdvanced,
    VersionCreated,
    VersionEvaluated,
    VersionTrainingCompleted,
    VersionTrainingStarted,
)

BATCH = 1000
CONCEPTS = tuple(ConceptLabel(f"{digit:036}", str(digit)) for digit in range(10))

SMALL = {"architecture": "resnet18", "width": 32, "height": 32, "recorded_images": 0}
"""Options of a training on small images, which records no items."""


def recorded(stream: str, revision: int, event: Event) -> Recorded:
    metadata = new_metadata("user:ada", str(uuid.uuid4()), str(uuid.uuid4()), None)
    return Recorded(stream, revision, event, metadata)


def append_all(store: Store, events: Iterable[Recorded]) -> None:
    """Append in batches of a thousand."""
    remaining = iter(events)
    while batch := list(islice(remaining, BATCH)):
        store.append(batch)


def copy_all(admin_url: str, events: Iterable[Recorded]) -> None:
    """Append with COPY, which only the database's owner may do: for logs of millions of events."""
    to_stored_event, key = EventMapper().to_stored_event, new_key()
    with psycopg.connect(admin_url, autocommit=True) as admin:
        last = admin.execute("SELECT max(notification_id) FROM log.stemma_events").fetchone()
        head = (last and last[0]) or 0
        columns = "originator_id, originator_version, topic, state, notification_id"
        with admin.cursor().copy(
            f"COPY log.stemma_events ({columns}) FROM STDIN (FORMAT binary)"
        ) as rows:
            rows.set_types(["text", "int8", "text", "bytea", "int8"])
            for position, event in enumerate(events, start=head + 1):
                stored = to_stored_event(event, key)
                rows.write_row(
                    (
                        stored.originator_id,
                        stored.originator_version,
                        stored.topic,
                        stored.state,
                        position,
                    )
                )
        admin.execute("VACUUM (ANALYZE) log.stemma_events")


def image_events(total: int) -> Iterator[Recorded]:
    """A project's images: added, annotated, a fifth held out, and some annotated again."""
    project, view = str(uuid.uuid4()), str(uuid.uuid4())
    images = total * 9 // 20
    blobs = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(images)]
    streams = [IMAGE.stream(image_id(project, blob)) for blob in blobs]
    left = total
    for number, (stream, blob) in enumerate(zip(streams, blobs, strict=True)):
        yield recorded(stream, 1, _added(project, blob, number))
        left -= 1
    for number, stream in enumerate(streams):
        yield recorded(stream, 2, _annotated(view, number))
        left -= 1
    held_out = streams[: images // 5]
    for stream in held_out:
        yield recorded(stream, 3, ImageSplitAssigned("validation"))
        left -= 1
    for number, stream in enumerate(streams[len(held_out) :][:left]):
        yield recorded(stream, 3, _annotated(view, number + 1))


def _added(project: str, blob: str, number: int) -> ImageAdded:
    return ImageAdded(project, blob, 640, 480, f"image-{number:06}.png", {"camera": "north"})


def _annotated(view: str, number: int) -> ImageAnnotated:
    concept = CONCEPTS[number % len(CONCEPTS)]
    return ImageAnnotated(view, (Annotation(concept.concept_id),), False)


def trained_version(
    project_id: str, view_id: str, model_id: str, revision: int, number: int
) -> Iterator[Recorded]:
    """The events of a version from its creation to its completion, after the model's event for
    it."""
    version_id = str(uuid.uuid4())
    yield recorded(MODEL.stream(model_id), revision, VersionNumbered(version_id, number))
    stream = VERSION.stream(version_id)
    events = _version_events(project_id, view_id, model_id, number)
    for version_revision, event in enumerate(events, start=1):
        yield recorded(stream, version_revision, event)


def _version_events(project_id: str, view_id: str, model_id: str, number: int) -> Iterator[Event]:
    options = resolve_options("classification", SMALL)
    digest = hashlib.sha256(f"{model_id}/{number}".encode()).hexdigest()
    yield VersionCreated(
        project_id,
        view_id,
        model_id,
        number,
        f"Version {number}",
        "classification",
        CONCEPTS,
        options,
        1,
    )
    per_concept = {concept.concept_id: 144 for concept in CONCEPTS}
    yield DatasetFrozen(digest, 1438, 359, per_concept, digest)
    yield VersionTrainingStarted(1, 1, "worker", "cpu", {"torch": "2"}, 0)
    for step in ("preparing", "training"):
        yield TrainingStepAdvanced(step, "running", 0.0)
        yield TrainingStepAdvanced(step, "done", 1.0)
    accuracy = 0.9 + number % 100 / 1000
    yield BestCheckpointSaved(digest, 44_800_000, "validation_accuracy", accuracy, 1)
    yield VersionEvaluated(
        digest, SplitFigures(images=359, loss=0.1, accuracy=accuracy), None, digest
    )
    yield VersionTrainingCompleted(digest, digest, 180)
