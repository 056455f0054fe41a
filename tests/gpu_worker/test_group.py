"""Two processes that train together do what one does alone."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from benchmarks.job_api import serving_job
from domain.training.messages import (
    AnyReport,
    Completed,
    EpochMetrics,
    Evaluated,
    Started,
    TrainJob,
)
from gpu_worker.channel import Assignment
from gpu_worker.group import Group
from gpu_worker.process import Child
from tests.gpu_worker.at_hand import train_version
from tests.gpu_worker.harness import children, gone, parent_of, ranks
from tests.gpu_worker.samples import ITERATIONS_PER_EPOCH, figures, of_type
from tests.gpu_worker.test_kinds import job_of


@pytest.fixture
def nats_url() -> str:
    return ""


@contextmanager
def assigned(job: TrainJob, blobs: BlobStore, settings: Settings) -> Iterator[Assignment]:
    """A job with its routes, for a child that has no blob store."""
    with serving_job(job, blobs) as api_url:
        own = msgspec.structs.replace(settings, api_url=api_url, blobs_url=None)
        yield Assignment(job, 1, own)


async def until_epoch(child: Child, said: list[AnyReport]) -> list[int]:
    """Read on until an epoch has ended; the processes that train along with the child."""
    async for report in child.reports():
        said.append(report)
        child.published(len(said))
        if isinstance(report, EpochMetrics):
            break
    (pid,) = children(os.getpid())
    return ranks(pid)


async def carried_out(assignment: Assignment) -> list[AnyReport]:
    child = await Child.start(assignment)
    said: list[AnyReport] = []
    try:
        others = await until_epoch(child, said)
        assert len(others) == 1
        async for report in child.reports():
            said.append(report)
            child.published(len(said))
        assert await child.ended() == 0
        for other in others:
            await gone(other)
    finally:
        await child.kill()
    return said


def test_two_processes_train_as_one_does(settings: Settings, blobs: BlobStore) -> None:
    """The batches of 8 are shared; the last one of an epoch has 2 images.

    As long as the backbone is frozen, steps are the same but for rounding. Then each process
    normalises its own half of the batch: what they come to is the same.
    """
    job = job_of(
        "classification", blobs, architecture="resnet18", freeze_backbone_epochs=1, epochs=3
    )
    one: list[AnyReport] = []
    train_version(msgspec.structs.replace(job, version_id="one"), 1, settings, blobs, one.append)
    in_two = msgspec.structs.replace(settings, processes=2, nats_url=None)
    with assigned(job, blobs, in_two) as assignment:
        two = asyncio.run(carried_out(assignment))
    alone, together = figures(one), figures(two)
    assert list(alone) == list(together)
    for iteration in range(ITERATIONS_PER_EPOCH):
        assert together[iteration] == pytest.approx(alone[iteration], abs=1e-4)
    ours, theirs = of_type(EpochMetrics, one), of_type(EpochMetrics, two)
    assert theirs[0].validation_loss == pytest.approx(ours[0].validation_loss, abs=1e-4)
    assert len(theirs) == len(ours) == 3
    (evaluated,), (alike,) = of_type(Evaluated, one), of_type(Evaluated, two)
    assert evaluated.validation.accuracy == alike.validation.accuracy == 1.0
    assert len(of_type(Started, two)) == 1
    assert isinstance(two[-1], Completed)


def test_none_of_a_group_outlives_the_child(settings: Settings, blobs: BlobStore) -> None:
    job = job_of("classification", blobs, epochs=200)
    two = msgspec.structs.replace(settings, processes=2, nats_url=None)

    async def scenario(assignment: Assignment) -> None:
        child = await Child.start(assignment)
        try:
            (other,) = await until_epoch(child, [])
        finally:
            await child.kill()
        await gone(other)

    with assigned(job, blobs, two) as assignment:
        asyncio.run(scenario(assignment))


async def started(assignment: Assignment) -> Child:
    """A child; it is tried again while what forked the last one is dying."""
    while True:
        try:
            return await Child.start(assignment)
        except ChildProcessError:
            await asyncio.sleep(0)


def test_trainings_are_forked_by_one_process_and_another_takes_its_place(
    settings: Settings, blobs: BlobStore
) -> None:
    bare = msgspec.structs.replace(settings, nats_url=None)
    job = job_of("classification", blobs, epochs=200)

    async def scenario(assignment: Assignment) -> None:
        forked_by: list[int] = []
        for _ in range(3):
            if len(forked_by) == 2:
                os.kill(forked_by[-1], signal.SIGKILL)
            child = await started(assignment)
            try:
                async for _ in child.reports():
                    break
                (pid,) = children(os.getpid())
                forked_by.append(parent_of(pid))
            finally:
                await child.kill()
            await gone(pid)
        first, second, third = forked_by
        assert first == second != third

    with assigned(job, blobs, bare) as assignment:
        asyncio.run(scenario(assignment))


def test_parts_of_a_batch_weigh_as_many_images_as_they_have() -> None:
    for size in (1, 2, 3):
        for images in range(1, 8):
            batch = list(range(images))
            groups = [Group(rank, size) for rank in range(size)]
            assert sum(group.share_of(batch) for group in groups) == pytest.approx(size)
            parts = [group.part(batch) for group in groups if group.share_of(batch)]
            assert sorted(image for part in parts for image in part) == batch
