"""The log of working teams: annotations of images and trainings of versions, in several projects.

Half of the events are about images, half about versions; most of the latter are the reports of
trainings in each second.
"""

import hashlib
import random
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

from benchmarks.sample_events import SMALL, recorded
from domain.aggregates import IMAGE, IMPORT, MODEL, PROJECT, VERSION, VIEW
from domain.dataset.image import (
    Annotation,
    ImageAdded,
    ImageAnnotated,
    ImageRemoved,
    ImageSplitAssigned,
)
from domain.dataset.imports import ImportCompleted, ImportCounts, ImportRequested, ImportRules
from domain.dataset.project import ProjectCreated, ProjectRenamed, ValidationSplitDrawn
from domain.event import Event, Recorded
from domain.library.model import ModelCreated, ModelRenamed, VersionNumbered
from domain.library.view import ConceptAdded, ConceptRenamed, ModelRegistered, ViewCreated
from domain.training.messages import ConceptLabel, SplitFigures
from domain.training.options import resolve_options
from domain.training.version import (
    BatchMetricsRecorded,
    BestCheckpointSaved,
    DatasetFrozen,
    EpochMetricsRecorded,
    ThresholdSet,
    TrainingLengthKnown,
    TrainingStepAdvanced,
    VersionCreated,
    VersionEvaluated,
    VersionRenamed,
    VersionTrainingCompleted,
    VersionTrainingFailed,
    VersionTrainingStarted,
)

AT_ONCE = 4
"""The number of projects at the same time, with interleaved events."""

IMAGES, CONCEPTS, VERSIONS = 2_000, 10, 12
EPOCHS, SECONDS_EACH, ITERATIONS_A_SECOND = 20, 8, 20
DIGEST = hashlib.sha256(b"digest").hexdigest()

StreamEvents = Iterator[tuple[str, Event]]
"""Events with their streams."""


def log_of_teams(total: int) -> Iterator[Recorded]:
    """A log of `total` events, of projects that begin when others end."""
    return islice(_in_turns(random.Random(1)), total)


def _in_turns(choose: random.Random) -> Iterator[Recorded]:
    running = [_numbered(_project(choose)) for _ in range(AT_ONCE)]
    while True:
        place = choose.randrange(AT_ONCE)
        some = list(islice(running[place], choose.randint(1, 20)))
        if not some:
            running[place] = _numbered(_project(choose))
        yield from some


def _numbered(events: StreamEvents) -> Iterator[Recorded]:
    revisions: Counter[str] = Counter()
    for stream, event in events:
        revisions[stream] += 1
        yield recorded(stream, revisions[stream], event)


def _project(choose: random.Random) -> StreamEvents:
    project, view, model = (str(uuid.uuid4()) for _ in range(3))
    concepts = [ConceptLabel(str(uuid.uuid4()), f"concept {n}") for n in range(CONCEPTS)]
    concept_ids = tuple(concept.concept_id for concept in concepts)
    yield PROJECT.stream(project), ProjectCreated("Images")
    yield PROJECT.stream(project), ProjectRenamed("The team's images")
    yield VIEW.stream(view), ViewCreated(project, "What is it", "classification")
    for concept in concepts:
        yield VIEW.stream(view), ConceptAdded(concept.concept_id, concept.label)
    yield VIEW.stream(view), ConceptRenamed(concept_ids[0], "the first concept")
    yield VIEW.stream(view), ModelRegistered(model, concept_ids)
    yield MODEL.stream(model), ModelCreated(view, "concepts", concept_ids)
    yield MODEL.stream(model), ModelRenamed("all concepts")
    yield from _images(choose, project, view, concept_ids)
    for number in range(1, VERSIONS + 1):
        version = str(uuid.uuid4())
        yield MODEL.stream(model), VersionNumbered(version, number)
        created = VersionCreated(
            project,
            view,
            model,
            number,
            f"Version {number}",
            "classification",
            tuple(concepts),
            resolve_options("classification", SMALL),
            1,
        )
        for event in (created, *_training(choose, concept_ids)):
            yield VERSION.stream(version), event


def _images(
    choose: random.Random, project: str, view: str, concepts: Sequence[str]
) -> StreamEvents:
    """Images: imported, annotated, a fifth held out, a tenth annotated again, a few removed."""
    import_stream = IMPORT.stream(str(uuid.uuid4()))
    counts = ImportCounts(images=IMAGES, added=IMAGES)
    yield import_stream, ImportRequested(project, "images.zip", False, None, ImportRules())
    streams = [IMAGE.stream(str(uuid.uuid4())) for _ in range(IMAGES)]
    for number, stream in enumerate(streams):
        blob = hashlib.sha256(stream.encode()).hexdigest()
        metadata = {"camera": "north"}
        yield stream, ImageAdded(project, blob, 640, 480, f"image-{number:06}.png", metadata)
    yield import_stream, ImportCompleted("folders", counts, None)
    again = choose.sample(streams, IMAGES // 10)
    for stream in streams + again:
        annotation = Annotation(choose.choice(concepts))
        yield stream, ImageAnnotated(view, (annotation,), False)
    for stream in choose.sample(streams, IMAGES // 5):
        yield stream, ImageSplitAssigned("validation")
    for stream in choose.sample(streams, IMAGES // 100):
        yield stream, ImageRemoved()
    yield PROJECT.stream(project), ValidationSplitDrawn(0.2, 1, IMAGES, IMAGES // 5, 1)


def _training(choose: random.Random, concepts: Sequence[str]) -> Iterator[Event]:
    yield DatasetFrozen(DIGEST, 1600, 400, dict.fromkeys(concepts, 200), DIGEST)
    yield VersionTrainingStarted(1, 1, "gpu-1", "cuda:0", {"torch": "2.11"}, 0)
    yield TrainingStepAdvanced("preparing", "running", 0.0)
    each = SECONDS_EACH * ITERATIONS_A_SECOND
    yield TrainingLengthKnown(each, each * EPOCHS)
    yield TrainingStepAdvanced("preparing", "done", 1.0)
    done = 0
    for epoch in range(1, EPOCHS + 1):
        for _ in range(SECONDS_EACH):
            losses = tuple(choose.random() for _ in range(ITERATIONS_A_SECOND))
            rates = tuple(0.01 / (1 + done + n) for n in range(ITERATIONS_A_SECOND))
            yield BatchMetricsRecorded(done, rates, losses)
            done += ITERATIONS_A_SECOND
            yield TrainingStepAdvanced("training", "running", done / (each * EPOCHS))
        accuracy = choose.random()
        yield EpochMetricsRecorded(epoch, done, 1 - accuracy, accuracy, None)
        if epoch % 2:
            yield BestCheckpointSaved(DIGEST, 44_800_000, "validation_accuracy", accuracy, epoch)
    if choose.random() < 0.1:
        yield VersionTrainingFailed("the worker ran out of memory")
        return
    yield TrainingStepAdvanced("evaluating", "running", 0.0)
    metrics = SplitFigures(images=400, loss=0.1, accuracy=0.9)
    yield VersionEvaluated(DIGEST, metrics, None, DIGEST)
    yield TrainingStepAdvanced("evaluating", "done", 1.0)
    yield VersionTrainingCompleted(DIGEST, DIGEST, done)
    yield ThresholdSet(choose.choice(concepts), 0.6)
    yield VersionRenamed("the one we use")
