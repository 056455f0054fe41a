"""A nats-server of the test's own that it may stop and start, and small trainings to run."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from domain.training.messages import AnyReport
from tests.gpu_worker.at_hand import train_version
from tests.gpu_worker.samples import coloured_job
from tests.servers import port_of_its_own


@pytest.fixture(autouse=True)
def _bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without compiled files a child takes 18 s instead of 5 s to import torch."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)


class NatsServer:
    """A nats-server with JetStream on loopback. Stopping keeps its port and its streams."""

    def __init__(self, folder: Path) -> None:
        self.port = port_of_its_own()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._log = folder / "nats.log"
        self._config = folder / "nats.conf"
        self._config.write_text(
            f"listen: 127.0.0.1:{self.port}\n"
            f'jetstream {{ store_dir: "{folder / "nats"}", sync_interval: always }}\n'
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        binary = Path(sys.executable).with_name("nats-server")
        found = str(binary) if binary.exists() else shutil.which("nats-server")
        assert found, "nats-server is not installed"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([found, "-c", self._config], stdout=log, stderr=log)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def nats_url(nats: NatsServer) -> str:
    return nats.url


@pytest.fixture
def blobs_url(tmp_path: Path) -> str:
    return (tmp_path / "blobs").as_uri()


@pytest.fixture
def blobs(blobs_url: str) -> BlobStore:
    return BlobStore.from_url(blobs_url)


@pytest.fixture
def settings(tmp_path: Path, nats_url: str, blobs_url: str) -> Settings:
    """A worker on the CPU that checkpoints often and is soon taken for dead."""
    return Settings(
        data=tmp_path,
        nats_url=nats_url,
        blobs_url=blobs_url,
        api_url=f"http://127.0.0.1:{port_of_its_own()}",
        worker_name="worker-a",
        device="cpu",
        checkpoint_seconds=0.2,
        ack_wait_seconds=2.0,
    )


Reference = Callable[..., list[AnyReport]]


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """What a job of these options says when nothing disturbs it, trained once per test session."""
    known: dict[str, list[AnyReport]] = {}

    def reference(**options: Any) -> list[AnyReport]:
        key = repr(sorted(options.items()))
        if key not in known:
            folder = tmp_path_factory.mktemp("reference")
            blobs = BlobStore.from_url(folder.as_uri())
            said: list[AnyReport] = []
            known[key] = said
            bare = Settings(data=folder, worker_name="reference", device="cpu")
            train_version(coloured_job(blobs, **options), 1, bare, blobs, said.append)
        return known[key]

    return reference
