"""Predictions with the ONNX file of a trainer's version, as a job of its own.

Only scores are stored: the server checks and measures them, as those of every other program.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path

import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from adapters.blobs.blobs import BlobCorrupt, BlobMissing
from adapters.images.decoding import Undecodable, decode
from adapters.settings import Settings
from domain.library.view import DETECTION
from domain.training.jobs import PredictJob
from domain.training.messages import ManifestLine, Predicted, Started
from gpu_worker.data import read_manifest
from gpu_worker.decoded import temporary_folder
from gpu_worker.environment import describe
from gpu_worker.images import ImageUnreadable
from gpu_worker.job_files import JobFiles
from gpu_worker.onnx_limits import NotAsAgreed
from gpu_worker.onnx_scores import OnnxScores, Pixels, running_onnx
from gpu_worker.predictions import CheckpointUnusable
from gpu_worker.progress import Reporter
from gpu_worker.targets import DatasetUnusable


def predict_by_onnx(
    job: PredictJob,
    settings: Settings,
    files: JobFiles,
    report: Reporter,
    flush: Callable[[], None] = lambda: None,
) -> None:
    """Predict the manifest's images. The last report is `Predicted`; `flush` returns once it is
    stored. Raises the error of what failed: `CheckpointUnusable` where the file is not as agreed.
    """
    environment = describe(torch.device("cpu")) | {"onnxruntime": onnxruntime.__version__}
    report(Started(settings.worker_name, "cpu", environment, resumed_from=0))
    lines = read_manifest(job.manifest, files)
    if not lines:
        raise DatasetUnusable(f"the manifest {job.manifest} has no images")
    with temporary_folder(settings) as folder:
        file = Path(folder, "model.onnx")
        _fetch(job, files, file)
        try:
            with running_onnx(file, len(job.concepts)) as network:
                scores = _scores(job, settings, files, network, lines)
        except NotAsAgreed as problem:
            raise CheckpointUnusable(f"the version's ONNX file cannot be used: {problem}") from None
        table = pa.table({"image": [line.image for line in lines], "scores": pa.array(scores)})
        path = Path(folder, "predictions.parquet")
        pq.write_table(table, path, compression="zstd")
        predictions = files.put("predictions", path)
    report(Predicted(job.checkpoint, None, len(lines), predictions))
    flush()
    files.forget()


def _fetch(job: PredictJob, files: JobFiles, file: Path) -> None:
    if job.kind == DETECTION:
        raise CheckpointUnusable("no boxes are predicted by a trainer's ONNX file")
    try:
        file.write_bytes(files.file(job.checkpoint))
    except (BlobMissing, BlobCorrupt) as error:
        raise CheckpointUnusable(f"the checkpoint cannot be read: {error}") from error


def _scores(
    job: PredictJob,
    settings: Settings,
    files: JobFiles,
    network: OnnxScores,
    lines: Sequence[ManifestLine],
) -> list[list[float]]:
    def read(line: ManifestLine) -> Pixels:
        try:
            content = files.image(line)
            image = decode(content, settings.max_image_pixels, grey_bits=job.grey_bits)
        except (BlobMissing, BlobCorrupt, Undecodable) as error:
            raise ImageUnreadable(f"image {line.image} cannot be used: {error}") from error
        return network.pixels(image, line.crop)

    scores: list[list[float]] = []
    with ThreadPoolExecutor(cpu_count(), thread_name_prefix="decode") as pool:
        for start in range(0, len(lines), network.batch):
            batch = lines[start : start + network.batch]
            scores += network.scores(list(pool.map(read, batch)))
    return scores
