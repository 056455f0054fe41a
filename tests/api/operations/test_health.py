"""Health and metrics are honest about each part: one after the other is taken away."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from nats.js import JetStreamContext
from sqlalchemy import text

from adapters.health import heartbeats, overview
from adapters.nats.jetstream import JOBS, WORKERS_BUCKET, job_consumer, job_subject
from adapters.postgres.postgres import passing_engine
from adapters.servers.embedded import EmbeddedServer
from adapters.servers.nats import EmbeddedNats
from adapters.servers.postgres import ADMIN, APPLICATION, EmbeddedPostgres
from adapters.services import SERVICES
from adapters.settings import Settings
from api.operations import health
from domain.training.messages import WorkerPresence
from projections.registry import READ_MODELS
from tests.adapters.running import eventually, kill, running, with_js
from tests.api.conftest import serving, settings_at
from tests.api.http.test_watching import counted
from tests.api.scene import Scene
from tests.api.training.test_workers import SINCE
from tests.servers import Database, server_folder
from tests.waiting import HANG_SECONDS

# Of the projection that comes with the scene, which nobody begins again.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

NAMES = [one.name for one in READ_MODELS]


class World:
    """The API and all parts, on servers of their own to take away."""

    def __init__(
        self, scene: Scene, postgres: EmbeddedPostgres, nats: EmbeddedNats, folder: Path
    ) -> None:
        self.scene, self.postgres, self.nats, self.folder = scene, postgres, nats, folder

    @property
    def settings(self) -> Settings:
        return self.scene.settings

    def ready(self) -> tuple[int, str, dict[str, Any]]:
        """The status of the answer, what it says of the whole, and of each part."""
        answer = self.scene.http.get("/health/ready")
        told = answer.json()
        return answer.status_code, told["status"], told["parts"]

    def unwell(self) -> dict[str, str]:
        """Why each part that is not well is not."""
        return {
            part: said.get("why", "")
            for part, said in self.ready()[2].items()
            if said["status"] != "ok"
        }

    def becomes_well(self) -> None:
        eventually(lambda: self.ready()[:2] == (200, "ok"))

    @contextmanager
    def administering(self) -> Iterator[psycopg.Connection]:
        with psycopg.connect(self.postgres.admin_url, autocommit=True) as connection:
            yield connection


@pytest.fixture(scope="module")
def world(initialised: Path) -> Iterator[World]:
    with (
        pytest.MonkeyPatch.context() as patch,
        server_folder(initialised) as folder,
        EmbeddedPostgres(folder) as postgres,
        EmbeddedNats(folder) as nats,
    ):
        patch.setattr(heartbeats, "BEAT_SECONDS", 0.1)
        patch.setattr(overview, "FRESH_SECONDS", 0.0)
        patch.setattr(overview, "PATIENCE_SECONDS", HANG_SECONDS)
        patch.setattr(health, "FAILED_LATELY_SECONDS", 1.0)
        database = Database("stemma", postgres.url(ADMIN), postgres.url(APPLICATION))
        settings = settings_at(database, folder, nats_url=nats.url, log_checkpoint_seconds=0.1)
        others = [part for part in SERVICES if part != "eraser"]
        with serving(settings) as scene, running(settings, *others):
            yield World(scene, postgres, nats, folder)


@pytest.fixture
def well(world: World) -> Iterator[World]:
    """With all parts, and well before as after."""
    with running(world.settings, "eraser"):
        world.becomes_well()
        yield world
        world.becomes_well()


def test_all_is_well(well: World) -> None:
    status, whole, parts = well.ready()
    assert (status, whole) == (200, "ok")
    assert set(parts) == {"database", "nats", "blobs", "workers", *NAMES, *SERVICES}
    assert parts["workers"]["why"] == "no workers online: trainings wait"
    assert set(counted(well.scene, "stemma_up").values()) == {1.0}


@contextmanager
def stopped(server: EmbeddedServer) -> Iterator[None]:
    """It takes connections, and says nothing."""
    assert server.pid
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not answer is soon given up; a busy machine may let the others seem so, too."""
    monkeypatch.setattr(overview, "PATIENCE_SECONDS", 0.7)


