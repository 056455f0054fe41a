"""An evaluation on the test set from its request to its result: counted, dispatched, taken once."""

from functools import partial
from pathlib import Path

import msgspec
import pytest

from adapters.blobs.blobs import BlobStore
from adapters.training.policy_feed import put_manifest
from application.dataset import projects
from application.log.store import Store
from application.training.ingest import Ingest
from application.training.job_tokens import JobTokens
from application.training.policies import REACTS_TO, Effects, react
from application.training.test_evaluations import request_test_evaluation
from domain.aggregates import IMAGE, VERSION, VIEW
from domain.dataset.image import AssignSplit
from domain.dataset.splits import DrawSplit
from domain.errors import Conflict
from domain.library.view import ArchiveView
from domain.training.jobs import AnyJob, PredictJob
from domain.training.messages import (
    AnyReport,
    Failed,
    ManifestLine,
    Predicted,
    Purpose,
    Report,
    SplitFigures,
    Started,
)
from domain.training.predictions import VersionTestEvaluationRequested
from tests.application.scenes import Scene, do, insist
from tests.application.training.reports import accept_results, delivered, reports, sha, whole_run

FIGURES = SplitFigures(images=3, loss=0.5, accuracy=0.9)
WHOLE: list[AnyReport] = [
    Started("w1", "cpu", {"torch": "2"}, 0),
    Predicted(sha(2), FIGURES, 3, sha(99)),
]


