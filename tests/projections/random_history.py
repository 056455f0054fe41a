"""A log in which everything happens to everything, in an order that a seed decides."""

import random
from collections.abc import Callable, Iterator

from domain.dataset.annotation import DoubtedLabel
from domain.dataset.image import (
    Annotation,
    Box,
    ImageAdded,
    ImageAnnotated,
    ImageAnnotatedBlindly,
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
from domain.event import Event
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
    ConceptAdded,
    ConceptRemoved,
    ConceptRenamed,
    ModelRegistered,
    ViewArchived,
    ViewCreated,
    ViewRenamed,
    ViewRestored,
)
from domain.training.messages import ConceptLabel, SplitFigures
from domain.training.options import resolve_options
from domain.training.predictions import (
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
    STEPS,
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
from tests.projections.made_log import MadeLog

PROJECTS, VIEWS, CONCEPTS = ("p1", "p2"), ("v1", "v2"), ("c1", "c2", "c3")
IMAGES = tuple(f"i{number}" for number in range(1, 6))
MODELS, VERSIONS = ("m1", "m2"), ("x1", "x2", "x3")

_OPTIONS = resolve_options("classification", {"architecture": "resnet18"})
_LABELS = (ConceptLabel("c1", "cat"), ConceptLabel("c2", "dog"))


def random_history(seed: int, events: int) -> MadeLog:
    """So many events, the first ones of all streams spread among them."""
    chance = random.Random(seed)
    log = MadeLog()
    beginnings = list(_beginnings(chance))
    begun: list[str] = []
    gone: set[str] = set()
    tested: dict[str, int] = {}
    while len(log.events) < events or beginnings:
        if beginnings and (not begun or chance.random() < 0.25):
            stream, event = beginnings.pop(0)
            begun.append(stream)
        else:
            stream = chance.choice(begun)
            event = _next(chance, stream, stream in gone, tested.get(stream, 0))
        gone.discard(stream)
        if isinstance(event, ImageRemoved):
            gone.add(stream)
        log.add(stream, event)
        if isinstance(event, VersionTestEvaluationRequested):
            tested[stream] = event.number
            log.add(stream, VersionSuggestionsRequested("v1", event.number, "sha", "list", 4, 7))
        if isinstance(event, ImageAnnotated):
            log.add(stream, _decided(event, len(log.events)))
            other = _annotated(chance, stream.partition("-")[2])
            log.add(
                stream,
                ImageAnnotatedBlindly(other.view_id, other.annotations, other.without_concept, 1),
            )
    return log


def _decided(annotated: ImageAnnotated, number: int) -> Event:
    """A decision about a label: as many of each kind."""
    label = DoubtedLabel(CONCEPTS[number % 2])
    if number % 5 == 0:
        return SuggestionAccepted(annotated.view_id, "x1", changed=bool(number % 2))
    if number % 7 == 0:
        return SuggestionRejected(annotated.view_id, "x1")
    kinds = SuspectUpheld, SuspectLeftUnsure, SuspectCorrected
    return kinds[number % 3](annotated.view_id, "x1", label)


def _next(chance: random.Random, stream: str, gone: bool, tested: int) -> Event:
    kind, _, key = stream.partition("-")
    if kind == "version" and chance.random() < 0.2:
        return _about_test_set(chance, tested)
    if kind != "image":
        return chance.choice(_HAPPENINGS[kind])(chance)
    if gone:
        return _added(key)
    split = ImageSplitAssigned(chance.choice(("train", "validation", "test")))
    view = VIEWS[_place(key)]
    reviewed, withdrawn = ImageReviewed(view, 1), ImageReviewWithdrawn(view)
    annotated = _annotated(chance, key), _annotated(chance, key)
    return chance.choice((*annotated, split, reviewed, reviewed, withdrawn, ImageRemoved()))


def _beginnings(chance: random.Random) -> Iterator[tuple[str, Event]]:
    for project, view, model in zip(PROJECTS, VIEWS, MODELS, strict=True):
        yield f"project-{project}", ProjectCreated(f"Project {project}")
        yield f"view-{view}", ViewCreated(project, f"View {view}", "classification")
        forked = ModelForked("v1", "Fork", "m1", ("c1",), "fewer")
        created = ModelCreated(view, "M", ("c1",))
        yield f"model-{model}", chance.choice((forked, created))
    for image in IMAGES:
        yield f"image-{image}", _added(image)
    for number, version in enumerate(VERSIONS, start=1):
        model, name = chance.choice(MODELS), f"N{number}"
        ordered = VersionCreated(
            "p1", "v1", model, number, name, "classification", _LABELS, _OPTIONS, 7
        )
        yield f"version-{version}", ordered


def _place(image: str) -> int:
    """All images but the last are of the first project, and so annotated in its view."""
    return int(image == IMAGES[-1])


def _added(image: str) -> ImageAdded:
    lens = "wide" if image in {"i1", "i4"} else "tele"
    return ImageAdded(PROJECTS[_place(image)], image * 32, 8, 8, f"{image}.png", {"lens": lens})


def _annotated(chance: random.Random, image: str) -> ImageAnnotated:
    held = chance.sample(CONCEPTS, chance.randrange(3))
    box = Box(0.1, 0.2, 0.3, 0.4) if chance.random() < 0.5 else None
    without = not held and chance.random() < 0.5
    said = tuple(Annotation(concept, box) for concept in held)
    return ImageAnnotated(VIEWS[_place(image)], said, without)


def _measured(chance: random.Random) -> VersionResultMeasured:
    metrics = SplitFigures(images=2, loss=chance.random(), accuracy=chance.random())
    differences = (MetricDifference("validation", "accuracy", 0.5, metrics.accuracy),)
    file = f"joined {chance.random()}"
    return VersionResultMeasured(1, "sha", file, metrics, metrics, differences)


def _evaluated(chance: random.Random) -> VersionEvaluated:
    figures = SplitFigures(images=4, loss=chance.random(), accuracy=chance.random())
    train = figures if chance.random() < 0.5 else None
    return VersionEvaluated("sha", figures, train, f"predictions {chance.random()}")


def _about_test_set(chance: random.Random, number: int) -> Event:
    """The next request of a version's evaluation on the test set, or what comes of the last one."""
    figures = SplitFigures(images=4, loss=chance.random(), accuracy=chance.random())
    requested = VersionTestEvaluationRequested(
        chance.choice(VIEWS), number + 1, _words(chance), "sha", "manifest", 4, 7, number, number
    )
    started = VersionTestEvaluationStarted(number, chance.randrange(1, 4), "w", "cpu", {})
    evaluated = VersionTestEvaluated(number, "sha", figures, 4, f"predictions {chance.random()}")
    failed = VersionTestEvaluationFailed(number, _words(chance))
    suggested = (
        VersionSuggestionsStarted(number, 1, "w", "cpu", {}),
        VersionSuggestionsMade(number, "sha", 4, f"predictions {chance.random()}"),
        VersionSuggestionsFailed(number, _words(chance)),
    )
    happenings = requested, started, evaluated, failed, *suggested
    return chance.choice(happenings) if number else requested


def _words(chance: random.Random) -> str:
    return f"name {chance.randrange(1000)}"


Happening = Callable[[random.Random], Event]

_HAPPENINGS: dict[str, list[Happening]] = {
    "project": [
        lambda c: ProjectRenamed(_words(c)),
        lambda c: ValidationSplitDrawn(0.2, c.randrange(9), 10, 2, 1),
        lambda c: TestSetDrawn(0.1, c.randrange(9), 10, 1, 1),
        lambda c: GreyDepthChosen(c.choice((10, 12, 14, 16))),
        lambda c: GroupKeySet(c.choice(("patient", "site", None)), 1, 2, 0),
        lambda c: SnapshotNamed(_words(c), c.randrange(1, 9)),
        lambda c: SnapshotRemoved(_words(c)),
    ],
    "view": [
        lambda c: ConceptAdded(c.choice(CONCEPTS), _words(c)),
        lambda c: ConceptAdded(c.choice(CONCEPTS), _words(c)),
        lambda c: ConceptRenamed(c.choice(CONCEPTS), _words(c)),
        lambda c: ConceptRemoved(c.choice(CONCEPTS)),
        lambda c: ModelRegistered(c.choice(MODELS), ("c1",)),
        lambda c: ViewRenamed(_words(c)),
        lambda _: ViewArchived(),
        lambda _: ViewRestored(),
    ],
    "model": [
        lambda c: ConceptSetAmended(tuple(c.sample(CONCEPTS, 2))),
        lambda c: ModelRenamed(_words(c)),
        lambda _: ModelArchived(),
        lambda _: ModelReopened(),
        lambda c: VersionNumbered(c.choice(VERSIONS), c.randrange(9)),
    ],
    "version": [
        lambda c: DatasetFrozen("manifest", 8, 2, {}, c.choice(("this", "that", None))),
        lambda c: VersionTrainingStarted(1, c.randrange(1, 4), _words(c), "cpu", {}, 0),
        lambda c: TrainingStepAdvanced(c.choice(STEPS), "running", c.random()),
        lambda c: TrainingStepAdvanced("training", "running", c.random()),
        lambda c: TrainingStepAdvanced(c.choice(STEPS), "done", 1.0),
        lambda c: TrainingLengthKnown(c.randrange(1, 9), c.randrange(9, 99), 8, {}),
        lambda c: BatchMetricsRecorded(c.randrange(9), (0.1, 0.2), (c.random(), c.random())),
        lambda c: EpochMetricsRecorded(c.randrange(9), 9, c.random(), c.random(), None),
        lambda c: EpochItemsRecorded(c.randrange(9), 9, "sha", 8, 8, c.random()),
        lambda c: EpochItemsDiscarded(c.randrange(9)),
        lambda c: BestCheckpointSaved("sha", c.randrange(99), "accuracy", c.random(), 1),
        _evaluated,
        lambda c: ThresholdSet(c.choice(CONCEPTS), c.random()),
        lambda c: VersionReportRefused(1, 1, c.randrange(9), "batch_metrics", _words(c)),
        lambda c: VersionResultReported(1, 1, "sha", _words(c), 9, "length"),
        _measured,
        lambda c: VersionTrainingCompleted("sha", _words(c), 9, c.choice(("length", "stop"))),
        lambda c: VersionTrainingFailed(_words(c)),
        lambda _: VersionTrainingCancelled(),
        lambda _: VersionStopRequested(),
        lambda c: VersionRetried(c.randrange(2, 9)),
        lambda c: VersionRenamed(_words(c)),
        lambda _: VersionArchived(),
    ],
}