@pytest.mark.usefixtures("impatient")
def test_nats_hangs(well: World) -> None:
    with stopped(well.nats):
        eventually(lambda: well.ready()[:2] == (200, "degraded"))
        assert well.unwell()["nats"] == "NATS does not answer"


@pytest.mark.usefixtures("impatient")
def test_the_database_hangs(well: World) -> None:
    with stopped(well.postgres):
        status, whole, parts = well.ready()
        assert (status, whole, parts["database"]["status"]) == (503, "failed", "failed")
        eventually(lambda: well.ready()[2]["nats"]["status"] == "ok")
        assert well.scene.http.get("/health/live").json() == {"status": "ok"}


@pytest.mark.usefixtures("impatient")
def test_nats_away(well: World) -> None:
    def up(part: str) -> float:
        return counted(well.scene, "stemma_up")[(part,)]

    kill(well.nats)
    try:
        eventually(lambda: well.ready()[:2] == (200, "degraded"))
        assert well.unwell()["nats"] == "NATS does not answer"
        assert up("nats") == 0
        eventually(lambda: up("database") == 1)
        assert counted(well.scene, "stemma_log_position")[()] == well.scene.store.head()
        assert not counted(well.scene, "stemma_jobs")
    finally:
        well.nats.start()


def test_the_blob_store_away(well: World) -> None:
    blobs = well.folder / "blobs"
    blobs.rename(well.folder / "elsewhere")
    try:
        eventually(lambda: well.unwell() == {"blobs": "the store does not answer"})
    finally:
        (well.folder / "elsewhere").rename(blobs)


def test_a_part_that_does_not_run(world: World) -> None:
    eventually(lambda: world.unwell() == {"eraser": "is not running"})
    with world.administering() as connection:
        connection.execute(
            "INSERT INTO work.parts (part, process, beat_at)"
            " VALUES ('eraser', 'killed-1', now() - interval '90 s')"
        )
    eventually(lambda: world.unwell() == {"eraser": "has sent no heartbeat for 90 s"})
    assert counted(world.scene, "stemma_part_processes")[("eraser",)] == 0


def test_a_part_that_fails(world: World) -> None:
    broken = msgspec.structs.replace(world.settings, blobs_url=None)
    with running(broken, "eraser"):
        eventually(lambda: "failed" in world.unwell().get("eraser", ""))
        assert world.ready()[1] == "degraded"
        assert "STEMMA" not in world.unwell()["eraser"]
        assert counted(world.scene, "stemma_part_failures_total")[("eraser",)] >= 1
        told = world.scene.http.get("/api/v1/status").json()["parts"]
        (eraser,) = [one for one in told if one["part"] == "eraser" and one["silent"] < 60]
        assert "STEMMA_BLOBS_URL is not set" in eraser["error"]


def test_a_projection_that_stands_still(well: World, monkeypatch: pytest.MonkeyPatch) -> None:
    last = NAMES[-1]
    with passing_engine(well.settings.require("database_url")).connect() as connection:
        lock = text("SELECT FROM read.positions WHERE read_model = :name FOR UPDATE")
        connection.execute(lock, {"name": last})
        for number in range(7):
            well.scene.project(f"Project {number}")
        head = well.scene.store.head()

        def behind(part: str) -> float:
            return counted(well.scene, "stemma_behind")[(part,)]

        eventually(lambda: behind("relay") == 0)
        eventually(lambda: counted(well.scene, "stemma_log_unsigned_events")[()] == 0)
        assert counted(well.scene, "stemma_log_unsigned_seconds")[()] == 0
        assert behind(last) == 7
        position = counted(well.scene, "stemma_position")
        assert position[(last,)] == head - 7
        assert position[("relay",)] == head == counted(well.scene, "stemma_log_position")[()]
        assert last not in well.unwell()
        monkeypatch.setattr(health, "STALLED_SECONDS", 0.0)
        assert well.unwell()[last].endswith("and is 7 events behind")
        monkeypatch.setattr(health, "STALLED_SECONDS", 60.0)
        monkeypatch.setattr(health, "FAR_BEHIND", 6)
        assert well.unwell()[last] == "is 7 behind"
    eventually(lambda: behind(last) == 0)


