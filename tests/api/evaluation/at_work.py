"""The policies and a worker in a test's own process: real trainings and predictions, no queue."""

import itertools
import threading
from functools import partial

import msgspec

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from adapters.training.job_key import job_tokens
from adapters.training.policy_feed import put_manifest
from adapters.training.results import Measurer
from application.training import results
from application.training.ingest import Delivered, Ingest
from application.training.policies import REACTS_TO, Effects, react
from domain.trainers.trainer import ONNX
from domain.training.jobs import AnyJob, Job, PredictJob, purpose_of
from domain.training.messages import AnyReport, Failed, Report, TrainJob
from gpu_worker.failures import explain
from gpu_worker.onnx_predictions import predict_by_onnx
from gpu_worker.predictions import predict_images
from gpu_worker.served_files import ServedFiles
from gpu_worker.train import train_version
from tests.api.scene import Scene
from tests.domain.training.version_samples import AT

SMALL = {
    "architecture": "mobilenet_v3_small",
    "epochs": 1,
    "batch_size": 4,
    "width": 32,
    "height": 32,
    "resizer": "fixed",
    "recorded_images": 100,
}


class Work:
    """All jobs that follow from a scene's log, carried out one after the other."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.blobs = BlobStore.from_url(scene.settings.require("blobs_url"))
        self._settings = Settings(
            data=scene.settings.data, worker_name="gpu-1", device="cpu", api_url=scene.url
        )
        self._measurer = Measurer(
            self.blobs, scene.settings.require("blobs_url"), threading.Event()
        )
        self._feeds = itertools.count(1)

    def pending(self) -> list[AnyJob]:
        """React to the whole log; what waits to be carried out."""
        jobs: list[AnyJob] = []
        effects = Effects(partial(put_manifest, self.blobs), jobs.append)
        for recorded in self.scene.store.read_all(names=REACTS_TO):
            react(self.scene.store, effects, recorded)
        return jobs

    def carry_out(self) -> int:
        """Carry out what waits; the log's position once all is shown."""
        for job in self.pending():
            reports: list[AnyReport] = []
            try:
                if isinstance(job, PredictJob) and job.format == ONNX:
                    predict_by_onnx(job, self._settings, self._files(job), reports.append)
                elif isinstance(job, PredictJob):
                    predict_images(job, self._settings, self._files(job), reports.append)
                elif isinstance(job, TrainJob):
                    train_version(job, self._settings, self._files(job), reports.append)
            except Exception as error:
                reports.append(Failed(explain(error, predicts=isinstance(job, PredictJob))))
            self.report(job, reports)
        return self.scene.visible()

    def _files(self, job: Job) -> ServedFiles:
        """Those that a worker has, which is given the token of the job."""
        tokens = job_tokens(self.scene.store.database_url)
        token = tokens.of(job.version_id, job.attempt, job.correlation_id, purpose_of(job))
        return ServedFiles(msgspec.structs.replace(job, token=token), 1, self._settings)

    def report(self, job: AnyJob, reports: list[AnyReport]) -> None:
        sent = [
            Report(
                version_id=job.version_id,
                attempt=job.attempt,
                delivery=1,
                sequence=number,
                at=AT,
                worker="gpu-1",
                correlation_id=job.correlation_id,
                body=body,
                purpose=purpose_of(job),
            )
            for number, body in enumerate(reports, 1)
        ]
        feed = f"{job.message_id} {next(self._feeds)}"
        Ingest(self.scene.store, feed).take(
            [
                Delivered(number, msgspec.json.encode(one, enc_hook=str))
                for number, one in enumerate(sent, 1)
            ]
        )
        self.measure()

    def measure(self) -> None:
        """Accept or refuse what is in check."""
        for recorded in self.scene.store.read_all(names=results.REACTS_TO):
            results.react(self.scene.store, self._measurer, recorded)
