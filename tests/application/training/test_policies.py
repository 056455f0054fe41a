"""What follows by itself: a frozen dataset and a job, once each, however often it is repeated."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import msgspec
import pytest

from adapters.blobs.blobs import BlobStore
from adapters.experiments.sampler import OptunaSampler
from adapters.training.policy_feed import put_manifest
from application.experiments.experiments import Plan, start_experiment
from application.experiments.policy import Reactions
from application.log.store import Store
from application.training import versions
from application.training.ingest import Ingest
from application.training.policies import REACTS_TO, Effects, manifest_of, react
from domain.aggregates import IMAGE, PROJECT, VERSION
from domain.dataset.image import RemoveImage
from domain.dataset.project import CoverGreyValues
from domain.event import Recorded
from domain.experiments.space import SearchSpace
from domain.training import manifest
from domain.training.jobs import AnyJob
from domain.training.messages import TrainJob
from domain.training.version import CancelVersion, DatasetFrozen, VersionCreated
from tests.application.experiments.simulation import Policy
from tests.application.scenes import Scene, do, trainable
from tests.application.training.reports import accept_results, delivered, reports, whole_run


class World:
    """The effects of policies on a real blob store; `jobs` are those handed to the queue."""

    def __init__(self, folder: Path) -> None:
        self.blobs = BlobStore.from_url(f"file://{folder}")
        self.jobs: list[AnyJob] = []
        self.effects = Effects(partial(put_manifest, self.blobs), self.jobs.append)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "blobs")


@pytest.fixture
def scene(store: Store) -> Scene:
    return trainable(store)


def stream(store: Store, version: str) -> list[Recorded]:
    return store.streams([VERSION.stream(version)])[VERSION.stream(version)]


def react_to_log(store: Store, world: World) -> None:
    """React to every event of the log, those included that the reactions add."""
    for recorded in store.read_all(names=REACTS_TO):
        react(store, world.effects, recorded)


def frozen_of(store: Store, version: str) -> DatasetFrozen:
    [frozen] = [one.event for one in stream(store, version) if isinstance(one.event, DatasetFrozen)]
    return frozen


def test_a_created_version_is_frozen_and_dispatched(scene: Scene, world: World) -> None:
    version = scene.train()
    react_to_log(scene.store, world)
    frozen = frozen_of(scene.store, version)
    assert (frozen.train_images, frozen.validation_images) == (8, 2)
    [job] = world.jobs
    created = stream(scene.store, version)[0]
    assert isinstance(created.event, VersionCreated)
    assert job == TrainJob(
        version_id=version,
        attempt=1,
        kind="classification",
        concepts=created.event.concepts,
        options=created.event.built_in("x"),
        manifest=frozen.manifest,
        correlation_id=created.metadata.correlation_id,
        deliveries_before=0,
    )


def test_the_trials_of_an_experiment_are_frozen_once(scene: Scene, world: World) -> None:
    plan = Plan(budget=4, concurrency=4, space=SearchSpace(architectures=("resnet18",)))
    do(scene.store, lambda s: start_experiment(s, scene.view, plan))
    Policy(Reactions(scene.store, OptunaSampler())).follow()
    put = world.effects.put_manifest
    made: list[str] = []

    def counted(lines: Iterable[bytes]) -> str:
        made.append(put(lines))
        return made[-1]

    world.effects = Effects(counted, world.jobs.append)
    react_to_log(scene.store, world)
    assert len(made) == 1
    assert [job.manifest for job in world.jobs] == made * 4
    versions = {job.version_id for job in world.jobs}
    assert len({msgspec.json.encode(frozen_of(scene.store, each)) for each in versions}) == 1


def test_a_dataset_is_frozen_with_the_depth_that_its_grey_had_then(
    scene: Scene, world: World
) -> None:
    def choose(highest: int) -> None:
        command = CoverGreyValues(highest)
        do(scene.store, lambda session: session.decide(PROJECT, scene.project, command))

    choose(4095)
    version = scene.train()
    choose(65535)
    react_to_log(scene.store, world)
    assert frozen_of(scene.store, version).grey_bits == 12
    (job,) = world.jobs
    assert isinstance(job, TrainJob)
    assert job.grey_bits == 12


def test_what_follows_names_its_cause(scene: Scene, world: World) -> None:
    version = scene.train()
    react_to_log(scene.store, world)
    created, frozen = stream(scene.store, version)
    assert frozen.metadata.causation_id == created.metadata.event_id
    assert frozen.metadata.correlation_id == created.metadata.correlation_id
    assert frozen.metadata.actor == "policy"


def test_the_stored_manifest_is_what_the_log_says(scene: Scene, world: World) -> None:
    version = scene.train()
    scene.add_images(5)
    scene.draw_split(0.5, seed=3)
    scene.annotate((scene.images[0], scene.concepts[1]))
    do(scene.store, lambda session: session.change(IMAGE, scene.images[1], RemoveImage()))
    react_to_log(scene.store, world)
    created = stream(scene.store, version)[0].event
    assert isinstance(created, VersionCreated)
    lines = list(manifest_of(scene.store, created))
    digest = frozen_of(scene.store, version).manifest
    stored = b"".join(world.blobs.read_compressed(digest))
    assert stored == b"".join(map(manifest.canonical_line, lines))
    assert digest == manifest.digest(lines)
    assert len(lines) == 10
    assert {line.image for line in lines} == set(scene.images)


def test_reacting_again_changes_nothing(scene: Scene, world: World) -> None:
    version = scene.train()
    react_to_log(scene.store, world)
    before = scene.store.head()
    react_to_log(scene.store, world)
    assert scene.store.head() == before
    assert {job.message_id for job in world.jobs} == {f"{version}:1"}
    assert world.jobs[0] == world.jobs[1]


def test_a_frozen_dataset_is_not_gathered_again(scene: Scene, world: World) -> None:
    scene.train()
    react_to_log(scene.store, world)
    stored: list[str] = []

    def put(lines: Iterable[bytes]) -> str:
        stored.append(put_manifest(world.blobs, lines))
        return stored[-1]

    world.effects = Effects(put, world.jobs.append)
    react_to_log(scene.store, world)
    assert stored == []


def test_a_version_is_not_dispatched_before_it_is_frozen(scene: Scene, world: World) -> None:
    scene.train()
    [created] = scene.store.read(0, names=["version.created"])
    react(scene.store, world.effects, created)
    assert world.jobs == []


def test_a_version_that_is_cancelled_first_is_neither_frozen_nor_dispatched(
    scene: Scene, world: World
) -> None:
    version = scene.train()
    do(scene.store, lambda session: session.change(VERSION, version, CancelVersion()))
    react_to_log(scene.store, world)
    assert world.jobs == []
    names = [one.event.event_name for one in stream(scene.store, version)]
    assert names == ["version.created", "version.training_cancelled"]


def test_a_version_that_ended_is_not_dispatched_again(scene: Scene, world: World) -> None:
    version = scene.train()
    react_to_log(scene.store, world)
    Ingest(scene.store, "feed").take(delivered(reports(version, whole_run())))
    accept_results(scene.store)
    world.jobs.clear()
    react_to_log(scene.store, world)
    assert world.jobs == []


def test_a_retry_is_dispatched_under_its_own_attempt(scene: Scene, world: World) -> None:
    version = scene.train()
    react_to_log(scene.store, world)
    Ingest(scene.store, "feed").take(delivered(reports(version, whole_run(failure="no memory"))))
    do(scene.store, lambda s: versions.retry_version(s, version))
    world.jobs.clear()
    react_to_log(scene.store, world)
    assert [job.message_id for job in world.jobs] == [f"{version}:2"]
    assert world.jobs[0].manifest == frozen_of(scene.store, version).manifest


def test_a_job_that_was_lost_knows_its_earlier_deliveries(scene: Scene, world: World) -> None:
    version = scene.train()
    react_to_log(scene.store, world)
    run = reports(version, whole_run(), delivery=3)[:4]
    Ingest(scene.store, "feed").take(delivered(run))
    world.jobs.clear()
    react_to_log(scene.store, world)
    assert [job.deliveries_before for job in world.jobs] == [3]
