"""What a process says of itself on a port of its own: honest about the servers it needs."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapters.blobs.blobs import BlobStore
from adapters.health import heartbeats, own_parts, own_port, own_servers
from adapters.health.health import PartHealth
from adapters.servers.nats import EmbeddedNats
from adapters.settings import Settings, SettingsError
from benchmarks.job_api import serving_jobs
from gpu_worker.worker import run_worker
from tests.adapters.running import eventually, kill, running, settings_for
from tests.servers import Database, port_of_its_own
from tests.waiting import HANG_SECONDS


@pytest.fixture(autouse=True)
def _curious(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_port, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(own_servers, "PATIENCE_SECONDS", HANG_SECONDS)
    monkeypatch.setattr(heartbeats, "BEAT_SECONDS", 0.1)


def with_port(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, metrics_port=port_of_its_own())


def get(settings: Settings, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{settings.metrics_port}{path}", timeout=HANG_SECONDS)


def unwell(settings: Settings) -> dict[str, str]:
    answer = get(settings, "/health/ready")
    told = answer.json()
    assert (answer.status_code == 200) == (told["status"] == "ok")
    return {name: one["why"] for name, one in told["parts"].items() if one["status"] != "ok"}


def counted(settings: Settings, name: str) -> dict[str, float]:
    answer = get(settings, "/metrics").raise_for_status()
    return {
        sample.labels.get("part", ""): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == name
    }


def listening(settings: Settings) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", settings.metrics_port)) == 0


@contextmanager
def parts(settings: Settings, *names: str) -> Iterator[None]:
    with running(settings, *names):
        eventually(lambda: listening(settings))
        yield


def test_parts_that_are_well(
    migrated: Database,
    private_nats: EmbeddedNats,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = with_port(settings_for(migrated, private_nats.url, tmp_path))
    with parts(settings, "relay", "eraser"):
        assert get(settings, "/health/live").json() == {"status": "ok"}
        assert set(get(settings, "/health/ready").json()["parts"]) == {
            *("relay", "eraser", "database", "nats", "blobs")
        }
        assert unwell(settings) == {}
        assert counted(settings, "stemma_process_part_up") == {"relay": 1, "eraser": 1}
        assert counted(settings, "process_resident_memory_bytes")[""] > 0
        assert get(settings, "/").status_code == 404
        kill(private_nats)
        monkeypatch.setattr(own_servers, "PATIENCE_SECONDS", 0.5)
        # On a busy machine the others may not answer so soon either.
        eventually(lambda: unwell(settings) == {"nats": "NATS does not answer"})
        assert get(settings, "/health/live").status_code == 200
        private_nats.start()
        eventually(lambda: unwell(settings) == {})
    assert not listening(settings)


def test_a_part_that_fails_is_not_ready(
    migrated: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = with_port(settings_for(migrated, "nats://127.0.0.1:1"))
    with parts(settings, "eraser"):
        eventually(lambda: "in all" in unwell(settings).get("eraser", ""))
        assert unwell(settings)["blobs"] == "the store does not answer"
        assert "nats" not in unwell(settings)
        assert counted(settings, "stemma_process_part_up") == {"eraser": 0}
        assert counted(settings, "stemma_process_part_failures_total")["eraser"] >= 1
        assert "database" not in unwell(settings)
        monkeypatch.setattr(own_parts, "SILENT_SECONDS", 0.0)
        assert "no heartbeat" in unwell(settings)["database"]


def test_a_worker_is_ready_while_it_has_nats_and_the_api(
    nats_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_port, "FRESH_SECONDS", 0.0)
    port = port_of_its_own()
    api_url = f"http://127.0.0.1:{port}"
    settings = with_port(Settings(data=tmp_path, nats_url=nats_url, api_url=api_url))

    async def work() -> None:
        stop = asyncio.Event()
        worker = asyncio.create_task(run_worker(settings, stop))
        while not await asyncio.to_thread(listening, settings):
            await asyncio.sleep(0.01)
        assert await asyncio.to_thread(unwell, settings) == {"api": "the API does not answer"}
        with serving_jobs(BlobStore.from_url(tmp_path.as_uri()), port):
            while await asyncio.to_thread(unwell, settings):
                await asyncio.sleep(0.01)
        found = await asyncio.to_thread(counted, settings, "stemma_worker_training")
        assert found == {"": 0}
        stop.set()
        await worker

    asyncio.run(work())
    assert not listening(settings)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_api_on_this_machine_is_checked_without_the_proxy(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api_url = f"{scheme}://127.0.0.1:{port_of_its_own()}"
    servers = own_servers.OwnServers(Settings(data=tmp_path, api_url=api_url), "test")
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.setattr(own_servers, "PATIENCE_SECONDS", 0.5)
        assert servers.api() == PartHealth("failed", "the API does not answer")
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()


def test_a_check_of_the_api_without_tls_loads_no_certificate_authorities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api_url = f"http://127.0.0.1:{port_of_its_own()}"
    servers = own_servers.OwnServers(Settings(data=tmp_path, api_url=api_url), "test")
    loaded: list[object] = []
    monkeypatch.setattr(ssl, "create_default_context", lambda **options: loaded.append(options))
    assert servers.api() == PartHealth("failed", "the API does not answer")
    assert loaded == []


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    settings = with_port(Settings(data=tmp_path))
    with socket.create_server(("127.0.0.1", settings.metrics_port)):
        server = own_port.own_port(settings, own_port.own_registry(), dict)
        with pytest.raises(SettingsError, match=f"STEMMA_METRICS_PORT {settings.metrics_port}"):
            server.__enter__()


def test_a_port_that_is_none_is_named(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, metrics_port=65536)
    server = own_port.own_port(settings, own_port.own_registry(), dict)
    with pytest.raises(SettingsError, match="STEMMA_METRICS_PORT 65536"):
        server.__enter__()


def test_many_who_ask_cause_one_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_port, "FRESH_SECONDS", 60.0)
    settings, looks = with_port(Settings(data=tmp_path)), list[int]()

    def look() -> dict[str, PartHealth]:
        looks.append(1)
        return {}

    with own_port.own_port(settings, own_port.own_registry(), look):
        for _ in range(3):
            assert get(settings, "/health/ready").status_code == 200
    assert len(looks) == 1
