"""Failures that happen, with a real worker: each is told in the user's words, and it works on."""

import asyncio
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.blobs.blobs import BlobStore
from adapters.blobs.objects import Objects
from adapters.settings import Settings
from domain.training.messages import AnyReport, Completed, Failed
from gpu_worker.failures import explain
from gpu_worker.train import train_version
from tests.gpu_worker.harness import Backend, backend, worker, worker_process
from tests.gpu_worker.samples import coloured_job, coloured_lines

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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], None]]:
    """A file system of few bytes at `small`; give it more, or skip where none may be mounted."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system takes root's rights")

    def resize(size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)

    yield resize
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_said_and_once_there_is_room_it_trains_on(
    settings: Settings, tmp_path: Path, small_disk: Callable[[int], None]
) -> None:
    url = (tmp_path / "small").as_uri()
    there = msgspec.structs.replace(settings, blobs_url=url)
    blobs = BlobStore.from_url(url)

    async def scenario() -> None:
        async with backend(settings) as our, worker(there):
            await our.dispatch(coloured_job(blobs))
            assert "the disk is full" in await reason(our, "v1")
            small_disk(64 * DISK_BYTES)
            await trains(our, blobs)

    asyncio.run(scenario())


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
