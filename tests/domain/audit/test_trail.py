"""Every event has a line of its own, in the product's words."""

import re
from pathlib import Path

import pytest
from eventsourcing.persistence import StoredEvent

from application.log.mapper import EventMapper
from domain.access import account, key
from domain.aggregates import AGGREGATES
from domain.audit.places import own_terms
from domain.audit.trail import Line, line_of, mentions
from domain.dataset import blob, image, imports, project
from domain.dataset.annotation import DoubtedLabel
from domain.dataset.image import Annotation, Box, ImageAdded, ImageAnnotated, ImageSplitAssigned
from domain.event import Event, Recorded, registry
from domain.experiments import experiment
from domain.library import model, view
from domain.subscriptions import webhook
from domain.trainers import trainer
from domain.training import version
from domain.training.messages import LENGTH
from domain.training.version import (
    ThresholdSet,
    VersionRetried,
    VersionTrainingCompleted,
    VersionTrainingFailed,
    VersionTrainingStarted,
)
from tests.domain.training.version_samples import CREATED
from tests.golden.test_samples import SAMPLES, parts
from tests.golden.write import EXAMPLES, METADATA, SHA

PROJECT = project.Project("Zoo")
VIEW = view.View("p", "Animals", "tagging", {"c": "cat", "d": "dog"}, {"e": "emu"})
SAMPLED = view.evolve(VIEW, view.ConceptAdded("concept-1", "Zähler"))
MODEL = model.Model("v", "Model 1", ("c", "d"))
IMAGE = image.Image(ImageAdded("p", SHA, 640, 480, "scene-1.png", {}))
IMPORT = imports.Import(
    imports.ImportRequested("p", "cats.zip", False, None, imports.ImportRules())
)
VERSION = version.Version(CREATED, CREATED.name)
WEBHOOK = webhook.Webhook(
    webhook.WebhookRegistered("hooks.example.com", (), "p", "", "https://hooks.example.com/", "s"),
    "s",
)
EXPERIMENT = experiment.Experiment(
    next(event for event in EXAMPLES if isinstance(event, experiment.ExperimentStarted))
)
STATES: dict[str, object] = {
    "project": PROJECT,
    "view": SAMPLED,
    "model": MODEL,
    "image": IMAGE,
    "blob": blob.Blob("asked for"),
    "import": IMPORT,
    "version": VERSION,
    "experiment": EXPERIMENT,
    "webhook": WEBHOOK,
    "trainer": trainer.Trainer("acme/logreg", ("tagging",), (), "onnx"),
    "account": account.Account("ada", account.PERSON, None),
    "key": key.Key("a", "nightly", key.Scope(), None, SHA),
}


def line(kind: str, event: Event, before: object = None, **others: object) -> Line:
    """The line of an event of a stream `KIND-1`; `others` are the states of those it mentions."""
    states = {f"{name}-{name[0]}": state for name, state in others.items()}
    states |= {f"{kind}-1": before} if before is not None else {}
    after = AGGREGATES[kind].evolve(before, event)
    return line_of(Recorded(f"{kind}-1", 7, event, METADATA, 42), states, after)


def told(kind: str, event: Event, before: object = None, **others: object) -> str:
    return line(kind, event, before, **others).description


def sampled(sample: Path) -> tuple[str, Event]:
    """The kind of stream of a golden sample, and its event."""
    name, _ = parts(sample)
    kind = name.split(".")[0]
    row = StoredEvent(f"{kind}-1", 1, name, sample.read_bytes())
    recorded: Recorded = EventMapper().to_domain_event(row)
    return kind, recorded.event


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_every_event_has_words_with_and_without_what_was_before(sample: Path) -> None:
    kind, event = sampled(sample)
    for before in (STATES[kind], None):
        words = told(kind, event, before)
        assert words.strip() == words != ""
        assert not re.search(r"None|\(\)|\{|<", words), words


def test_no_two_events_say_the_same() -> None:
    """A branch that takes two events for one would tell of one of them wrongly."""
    words: dict[str, str] = {}
    for sample in SAMPLES:
        kind, event = sampled(sample)
        said = told(kind, event, STATES[kind])
        assert words.setdefault(said, event.event_name) == event.event_name
    assert set(words.values()) == set(registry())


def test_an_event_without_words_is_refused() -> None:
    with pytest.raises(LookupError, match=r"no description of project\.created"):
        told("version", project.ProjectCreated("Zoo"))


def test_what_takes_another_things_place_is_told_with_both() -> None:
    assert told("project", project.ProjectRenamed("Farm"), PROJECT) == (
        "project 'Zoo' renamed: Zoo → Farm"
    )
    assert told("image", ImageSplitAssigned("validation"), IMAGE) == (
        "image scene-1.png assigned to a split: train → validation"
    )
    assert told("view", view.ConceptRenamed("c", "kitten"), VIEW) == (
        "concept of view 'Animals' renamed: cat → kitten"
    )
    assert told("view", view.ConceptAdded("f", "fox"), VIEW) == (
        "concept 'fox' added to view 'Animals'"
    )
    assert told("view", view.ConceptRemoved("d"), VIEW) == (
        "concept 'dog' removed from view 'Animals'"
    )


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (None, ("c",), "nothing → cat"),
        (("c",), ("d",), "cat → dog"),
        (("c", "c", "d"), ("e",), "cat (2), dog → emu"),
        (("c",), (), "cat → nothing"),
        (("c",), None, "cat → without concept"),
        (("c",), ("x",), "cat → x"),
    ],
)
def test_annotations_are_told_by_their_labels(
    before: tuple[str, ...] | None, after: tuple[str, ...] | None, words: str
) -> None:
    known = IMAGE if before is None else image.evolve(IMAGE, _annotated(before))
    event = ImageAnnotated("v", (), True) if after is None else _annotated(after)
    assert told("image", event, known, view=VIEW) == (
        f"image scene-1.png annotated in view 'Animals': {words}"
    )