class World:
    """A view with three test images, and what the policies do and the workers are given."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.scene = Scene(store, images=15)
        self.scene.draw_split()
        project = self.scene.project
        insist(store, lambda s: projects.draw_test_set(s, project, DrawSplit(3, 1)))
        self.blobs = BlobStore.from_url(f"file://{folder}")
        self.jobs: list[AnyJob] = []
        self.effects = Effects(partial(put_manifest, self.blobs), self.jobs.append)
        self._feeds = 0

    def ready(self) -> str:
        version = self.scene.train()
        self.take(reports(version, whole_run()))
        return version

    def request(self, version: str, reason: str = "before the release") -> int:
        return do(self.store, lambda s: request_test_evaluation(s, version, reason)).position

    def requested(self, version: str) -> VersionTestEvaluationRequested:
        """The newest request."""
        found = [e for e in self.events(version) if isinstance(e, VersionTestEvaluationRequested)]
        return found[-1]

    def events(self, version: str) -> list[object]:
        stream = VERSION.stream(version)
        return [recorded.event for recorded in self.store.streams([stream])[stream]]

    def names(self, version: str) -> list[str]:
        """The names of the events about the test set."""
        stream = VERSION.stream(version)
        names = [r.event.event_name for r in self.store.streams([stream])[stream]]
        return [name.removeprefix("version.test_") for name in names if "test" in name]

    def react(self) -> list[PredictJob]:
        """React to the whole log; the predictions that are dispatched by that."""
        self.jobs.clear()
        for recorded in self.store.read_all(names=REACTS_TO):
            react(self.store, self.effects, recorded)
        return [job for job in self.jobs if isinstance(job, PredictJob)]

    def take(self, sent: list[Report], tokens: JobTokens | None = None) -> None:
        self._feeds += 1
        Ingest(self.store, f"feed {self._feeds} of {self.scene.project}", tokens).take(
            delivered(sent)
        )
        accept_results(self.store)

    def assign(self, image: str, split: str) -> None:
        do(self.store, lambda s: s.change(IMAGE, image, AssignSplit(split)))

    def images(self, manifest: str) -> list[ManifestLine]:
        content = b"".join(self.blobs.read_compressed(manifest))
        return msgspec.json.Decoder(ManifestLine).decode_lines(content)


def of_test(
    version: str, said: list[AnyReport], *, attempt: int = 1, delivery: int = 1
) -> list[Report]:
    made = reports(version, said, attempt=attempt, delivery=delivery)
    return [msgspec.structs.replace(one, purpose=Purpose.TEST) for one in made]


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return World(store, tmp_path / "blobs")


def test_the_test_images_are_frozen_as_they_were_at_the_request(world: World) -> None:
    version = world.ready()
    world.request(version)
    requested = world.requested(version)
    lines = [line for line in _images(world) if line.split == "test"]
    moved = lines[0].image
    world.assign(moved, "train")
    [job] = world.react()
    assert (job.purpose, job.request, job.checkpoint) == (Purpose.TEST, 1, sha(2))
    assert (job.manifest, requested.images) == (requested.manifest, 3)
    assert world.images(job.manifest) == lines


def _images(world: World) -> list[ManifestLine]:
    """All images of the view as lines, sorted by id; each has one of the two concepts in turn."""
    ids = {IMAGE.stream(image): image for image in sorted(world.scene.images)}
    events = world.store.streams(list(ids))
    states = {ids[stream]: IMAGE.fold(r.event for r in events[stream]) for stream in ids}
    return [
        ManifestLine(
            image,
            state.blob,
            state.split,
            tuple(a.concept_id for a in state.annotations[world.scene.view].annotations),
        )
        for image, state in states.items()
        if state is not None
    ]


def test_a_training_is_dispatched_as_before_and_an_evaluation_once(world: World) -> None:
    version = world.ready()
    assert world.react() == []
    world.request(version)
    first, again = world.react(), world.react()
    assert first == again
    assert first[0].message_id == f"{version}:test-1"
    world.take(of_test(version, WHOLE))
    assert world.react() == []


def test_a_job_that_was_lost_knows_its_earlier_deliveries(world: World) -> None:
    version = world.ready()
    world.request(version)
    world.take(of_test(version, WHOLE[:1], delivery=3))
    [job] = world.react()
    assert job.deliveries_before == 3


def test_whatever_comes_twice_or_late_there_is_one_result(world: World) -> None:
    version = world.ready()
    world.request(version)
    superseded = of_test(version, [WHOLE[0], Failed("no memory")])
    world.take(superseded[:1])
    second = of_test(version, WHOLE, delivery=2)
    world.take([second[0], superseded[1], *second[1:], *second, *superseded])
    world.take(second)
    names = ["evaluation_requested", "evaluation_started", "evaluation_started", "evaluated"]
    assert world.names(version) == names


def test_one_ingest_knows_what_others_have_written_since(world: World) -> None:
    """The end of a training and the request to test it are not its own events."""
    version = world.scene.train()
    ingest = Ingest(world.store, "the only feed")
    trained = delivered(reports(version, whole_run()))
    ingest.take(trained)
    accept_results(world.store)
    world.request(version)
    ingest.take(delivered(of_test(version, WHOLE), first=len(trained) + 1))
    names = ["evaluation_requested", "evaluation_started", "evaluated"]
    assert world.names(version) == names


def test_only_the_worker_that_was_given_the_job_reports_on_it(world: World) -> None:
    version = world.ready()
    tokens = JobTokens(b"k" * 32, since=0)
    world.request(version)
    bare = of_test(version, WHOLE)
    of_training = tokens.of(version, 1, "correlation")
    for token in ("", of_training):
        world.take([msgspec.structs.replace(one, token=token) for one in bare], tokens)
    assert world.names(version) == ["evaluation_requested"]
    own = tokens.of(version, 1, "correlation", Purpose.TEST)
    world.take([msgspec.structs.replace(one, token=own) for one in bare], tokens)
    assert world.names(version)[-1] == "evaluated"


def test_each_request_says_how_many_were_before_it(world: World, tmp_path: Path) -> None:
    first, second = world.ready(), world.ready()
    other = World(world.store, tmp_path / "others")
    strange = other.ready()
    other.request(strange)
    world.request(first)
    world.request(second)
    assert _before(world, first) == (0, 0)
    assert _before(world, second) == (0, 1)
    world.take(of_test(first, WHOLE))
    world.take(of_test(second, [WHOLE[0], Failed("no memory")]))
    world.request(first)
    assert _before(world, first) == (1, 1)
    world.request(second)
    assert _before(world, second) == (0, 2)
    assert _before(other, strange) == (0, 0)


def _before(world: World, version: str) -> tuple[int, int]:
    requested = world.requested(version)
    return requested.earlier_of_version, requested.earlier_of_view


def test_what_cannot_be_evaluated_is_refused_by_name(world: World) -> None:
    queued = world.scene.train()
    with pytest.raises(Conflict, match="the version is queued; only a ready one"):
        world.request(queued)
    version = world.ready()
    world.request(version)
    with pytest.raises(Conflict, match="evaluation 1 of this version on the test set is already"):
        world.request(version)
    world.take(of_test(version, WHOLE))
    for line in _images(world):
        world.assign(line.image, "train")
    with pytest.raises(Conflict, match="no test image is annotated"):
        world.request(version)
    do(world.store, lambda s: s.change(VIEW, world.scene.view, ArchiveView()))
    with pytest.raises(Conflict, match="archived"):
        world.request(version)
