"""Predictions by a trainer's ONNX file, as jobs of the queue of Stemma's own workers."""

import asyncio
import io
import os
import signal

import msgspec
import numpy as np
import pyarrow.parquet as pq

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from domain.trainers.trainer import ONNX
from domain.training.jobs import PredictJob
from domain.training.messages import Failed, Predicted, Started
from domain.training.options import not_built_in
from tests.gpu_worker.harness import backend, child_of, worker, worker_process
from tests.gpu_worker.onnx_files import FLOAT, brightness
from tests.gpu_worker.samples import coloured_job, coloured_lines, put_manifest
from tests.gpu_worker.test_predictions import held_out, predicting


def onnx_job(blobs: BlobStore, weights: bytes) -> PredictJob:
    lines = held_out(coloured_lines(blobs))
    job = predicting(coloured_job(blobs), blobs.put(weights), put_manifest(blobs, lines))
    options = not_built_in("acme/logreg")
    return msgspec.structs.replace(job, options=options, format=ONNX, concepts=job.concepts[:2])


def test_an_interrupted_prediction_begins_again_and_stores_scores_alone(
    settings: Settings, blobs: BlobStore
) -> None:
    job = onnx_job(blobs, brightness())

    async def scenario() -> None:
        async with backend(settings) as our:
            await our.dispatch(job)
            async with worker_process(settings, "first") as parent:
                os.kill(await child_of(parent.pid), signal.SIGKILL)
                parent.kill()
            async with worker_process(settings, "second"):
                await our.until_end()
                await our.until_no_job_is_left()
        started, predicted = [one.body for one in our.reports][-2:]
        assert isinstance(started, Started)
        assert "onnxruntime" in started.environment
        assert isinstance(predicted, Predicted)
        assert (predicted.checkpoint, predicted.metrics) == (job.checkpoint, None)
        table = pq.read_table(io.BytesIO(blobs.get(predicted.predictions)))
        lines = held_out(coloured_lines(blobs))
        assert table.column("image").to_pylist() == [line.image for line in lines]
        scores = np.array(table.column("scores").to_pylist())
        assert scores.shape == (len(lines), 2)
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)

    asyncio.run(scenario())


def test_a_file_that_is_not_as_agreed_fails_with_the_reason(
    settings: Settings, blobs: BlobStore
) -> None:
    whole = onnx_job(blobs, brightness())
    cases = [
        (onnx_job(blobs, brightness(takes=FLOAT)), "the file takes tensor(float)"),
        (onnx_job(blobs, brightness(scale=1.0)), "scores are from 0 to 1"),
        (msgspec.structs.replace(whole, checkpoint="1" * 64), "the checkpoint cannot be read"),
        (msgspec.structs.replace(whole, kind="detection"), "no boxes are predicted"),
    ]

    async def scenario() -> None:
        async with backend(settings) as our, worker(settings):
            for number, (job, _) in enumerate(cases):
                version = f"v{number}"
                await our.dispatch(msgspec.structs.replace(job, version_id=version))
                await our.until_end(version)
            await our.until_no_job_is_left()
        for number, (_, says) in enumerate(cases):
            body = our.of(f"v{number}")[-1].body
            assert isinstance(body, Failed)
            assert says in body.reason

    asyncio.run(scenario())