def _annotated(concepts: tuple[str, ...]) -> ImageAnnotated:
    return ImageAnnotated("v", tuple(Annotation(one) for one in concepts), False)


def test_a_box_that_moved_is_told() -> None:
    boxes = [Box(0.1, 0.1, side, 0.5) for side in (0.2, 0.3)]
    before, after = (ImageAnnotated("v", (Annotation("c", box),), False) for box in boxes)
    assert told("image", after, image.evolve(IMAGE, before), view=VIEW).endswith(
        "cat → cat, with other boxes"
    )


def test_a_training_is_told_by_its_status() -> None:
    started = VersionTrainingStarted(1, 1, "worker-1", "cpu", {}, 0)
    assert told("version", started, VERSION) == (
        "version 3 training started on cpu by worker-1, attempt 1: queued → preparing"
    )
    failed = VersionTrainingFailed("the disk is full")
    training = version.evolve(VERSION, started)
    assert told("version", failed, training).endswith("(the disk is full): preparing → failed")
    broken = version.evolve(training, failed)
    assert told("version", VersionRetried(2), broken).endswith("attempt 2: failed → queued")
    completed = VersionTrainingCompleted(SHA, SHA, 9, LENGTH)
    assert told("version", completed, training).endswith("by its length: preparing → ready")


def test_a_threshold_is_told_with_the_one_before() -> None:
    concept = CREATED.concepts[0]
    first, second = (ThresholdSet(concept.concept_id, share) for share in (0.25, 0.75))
    assert told("version", first, VERSION) == (
        f"threshold of '{concept.label}' set for version 3: 0 → 0.25"
    )
    assert told("version", second, version.evolve(VERSION, first)).endswith(": 0.25 → 0.75")


def test_a_line_says_when_who_what_and_why() -> None:
    found = line("project", project.ProjectRenamed("Farm"), PROJECT)
    assert found.text == ("42 2026-03-04 05:06:07.890Z user:ada: project 'Zoo' renamed: Zoo → Farm")
    assert (found.command_id, found.correlation_id, found.causation_id) == (
        METADATA.command_id,
        METADATA.correlation_id,
        METADATA.causation_id,
    )


@pytest.mark.parametrize(
    ("kind", "event", "before", "others", "owner"),
    [
        ("project", project.ProjectCreated("Zoo"), None, {}, ("1", None, None, None)),
        ("image", _annotated(("c",)), IMAGE, {"view": VIEW}, ("p", "v", None, None)),
        ("image", image.ImageReviewed("v", 2), IMAGE, {"view": VIEW}, ("p", "v", None, None)),
        ("image", image.ImageRemoved(), IMAGE, {}, ("p", None, None, None)),
        ("import", imports.ImportFailed("no"), IMPORT, {}, ("p", None, None, None)),
        ("view", view.ConceptRemoved("c"), VIEW, {}, ("p", "1", None, None)),
        ("view", view.ModelRegistered("m", ("c",)), VIEW, {}, ("p", "1", "m", None)),
        ("model", model.ModelArchived(), MODEL, {"view": VIEW}, ("p", "v", "1", None)),
        ("model", model.VersionNumbered("x", 1), MODEL, {"view": VIEW}, ("p", "v", "1", "x")),
        (
            "version",
            version.VersionArchived(),
            VERSION,
            {},
            (CREATED.project_id, CREATED.view_id, CREATED.model_id, "1"),
        ),
    ],
)
def test_a_line_says_what_its_event_belongs_to(
    kind: str, event: Event, before: object, others: dict[str, object], owner: tuple[str, ...]
) -> None:
    found = line(kind, event, before, **others)
    assert (found.project_id, found.view_id, found.model_id, found.version_id) == owner


@pytest.mark.parametrize(
    "event",
    [
        image.ImageReviewed("v", 2),
        image.ImageReviewWithdrawn("v"),
        image.ImageAnnotatedBlindly("v", (), True, 2),
        image.SuggestionRejected("v", "x"),
        image.SuspectUpheld("v", "x", DoubtedLabel("c")),
    ],
)
def test_what_is_about_an_images_annotations_is_found_by_their_view(event: Event) -> None:
    assert "view:v" in own_terms(Recorded("image-1", 3, event, METADATA, 7))
    assert "in view 'Animals'" in told("image", event, IMAGE, view=VIEW)
    assert "view-v" in mentions(event)


def test_what_a_line_mentions_is_named() -> None:
    created = view.ViewCreated("p", "Animals", "tagging")
    assert mentions(created) == ["project-p"]
    assert told("view", created, project=PROJECT) == (
        "tagging view 'Animals' created in project 'Zoo'"
    )
    forked = model.ModelForked("v", "Model 2", "m", ("c",), "removed 'dog'")
    assert mentions(forked) == ["view-v", "model-m"]
    assert told("model", forked, view=VIEW, model=MODEL) == (
        "model 'Model 2' forked from model 'Model 1' (removed 'dog'): cat"
    )