def test_jobs_and_workers_are_counted(well: World) -> None:
    presence = WorkerPresence("a", "cuda", None, SINCE)

    async def at_work(js: JetStreamContext) -> None:
        bucket = await js.key_value(WORKERS_BUCKET)
        await bucket.put("a", msgspec.json.encode(presence))
        for _ in range(3):
            await js.publish(job_subject("default"), b"a job")

    with_js(well.nats.url, at_work)
    jobs = counted(well.scene, "stemma_jobs")
    assert jobs == {("waiting",): 3, ("in_work",): 0}
    assert counted(well.scene, "stemma_workers") == {(): 1}
    assert well.ready()[2]["workers"] == {"status": "ok", "why": "1 there"}
    with_js(well.nats.url, lambda js: js.purge_stream(JOBS))


def test_a_worker_that_tries_again_and_again(well: World) -> None:
    trouble = "publishing a report has failed for 7 s and is retried: nats: timeout"

    async def put(js: JetStreamContext, trouble: str) -> None:
        bucket = await js.key_value(WORKERS_BUCKET)
        presence = WorkerPresence("a", "cuda", None, SINCE, trouble)
        await bucket.put("a", msgspec.json.encode(presence))

    with_js(well.nats.url, lambda js: put(js, trouble))
    assert well.unwell()["workers"].startswith("1 of 1 workers keep failing at the same step")
    assert counted(well.scene, "stemma_workers_in_trouble") == {(): 1}
    assert trouble in well.scene.http.get("/workers").text
    assert well.scene.http.get("/api/v1/workers").json()["workers"][0]["trouble"] == trouble
    with_js(well.nats.url, lambda js: put(js, ""))


def test_a_job_that_no_worker_gives_a_sign_of(well: World) -> None:
    async def take(js: JetStreamContext) -> None:
        await (await js.key_value(WORKERS_BUCKET)).delete("a")
        await js.publish(job_subject("default"), b"a job")
        taken = await js.pull_subscribe_bind(job_consumer("default"), stream=JOBS)
        await taken.fetch(1)

    with_js(well.nats.url, take)
    assert well.unwell()["workers"] == "no worker sends heartbeats; jobs in progress: 1"
    with_js(well.nats.url, lambda js: js.purge_stream(JOBS))


def test_a_read_model_that_is_not_built(well: World) -> None:
    with well.administering() as connection:
        move = "UPDATE read.positions SET read_model = %s WHERE read_model = %s"
        connection.execute(move, ("away", NAMES[0]))
        # As the part that keeps it up does before long; what is to be done is said all the same.
        connection.execute(
            "INSERT INTO read.failures VALUES (%s, 1, now(), now(), 'not there')"
            " ON CONFLICT DO NOTHING",
            (NAMES[0],),
        )
        try:
            status, whole, parts = well.ready()
            assert (status, whole) == (503, "failed")
            assert "stemma migrate" in parts[NAMES[0]]["why"]
        finally:
            connection.execute(move, (NAMES[0], "away"))


@pytest.mark.usefixtures("impatient")
def test_the_database_away(well: World) -> None:
    kill(well.postgres)
    try:
        status, whole, parts = well.ready()
        assert (status, whole, parts["database"]["status"]) == (503, "failed", "failed")
        eventually(lambda: well.ready()[2]["blobs"]["status"] == "ok")
        assert well.scene.http.get("/health/live").json() == {"status": "ok"}
        # Nobody's key can be looked at.
        assert well.scene.http.get("/metrics").status_code == 503
    finally:
        well.postgres.start()
