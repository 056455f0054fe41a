"""The worker's training against the same torch loop without Stemma."""

import asyncio
import itertools
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from benchmarks.job_api import serving_job
from benchmarks.measurements import Expected, Measurement
from benchmarks.memory import peak
from benchmarks.processes import data_folder, environment, tree_of_this_process
from benchmarks.quiet import Repetitions, our_ticks, repeat
from benchmarks.sample_events import SMALL
from cli.demo.digits import handwritten_digits
from domain.training.manifest import canonical_line
from domain.training.messages import (
    Completed,
    ConceptLabel,
    DataPrepared,
    EpochMetrics,
    Failed,
    ManifestLine,
    TrainJob,
)
from domain.training.options import resolve_options
from gpu_worker.channel import Assignment, encode_line
from gpu_worker.process import PATIENT_THREADS, Child

EPOCHS, QUICK_EPOCHS = 3, 2
QUICK_IMAGES = 40


class Moment(NamedTuple):
    """Seconds of wall time, and of CPU time of the benchmark with its children."""

    wall: float
    cpu: float


class Finished(msgspec.Struct, frozen=True):
    """The time of an epoch, and the sha256 of the final weights.

    `until_first` are the seconds from the start of the process to its first iteration. `peak` is
    its peak memory in MiB.
    """

    epoch: Moment
    until_first: float
    peak: float
    final_weights: str


def run(quick: bool) -> list[Measurement]:
    """Seconds an epoch: training, validation, and on our side also reports and checkpoints.

    The first epoch is excluded on both sides, and with it the start and one-time work of torch. CPU
    time is comparable on a busy machine, too, but does not include waiting for the disk.
    """
    epochs = QUICK_EPOCHS if quick else EPOCHS
    with data_folder() as folder:
        settings = Settings(
            data=folder, blobs_url=f"file://{folder}/blobs", worker_name="benchmark", device="cpu"
        )
        blobs = BlobStore.from_url(settings.require("blobs_url"))
        job = digits_job(blobs, QUICK_IMAGES if quick else None, epochs=epochs)
        attempts = itertools.count(1)

        def measure() -> tuple[Finished, Finished]:
            # A new version, so that no training is resumed.
            fresh = msgspec.structs.replace(job, version_id=f"version-{next(attempts)}")
            own = msgspec.structs.replace(settings, decoded=str(folder / fresh.version_id))
            assignment = Assignment(fresh, 1, own)
            ours = asyncio.run(_worker(assignment, blobs))
            _delete_weights(folder / "blobs")
            theirs = _bare(assignment)
            assert ours.final_weights == theirs.final_weights, "the loops differ"
            return ours, theirs

        done = repeat(1 if quick else 5, measure, spare=0 if quick else 3)
    images = "some" if quick else "1,797"
    what = f"resnet18, 32 px, {images} digits"
    return [
        _measurement(
            f"{what}: an epoch, wall time", "s", done, lambda run: run.epoch.wall, 1 / 0.97
        ),
        _measurement(f"{what}: an epoch, cpu time", "s", done, lambda run: run.epoch.cpu, 1.03),
        _measurement("from start to first iteration", "s", done, lambda run: run.until_first),
        _measurement("the most memory it held", "MiB", done, lambda run: run.peak),
    ]


def _measurement(
    what: str,
    unit: str,
    done: Repetitions[tuple[Finished, Finished]],
    of: Callable[[Finished], float],
    bound: float | None = None,
) -> Measurement:
    return Measurement(
        what=what,
        unit=unit,
        ours=tuple(of(ours) for ours, _ in done.results),
        alternative="the bare torch loop, to the same weights",
        theirs=tuple(of(theirs) for _, theirs in done.results),
        expected=None if bound is None else Expected(bound),
        others=done.others,
    )


def digits_job(blobs: BlobStore, images: int | None, **options: object) -> TrainJob:
    """The demo's training, on all digits or on `images` of them, a fifth for validation."""
    files, digits = handwritten_digits()
    numbers = random.Random(0).sample(range(len(files)), images or len(files))
    lines = [
        ManifestLine(
            f"image-{place:04}",
            blobs.put(files[number][1]),
            "validation" if place < len(numbers) // 5 else "train",
            (str(digits[number]),),
        )
        for place, number in enumerate(numbers)
    ]
    return TrainJob(
        version_id="version",
        attempt=1,
        kind="classification",
        concepts=tuple(ConceptLabel(str(digit), str(digit)) for digit in range(10)),
        options=resolve_options("classification", SMALL | options),
        manifest=blobs.put_compressed(map(canonical_line, lines))[0],
        correlation_id="benchmark",
    )


async def _worker(assignment: Assignment, blobs: BlobStore) -> Finished:
    """The worker's child process and channel, with its files over HTTP; reports are acknowledged at
    once, as by NATS."""
    with serving_job(assignment.job, blobs) as api_url:
        own = msgspec.structs.replace(assignment.settings, api_url=api_url)
        return await _finished(msgspec.structs.replace(assignment, settings=own))


async def _finished(assignment: Assignment) -> Finished:
    started = time.monotonic()
    child = await Child.start(assignment)
    ends: list[Moment] = []
    reports, until_first = 0, 0.0
    try:
        async for report in child.reports():
            reports += 1
            child.published(reports)
            match report:
                case DataPrepared():
                    until_first = time.monotonic() - started
                case EpochMetrics():
                    ends.append(_now())
                case Completed(final_weights=digest):
                    return Finished(_each(ends), until_first, _peak_of_children(), digest)
                case Failed(reason=reason):
                    raise RuntimeError(reason)
        raise RuntimeError("the training process ended without a result")
    finally:
        await child.kill()


def _peak_of_children() -> float:
    return max(peak(pid) for pid in tree_of_this_process() - {os.getpid()})


def _bare(assignment: Assignment) -> Finished:
    started = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.training.bare_loop"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(PATIENT_THREADS),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(encode_line(assignment))
        process.stdin.close()
        lines = [(line.decode().strip(), _now()) for line in process.stdout]
    (_, ready), *epochs, (most, _), (digest, _) = lines
    ends = [ended for _, ended in epochs]
    return Finished(_each(ends), ready.wall - started, float(most), digest)


def _now() -> Moment:
    return Moment(time.monotonic(), our_ticks() / os.sysconf("SC_CLK_TCK"))


def _each(ends: list[Moment]) -> Moment:
    first, last, epochs = ends[0], ends[-1], len(ends) - 1
    return Moment((last.wall - first.wall) / epochs, (last.cpu - first.cpu) / epochs)


def _delete_weights(blobs: Path) -> None:
    """Delete saved weights: existing blobs would not be written again."""
    for blob in blobs.glob("sha256/*/*"):
        if blob.stat().st_size > 1_000_000:
            blob.unlink()
