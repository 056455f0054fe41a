"""Failures that happen, with a real worker: each is told in the user's words, and it works on."""

import asyncio
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from nats.js.api import DiscardPolicy

from adapters.blobs.blobs import BlobStore
from adapters.blobs.objects import Objects
from adapters.nats.jetstream import REPORTS, end_tasks
from adapters.settings import Settings
from api.training.messages import LOWER_RATE
from domain.training.messages import AnyReport, Completed, Failed
from gpu_worker.failures import explain
from gpu_worker.progress import NonFinite
from tests.gpu_worker.at_hand import train_version
from tests.gpu_worker.conftest import Reference
from tests.gpu_worker.harness import Backend, backend, children, worker, worker_process
from tests.gpu_worker.samples import coloured_job, coloured_lines, figures, final_weights
from tests.servers import port_of_its_own
from tests.small_disk import SmallDisk, small_disk
from tests.waiting import HANG_SECONDS

MEMORY_BYTES = 3 << 30
DISK_BYTES = 4 << 20
"""Room for the images and a manifest, but not for a checkpoint."""


async def reason(our: Backend, version_id: str) -> str:
    await our.until_end(version_id)
    end = our.of(version_id)[-1].body
    assert isinstance(end, Failed), end
    return end.reason


async def trains(our: Backend, blobs: BlobStore, version_id: str = "good") -> None:
    await our.dispatch(coloured_job(blobs, epochs=1.0, version_id=version_id))
    await our.until_end(version_id)
    assert isinstance(our.of(version_id)[-1].body, Completed)
    await our.until_no_job_is_left()


def test_one_failure_after_another_and_then_a_good_training(
    settings: Settings, blobs: BlobStore
) -> None:
    """Its memory is limited as a user's would be, by the machine's."""
    lines = coloured_lines(blobs)
    whole = blobs.get(lines[3].blob)
    lines[3] = msgspec.structs.replace(lines[3], blob=blobs.put(whole[: len(whole) // 2]))
    diverging: dict[str, Any] = {
        "optimizer": "momentum",
        "initial_learning_rate": 1e8,
        "epochs": 6.0,
    }
    huge: dict[str, Any] = {"width": 2048, "height": 2048, "batch_size": 32}
    frugal = msgspec.structs.replace(settings, image_cache_bytes=1 << 20)

    async def scenario() -> None:
        async with backend(settings) as our, worker_process(frugal, "worker") as parent:
            resource.prlimit(parent.pid, resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
            await our.dispatch(coloured_job(blobs, version_id="nan", **diverging))
            await our.dispatch(coloured_job(blobs, version_id="corrupt", lines=lines))
            await our.dispatch(coloured_job(blobs, version_id="memory", **huge))
            assert "lower the initial learning rate" in await reason(our, "nan")
            assert "image-003" in await reason(our, "corrupt")
            assert "smaller batch or image size" in await reason(our, "memory")
            await trains(our, blobs)
            assert {report.delivery for report in our.reports} == {1}

    asyncio.run(scenario())


async def keep_full(disk: SmallDisk) -> None:
    while True:
        disk.fill()
        await asyncio.sleep(0.01)


def test_a_training_waits_for_room_on_a_full_disk(
    settings: Settings, tmp_path: Path, uninterrupted: Reference
) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    there = msgspec.structs.replace(settings, blobs_url=folder.as_uri())

    async def scenario() -> None:
        async with backend(there) as our, worker(there):
            await our.dispatch(coloured_job(BlobStore.from_url(there.require("blobs_url"))))
            await our.until_iteration(1)
            # Again and again: a checkpoint that found no room gives back what it took.
            filling = asyncio.create_task(keep_full(disk))
            trouble = await our.until_trouble("worker-a")
            await end_tasks(filling)
            assert "storing files on the server has failed for" in trouble
            assert "the disk is full" in trouble
            disk.free()
            await our.until_end()
            await our.until_no_job_is_left()
        bodies = [report.body for report in our.reports]
        assert isinstance(bodies[-1], Completed)
        assert figures(bodies) == figures(uninterrupted())
        assert final_weights(bodies) == final_weights(uninterrupted())

    with small_disk(folder, 64) as disk:
        asyncio.run(scenario())


def test_reports_that_nats_does_not_take_are_told_and_the_job_is_handed_back(
    settings: Settings, blobs: BlobStore, uninterrupted: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpu_worker.retries.VISIBLE_SECONDS", 0.0)
    monkeypatch.setattr("gpu_worker.delivery._REDELIVERY_AFTER_TROUBLE_SECONDS", 0.1)
    own = msgspec.structs.replace(settings, metrics_port=port_of_its_own())

    async def scenario() -> None:
        async with backend(settings) as our, worker(own):
            await our.dispatch(coloured_job(blobs))
            await our.until_iteration(1)
            config = (await our.js.stream_info(REPORTS)).config
            full = config.evolve(max_bytes=1, discard=DiscardPolicy.NEW)
            await our.js.update_stream(full)
            trouble = await our.until_trouble("worker-a")
            assert "publishing a report has failed for" in trouble
            assert "maximum bytes exceeded" in trouble
            health = await asyncio.to_thread(own_answer, own, "/health/ready")
            assert msgspec.json.decode(health)["parts"]["work"]["status"] == "failed"
            metrics = await asyncio.to_thread(own_answer, own, "/metrics")
            assert b"stemma_worker_retry_seconds 0.0" not in metrics
            monkeypatch.setattr("gpu_worker.retries.LIMIT_SECONDS", 0.0)
            await until_async(lambda: not children(os.getpid()))
            await our.js.update_stream(config)
            monkeypatch.setattr("gpu_worker.retries.LIMIT_SECONDS", HANG_SECONDS)
            await our.until_end()
            await our.until_no_job_is_left()
        assert our.reports[-1].delivery > 1
        bodies = [report.body for report in our.reports]
        assert isinstance(bodies[-1], Completed)
        assert final_weights(bodies) == final_weights(uninterrupted())

    asyncio.run(scenario())


def own_answer(settings: Settings, path: str) -> bytes:
    return httpx.get(f"http://127.0.0.1:{settings.metrics_port}{path}").content


async def until_async(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while not condition():
            await asyncio.sleep(0.02)


class FullDisk(Objects):
    """A folder on a disk without room for a checkpoint."""

    def write(self, key: str, content: object) -> None:
        if isinstance(content, bytes) and len(content) > DISK_BYTES:
            raise OSError(28, "No space left on device")
        super().write(key, content)  # type: ignore[arg-type]


def test_a_disk_that_fills_up_is_said_whoever_notices(settings: Settings, blobs_url: str) -> None:
    blobs = BlobStore(FullDisk.from_url(blobs_url))
    said: list[AnyReport] = []
    with pytest.raises(OSError, match="No space") as caught:
        train_version(coloured_job(blobs), 1, settings, blobs, said.append)
    assert "the disk is full" in explain(caught.value)


def test_a_training_that_diverged_advises_what_its_page_offers() -> None:
    assert LOWER_RATE in explain(NonFinite("loss", "at iteration 7"))
