"""From a created version to a job on the queue: done once, and again only where it was lost."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import msgspec
import pytest
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from adapters.blobs.blobs import BlobStore
from adapters.nats.jetstream import JOBS
from adapters.postgres.reactions import react_to_all
from adapters.servers.nats import EmbeddedNats
from adapters.training.job_key import job_tokens
from adapters.training.policy_feed import put_manifest
from application.log.store import Store
from application.training.ingest import Ingest
from application.training.policies import REACTS_TO, Effects, manifest_of, react
from domain.aggregates import VERSION
from domain.training import manifest
from domain.training.jobs import AnyJob
from domain.training.messages import TrainJob
from domain.training.version import DatasetFrozen, VersionCreated
from tests.adapters.running import eventually, kill, running, settings_for, with_js
from tests.application.scenes import Scene, trainable
from tests.application.training.reports import accept_results, delivered, reports, whole_run
from tests.servers import Database

FEED = "policies of the test"


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def scene(store: Store) -> Scene:
    return trainable(store)


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore.from_url(f"file://{tmp_path}")


def react_once(store: Store, effects: Effects) -> None:
    react_to_all(store, FEED, REACTS_TO, partial(react, store, effects))


def names(store: Store, version: str) -> list[str]:
    events = store.streams([VERSION.stream(version)])[VERSION.stream(version)]
    return [one.event.event_name.removeprefix("version.") for one in events]


def jobs(url: str) -> list[TrainJob]:
    """The jobs that wait on the queue, in its order. A queue that is not there has none."""

    async def read(js: JetStreamContext) -> list[TrainJob]:
        try:
            state = (await js.stream_info(JOBS)).state
        except NotFoundError:
            return []
        sequences = range(state.first_seq, state.last_seq + 1) if state.messages else range(0)
        # One by one: a work queue lets no second consumer read along.
        raw = [await js.get_msg(JOBS, seq=sequence) for sequence in sequences]
        return [msgspec.json.decode(one.data or b"", type=TrainJob) for one in raw]

    return with_js(url, read)


def test_the_position_moves_past_all_that_was_reacted_to(scene: Scene, blobs: BlobStore) -> None:
    done: list[AnyJob] = []
    version = scene.train()
    react_once(scene.store, Effects(partial(put_manifest, blobs), done.append))
    assert scene.store.tracked(FEED) == scene.store.head()
    react_once(scene.store, Effects(partial(put_manifest, blobs), done.append))
    assert [job.message_id for job in done] == [f"{version}:1"]


def test_a_policy_killed_after_any_effect_does_it_again_without_harm(
    scene: Scene, blobs: BlobStore
) -> None:
    version = scene.train()
    done: list[AnyJob] = []

    def put_and_die(lines: Iterable[bytes]) -> str:
        put_manifest(blobs, lines)
        raise Killed

    def dispatch_and_die(job: AnyJob) -> None:
        done.append(job)
        raise Killed

    for effects in (
        Effects(put_and_die, done.append),
        Effects(partial(put_manifest, blobs), dispatch_and_die),
    ):
        with pytest.raises(Killed):
            react_once(scene.store, effects)
    react_once(scene.store, Effects(partial(put_manifest, blobs), done.append))
    assert names(scene.store, version) == ["created", "dataset_frozen"]
    assert len(done) == 2
    assert done[0] == done[1]
    assert scene.store.tracked(FEED) == scene.store.head()


def test_two_policies_at_once_freeze_once(scene: Scene, blobs: BlobStore) -> None:
    version = scene.train()
    done: list[AnyJob] = []

    def overtaken(lines: Iterable[bytes]) -> str:
        react_once(scene.store, Effects(partial(put_manifest, blobs), done.append))
        return put_manifest(blobs, lines)

    react_once(scene.store, Effects(overtaken, done.append))
    assert names(scene.store, version) == ["created", "dataset_frozen"]
    assert {job.message_id for job in done} == {f"{version}:1"}


def test_a_created_version_becomes_a_job(
    scene: Scene, nats_url: str, migrated: Database, tmp_path: Path
) -> None:
    with running(settings_for(migrated, nats_url, tmp_path), "policies"):
        version = scene.train()
        eventually(lambda: len(jobs(nats_url)) == 1)
    [job] = jobs(nats_url)
    created, frozen = scene.store.streams([VERSION.stream(version)])[VERSION.stream(version)]
    assert isinstance(created.event, VersionCreated)
    assert isinstance(frozen.event, DatasetFrozen)
    assert (job.message_id, job.manifest) == (f"{version}:1", frozen.event.manifest)
    stored = BlobStore.from_url(f"file://{tmp_path}").read_compressed(job.manifest)
    lines = manifest_of(scene.store, created.event)
    assert b"".join(stored) == b"".join(map(manifest.canonical_line, lines))
    tokens = job_tokens(migrated.app_url)
    assert job.token == tokens.of(version, 1, job.correlation_id)


def test_policies_that_restart_dispatch_nothing_twice(
    scene: Scene, nats_url: str, migrated: Database, tmp_path: Path
) -> None:
    settings = settings_for(migrated, nats_url, tmp_path)
    for count in (1, 2):
        with running(settings, "policies"), running(settings, "policies"):
            scene.train()
            eventually(lambda count=count: len(jobs(nats_url)) == count)  # type: ignore[misc]
    assert len({job.message_id for job in jobs(nats_url)}) == 2


def test_a_lost_queue_gets_its_unfinished_jobs_again(
    scene: Scene, nats_url: str, migrated: Database, tmp_path: Path
) -> None:
    finished, begun, waiting = (scene.train() for _ in range(3))
    with running(settings_for(migrated, nats_url, tmp_path), "policies"):
        eventually(lambda: len(jobs(nats_url)) == 3)
        ingest = Ingest(scene.store, "reports")
        ingest.take(delivered(reports(finished, whole_run())))
        accept_results(scene.store)
        ingest.take(delivered(reports(begun, whole_run()[:5], delivery=2), first=100))
        with_js(nats_url, lambda js: js.delete_stream(JOBS))
        eventually(lambda: len(jobs(nats_url)) == 2)
    again = {job.version_id: job.deliveries_before for job in jobs(nats_url)}
    assert again == {begun: 2, waiting: 0}


def test_policies_survive_a_restart_of_nats(
    scene: Scene, migrated: Database, private_nats: EmbeddedNats, tmp_path: Path
) -> None:
    with running(settings_for(migrated, private_nats.url, tmp_path), "policies"):
        first = scene.train()
        eventually(lambda: len(jobs(private_nats.url)) == 1)
        kill(private_nats)
        second = scene.train()
        private_nats.start()
        eventually(lambda: len(jobs(private_nats.url)) == 2)
    assert [job.version_id for job in jobs(private_nats.url)] == [first, second]


@pytest.mark.usefixtures("soon_given_up")
def test_policies_stop_while_a_job_waits_for_nats(
    scene: Scene,
    migrated: Database,
    private_nats: EmbeddedNats,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with running(settings_for(migrated, private_nats.url, tmp_path), "policies"):
        scene.train()
        eventually(lambda: len(jobs(private_nats.url)) == 1)
        kill(private_nats)
        scene.train()
        eventually(lambda: "Connect call failed" in caplog.text)
