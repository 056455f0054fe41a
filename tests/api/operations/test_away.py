"""While PostgreSQL or the disk is away, requests are told to come again: it is no defect."""

import errno
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from litestar.exceptions import InternalServerException
from obstore.exceptions import GenericError
from PIL import Image
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from adapters.servers.postgres import ADMIN, APPLICATION, EmbeddedPostgres
from api.backend import THREADS
from api.http.unavailable import reason_of
from tests.adapters.running import eventually, kill
from tests.api.access.table import QUERIES
from tests.api.access.test_table import Row, rows
from tests.api.conftest import serving, settings_at
from tests.api.dataset.test_images import encoded, upload
from tests.api.scene import KEY, Scene
from tests.servers import Database

# Of the projection that comes with the scene, which nobody begins again.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

NAMES = """
project_id view_id version_id other_id model_id concept_id image_id import_id webhook_id trainer_id
image account_id key_id correlation_id kind role tile file_path name file digest position path
experiment_id item epoch
"""
IDS = dict.fromkeys(NAMES.split(), "none")


def ask(client: httpx.Client, row: Row) -> httpx.Response:
    query = QUERIES.get(row.path)
    path = (f"{row.path}?{query}" if query else row.path).format(**IDS)
    with client.stream(row.method, path) as response:
        response.read()
    return response


def test_without_a_database_requests_are_told_to_come_again(
    private_postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    urls = private_postgres.url(ADMIN), private_postgres.url(APPLICATION)
    database = Database("stemma", *urls)
    with serving(settings_at(database, tmp_path)) as scene:
        kill(private_postgres)
        # A request waits for a connection first, so one stands for all that need the same.
        sample = list({(row.right, row.where, row.method): row for row in rows()}.values())
        with ThreadPoolExecutor(THREADS) as threads:
            answers = list(threads.map(lambda row: ask(scene.http, row), sample))
        for row, response in zip(sample, answers, strict=True):
            if row.right == "open":
                assert response.status_code != 500, row
                continue
            assert response.status_code == 503, (row, response.text)
            if not row.path.startswith("/health"):
                assert response.headers["Retry-After"], row
                assert "defect" not in response.text, row
        signing_in = scene.http.post("/api/v1/sessions", json={"key": KEY})
        assert (signing_in.status_code, signing_in.headers["Retry-After"]) == (503, "1")
        assert signing_in.headers["Correlation-Id"]
        private_postgres.start()
        eventually(lambda: scene.http.get("/api/v1/projects").is_success)


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of 1 MiB, mounted at a folder."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_named_and_once_there_is_space_it_goes_on(
    migrated: Database, tmp_path: Path
) -> None:
    noise = encoded(Image.frombytes("L", (300, 300), os.urandom(90_000)), "PNG")
    with small_disk(tmp_path / "blobs"), serving(settings_at(migrated, tmp_path)) as scene:
        project = scene.project()
        (image,) = upload(scene, project, ("small.png", noise)).json()["ids"]
        scene.visible()
        filling = tmp_path / "blobs" / "filling"
        with filling.open("wb") as file, pytest.raises(OSError, match="No space"):
            file.write(bytes(2 << 20))
        other = encoded(Image.frombytes("L", (300, 300), os.urandom(90_000)), "PNG")
        refused = upload(scene, project, ("other.png", other))
        assert refused.status_code == 503
        assert "the disk is full" in refused.json()["detail"]
        assert refused.headers["Retry-After"] == "1"
        thumbnail = scene.http.get(f"/api/v1/images/{image}/thumbnail")
        assert thumbnail.status_code in {200, 503}
        assert scene.http.get(f"/api/v1/images/{image}/content").is_success
        filling.unlink()
        assert upload(scene, project, ("other.png", other)).status_code == 201


def test_files_that_are_away_are_no_defect(server: Scene, tmp_path: Path) -> None:
    data = encoded(Image.new("L", (10, 10)), "PNG")
    (image,) = upload(server, server.project(), ("a.png", data)).json()["ids"]
    server.visible()
    path = f"/api/v1/images/{image}/content"
    (tmp_path / "blobs").rename(tmp_path / "elsewhere")
    away = server.http.get(path)
    assert (away.status_code, away.headers["Retry-After"]) == (503, "1")
    (tmp_path / "elsewhere").rename(tmp_path / "blobs")
    assert server.http.get(path).is_success


def from_cause(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "full"), "the disk is full"),
        (OSError(errno.EMFILE, "many"), "no file descriptors"),
        (OSError(errno.EROFS, "read-only"), "read-only"),
        (from_cause(InternalServerException(), OSError(errno.EIO, "io")), "disk does not answer"),
        (GenericError("write: No space left on device (os error 28)"), "the disk is full"),
        (GenericError("connection refused"), "blob store does not answer"),
        (psycopg.errors.DiskFull("full"), "the database's disk is full"),
        (psycopg.errors.AdminShutdown("bye"), "database does not answer"),
        (psycopg.errors.ReadOnlySqlTransaction("standby"), "is read-only"),
        (psycopg.InterfaceError("connection is closed"), "database does not answer"),
        (
            OperationalError("SELECT", {}, psycopg.errors.TooManyConnections("")),
            "no connections",
        ),
        (PoolTimeout("QueuePool limit"), "in use"),
        (psycopg.errors.UndefinedTable("typo"), None),
        (OSError(errno.ENOENT, "missing"), None),
        (ValueError("defect"), None),
    ],
)
def test_each_error_names_its_own_cause(error: Exception, reason: str | None) -> None:
    found = reason_of(error)
    assert (found is None) is (reason is None)
    assert reason is None or reason in str(found)
