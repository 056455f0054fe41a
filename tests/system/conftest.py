"""Fixtures of the tests of trainers of users' own: the wheel, NATS, and a server."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.servers.nats import EmbeddedNats
from adapters.servers.postgres import EmbeddedPostgres
from tests.adapters.running import running
from tests.api.conftest import serving, settings_at
from tests.servers import new_database, server_folder
from tests.system.own_training import ROOT, Lab


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel of stemma-trainer has, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "scripts.trainer_wheel", str(folder)], cwd=ROOT, check=True
    )
    (wheel,) = folder.glob("stemma_trainer-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


@pytest.fixture(scope="module")
def own_nats() -> Iterator[str]:
    with server_folder() as folder, EmbeddedNats(folder) as server:
        yield server.url


@pytest.fixture(scope="module")
def lab(
    postgres: EmbeddedPostgres,
    migrated_template: str,
    own_nats: str,
    package: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("own")
    with new_database(postgres, migrated_template) as database:
        own = settings_at(database, folder, nats_url=own_nats, ack_wait_seconds=3.0)
        with serving(own) as site, running(own, "policies", "ingest", "results", "trials"):
            lab = Lab(site, own_nats, package, folder)
            lab.register("logreg.py")
            yield lab
