"""Fixtures: real PostgreSQL, NATS and S3 for tests, clean for each test, gone when pytest ends.

The session's servers are shared, so a test that kills, stops or fills a server asks for a
private one.
"""

import asyncio
import logging
import os
import random
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import nats
import psycopg
import pytest
from psycopg import sql

from adapters.postgres.migrate import migrate
from adapters.servers.nats import EmbeddedNats
from adapters.servers.postgres import ADMIN, APPLICATION, EmbeddedPostgres

MEMORY = Path("/dev/shm")

_PORTS = range(20_000, 32_000)
"""Below those that the kernel gives to connections: one that a server leaves for a moment, to be
started again, is not taken by a client of another test."""


def pytest_configure() -> None:
    """Put all temporary files in memory where there is room, and TMPDIR does not say where.

    No test can tell, since what a killed process has written is kept either way, and an fsync does
    not wait for others who use the disk.
    """
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 << 30
    if roomy and "TMPDIR" not in os.environ:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def port_of_its_own() -> int:
    """A port on loopback for a server that is stopped and started again."""
    while True:
        port = random.choice(_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@dataclass(frozen=True)
class Database:
    """A database of its own on a running server."""

    name: str
    admin_url: str
    app_url: str


@pytest.fixture(scope="session")
def initialised() -> Iterator[Path]:
    """A data folder in which both servers have run once, with a migrated database; copied, it saves
    a test the initdb and the migrations."""
    with server_folder() as folder:
        with EmbeddedPostgres(folder) as server, EmbeddedNats(folder):
            _hash_passwords_once(server)
            migrate(server.admin_url, server.app_url)
        yield folder


def _hash_passwords_once(server: EmbeddedPostgres) -> None:
    """Whoever connects hashes the password 4096 times, which takes longer than all the rest."""
    with psycopg.connect(server.url(ADMIN, "postgres"), autocommit=True) as admin:
        admin.execute("SET scram_iterations = 1")
        for role, password in server.state.passwords.items():
            statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
            admin.execute(statement.format(sql.Identifier(role), sql.Literal(password)))


@pytest.fixture(scope="session")
def postgres(initialised: Path) -> Iterator[EmbeddedPostgres]:
    """The session's PostgreSQL; take `database` to have tables in it."""
    with server_folder(initialised) as folder, EmbeddedPostgres(folder) as server:
        yield server


@pytest.fixture(scope="session")
def nats_server() -> Iterator[EmbeddedNats]:
    """The session's NATS; take `nats_url` to have streams in it."""
    with server_folder() as folder, EmbeddedNats(folder) as server:
        yield server


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[Database]:
    """An empty database, dropped afterwards whoever is still connected."""
    with new_database(postgres) as made:
        yield made


@pytest.fixture
def nats_url(nats_server: EmbeddedNats) -> Iterator[str]:
    """A JetStream without any stream, consumer or bucket, before and after."""
    asyncio.run(_delete_streams(nats_server.url))
    yield nats_server.url
    asyncio.run(_delete_streams(nats_server.url))


@pytest.fixture
def private_postgres(initialised: Path) -> Iterator[EmbeddedPostgres]:
    """A started PostgreSQL of the test's own, to kill and to restart with `start()`."""
    with server_folder(initialised) as folder, EmbeddedPostgres(folder) as server:
        yield server


@pytest.fixture
def private_nats() -> Iterator[EmbeddedNats]:
    """A started NATS of the test's own, to kill and to restart with `start()`."""
    with server_folder() as folder, EmbeddedNats(folder) as server:
        yield server


@pytest.fixture
def data(initialised: Path) -> Iterator[Path]:
    """A data folder as `stemma up` leaves one, that only its owner may enter; no server runs."""
    with server_folder(initialised) as folder:
        yield folder


@pytest.fixture
def empty_data() -> Iterator[Path]:
    """A data folder before the first `stemma up`, that only its owner may enter."""
    with server_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 over HTTP, which keeps its objects in this process's memory."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_url(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A place in an empty bucket, with the environment that gives access to it."""
    settings = {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "stemma",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{uuid.uuid4().hex}"
    httpx.put(f"{s3_server}/{bucket}").raise_for_status()
    yield f"s3://{bucket}/some/prefix"
    httpx.post(f"{s3_server}/moto-api/reset").raise_for_status()


@pytest.fixture(params=["file", "s3"])
def any_blobs_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty blob store, of each kind in turn."""
    if request.param == "s3":
        return str(request.getfixturevalue("s3_url"))
    return (tmp_path / "not there yet" / "blobs").as_uri()


@contextmanager
def new_database(server: EmbeddedPostgres, template: str = "template1") -> Iterator[Database]:
    """A new database copied from a template; nobody may be connected to the template."""
    name = f"test_{uuid.uuid4().hex}"
    identifier = sql.Identifier(name)
    with psycopg.connect(server.url(ADMIN, "postgres"), autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                identifier, sql.Identifier(template)
            )
        )
        try:
            yield Database(name, server.url(ADMIN, name), server.url(APPLICATION, name))
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))


@contextmanager
def server_folder(copied_from: Path | None = None) -> Iterator[Path]:
    """A temporary folder with mode 0700, gone afterwards whether the test fails or not."""
    with tempfile.TemporaryDirectory(prefix="stemma-test-") as folder:
        if copied_from is not None:
            # Not shutil: as root, it would give the cluster to root.
            subprocess.run(["cp", "-a", f"{copied_from}/.", folder], check=True)
        yield Path(folder)


async def _delete_streams(url: str) -> None:
    """Buckets are streams and consumers belong to streams. `deny_delete` is about messages."""
    client = await nats.connect(url)
    try:
        js = client.jetstream()
        while streams := await js.streams_info():
            for stream in streams:
                assert stream.config.name
                await js.delete_stream(stream.config.name)
    finally:
        await client.close()
