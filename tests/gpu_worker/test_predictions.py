"""Predictions as jobs: the metrics that a training computes, one result whatever is killed."""

import asyncio
import os
import signal
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from adapters.blobs.blobs import BlobStore
from adapters.evaluation.loading import load
from adapters.nats.jetstream import JOBS, job_subject
from adapters.settings import Settings
from domain.training.jobs import PredictJob
from domain.training.messages import (
    Completed,
    Evaluated,
    Failed,
    ManifestLine,
    Predicted,
    Purpose,
    Report,
    Started,
    TrainJob,
)
from tests.gpu_worker.at_hand import predict_images, train_version
from tests.gpu_worker.harness import Backend, backend, child_of, children, worker, worker_process
from tests.gpu_worker.samples import coloured_job, coloured_lines, of_type, put_manifest
from tests.gpu_worker.test_kinds import job_of, lines_of


def held_out(lines: list[ManifestLine]) -> list[ManifestLine]:
    """The lines that validate, as if they were of the test set."""
    validate = [line for line in lines if line.split == "validation"]
    return [msgspec.structs.replace(line, split="test") for line in validate]


def predicting(job: TrainJob, checkpoint: str, manifest: str) -> PredictJob:
    return PredictJob(
        version_id=job.version_id,
        purpose=Purpose.TEST,
        request=1,
        kind=job.kind,
        concepts=job.concepts,
        options=job.options,
        checkpoint=checkpoint,
        manifest=manifest,
        correlation_id="correlation-1",
        token="secret",
    )


def trained(job: TrainJob, settings: Settings, blobs: BlobStore) -> tuple[Evaluated, str]:
    """What a training measures on the images that validate, and its checkpoint."""
    said: list[Any] = []
    bare = msgspec.structs.replace(settings, nats_url=None)
    train_version(job, 1, bare, blobs, said.append)
    (evaluated,) = of_type(Evaluated, said)
    return evaluated, of_type(Completed, said)[0].checkpoint


@pytest.mark.parametrize("kind", ["classification", "tagging", "detection"])
def test_the_same_images_have_the_metrics_and_predictions_of_the_training(
    kind: str, settings: Settings, blobs: BlobStore
) -> None:
    job = job_of(kind, blobs, epochs=1)
    evaluated, checkpoint = trained(job, settings, blobs)
    lines = held_out(lines_of(kind, blobs))
    said: list[Any] = []
    predict_images(
        predicting(job, checkpoint, put_manifest(blobs, lines)), settings, blobs, said.append
    )
    started, predicted = said
    assert isinstance(started, Started)
    assert predicted.metrics == evaluated.validation
    assert (predicted.checkpoint, predicted.rows) == (checkpoint, len(lines))
    rows = []
    for digest in (evaluated.predictions, predicted.predictions):
        path = settings.data / "predictions.parquet"
        path.write_bytes(blobs.get(digest))
        rows.append([row for row in pq.read_table(path).to_pylist() if row["split"] != "train"])
    assert [row | {"split": "test"} for row in rows[0]] == rows[1]
    images = load(path).images
    assert images.in_split("test").all()
    assert not images.in_split("validation").any()
    assert not images.in_split("train").any()


def results(our: Backend) -> list[Report]:
    return [report for report in our.reports if isinstance(report.body, Predicted)]


def test_whatever_is_killed_there_is_one_and_the_same_result(
    settings: Settings, blobs: BlobStore
) -> None:
    """A child dies, a worker dies, and a third carries it out; the job comes twice besides."""
    job = coloured_job(blobs, epochs=0.4)
    _, checkpoint = trained(job, settings, blobs)
    manifest = put_manifest(blobs, held_out(coloured_lines(blobs)))
    predict = predicting(job, checkpoint, manifest)

    async def scenario() -> None:
        async with backend(settings) as our:
            await our.dispatch(predict)
            async with worker_process(settings, "first") as parent:
                child = await child_of(parent.pid)
                os.kill(child, signal.SIGKILL)
                await child_of(parent.pid, other_than=child)
                parent.kill()
            async with worker_process(settings, "second"):
                await our.until_end()
                await our.until_no_job_is_left()
                (first,) = results(our)
                await our.js.publish(job_subject("default"), msgspec.json.encode(predict))
                await our.until_end()
                await our.until_no_job_is_left()
        once, again = results(our)
        assert (once.purpose, once.attempt, once.token) == (Purpose.TEST, 1, "secret")
        assert once.delivery >= 3
        assert once.worker == "second"
        assert once.body == again.body == first.body
        assert blobs.list_scratch("handed-back/v1") == []

    asyncio.run(scenario())


def test_what_cannot_be_predicted_fails_with_the_reason(
    settings: Settings, blobs: BlobStore
) -> None:
    job = coloured_job(blobs, epochs=0.4)
    _, checkpoint = trained(job, settings, blobs)
    lines = held_out(coloured_lines(blobs))
    lost = [msgspec.structs.replace(lines[0], blob="0" * 64), *lines[1:]]
    whole = put_manifest(blobs, lines)
    cases = [
        (predicting(job, checkpoint, put_manifest(blobs, lost)), "image image-034 cannot be used"),
        (predicting(job, "1" * 64, whole), "the checkpoint 1111"),
        (predicting(job, checkpoint, "2" * 64), "the manifest 2222"),
    ]

    async def scenario() -> None:
        async with backend(settings) as our, worker(settings):
            for number, (predict, _) in enumerate(cases):
                version = f"v{number}"
                await our.dispatch(msgspec.structs.replace(predict, version_id=version))
                await our.until_end(version)
            await our.until_no_job_is_left()
        for number, (_, says) in enumerate(cases):
            body = our.of(f"v{number}")[-1].body
            assert isinstance(body, Failed)
            assert says in body.reason

    asyncio.run(scenario())


def test_a_prediction_that_five_workers_did_not_survive_is_not_tried_again(
    settings: Settings, blobs: BlobStore
) -> None:
    async def scenario() -> None:
        async with backend(settings) as our:
            await our.dispatch(predicting(coloured_job(blobs), "1" * 64, "2" * 64))
            taken = await our.js.pull_subscribe(
                job_subject("default"), durable="worker-default", stream=JOBS
            )
            for _ in range(5):
                (message,) = await taken.fetch(1)
                await message.nak()
            async with worker(settings):
                await our.until_end()
                assert children(os.getpid()) == []
                await our.until_no_job_is_left()
        (report,) = our.reports
        assert isinstance(report.body, Failed)
        assert "prediction was interrupted 5 times" in report.body.reason
        assert "request it again" in report.body.reason

    asyncio.run(scenario())
