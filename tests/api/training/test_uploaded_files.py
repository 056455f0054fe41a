"""Reports of a trainer name files that were uploaded with the token of its job, and no others."""

from datetime import UTC, datetime

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.blobs.uploaded import UploadedFiles
from adapters.postgres.postgres import engine_for
from adapters.training.job_key import job_tokens
from application.training.ingest import Delivered, Ingest
from domain.aggregates import VERSION
from domain.training.messages import (
    AnyReport,
    CheckpointSaved,
    EpochItems,
    Evaluated,
    Report,
    SplitFigures,
    Started,
)
from domain.training.results import VersionReportRefused
from tests.api.scene import Scene


class Job:
    """A trainer's job on a frozen version: its worker uploads and reports."""

    def __init__(self, site: Scene, view: str) -> None:
        self.site = site
        self.version_id = str(
            site.post(f"/views/{view}/versions", {"trainer": "acme/uploads"})["id"]
        )
        site.freeze(self.version_id)
        self.url = site.store.database_url
        frozen = site.store.streams([self.stream])[self.stream][-1]
        self.correlation = frozen.metadata.correlation_id
        self.token = job_tokens(self.url).of(self.version_id, 1, self.correlation)
        self._sequence = 0

    @property
    def stream(self) -> str:
        return VERSION.stream(self.version_id)

    def upload(self, path: str, content: bytes) -> str:
        url = f"/api/v1/jobs/{self.version_id}/{path}"
        answer = self.site.http.put(url, content=content, headers={"Job-Token": self.token})
        return str(answer.raise_for_status().json()["digest"])

    def report(self, body: AnyReport) -> str:
        """The name of the event that a report becomes."""
        self._sequence += 1
        report = Report(
            self.version_id, 1, 1, self._sequence, datetime.now(UTC), "own1", self.correlation,
            body, self.token,
        )  # fmt: skip
        feed = f"{self.version_id} {self._sequence}"
        uploaded = UploadedFiles(engine_for(self.url))
        ingest = Ingest(self.site.store, feed, job_tokens(self.url), uploaded.has)
        ingest.take([Delivered(1, msgspec.json.encode(report))])
        return self.site.store.streams([self.stream])[self.stream][-1].event.event_name

    def refusals(self) -> list[VersionReportRefused]:
        events = [one.event for one in self.site.store.streams([self.stream])[self.stream]]
        return [event for event in events if isinstance(event, VersionReportRefused)]


@pytest.fixture(scope="module")
def view(site: Scene) -> str:
    site.post("/trainers", {"name": "acme/uploads", "kinds": ["classification"]})
    return site.trainable("Uploads")[1]


def reports_of(digest: str, stored: str) -> dict[str, AnyReport]:
    nothing = SplitFigures(images=0)
    return {
        "source": Started("own1", "cpu", {}, 0, digest),
        "checkpoint": CheckpointSaved(digest, 1, "validation_accuracy", 0.5, 1),
        "predictions": Evaluated(stored, nothing, nothing, digest),
        "items": EpochItems(1, 1, digest, 1, 1, 0.1),
    }


def test_a_file_of_others_is_refused_and_shown_to_nobody(site: Scene, view: str) -> None:
    other_project, other_view = site.trainable("Not of the trainer")
    other = Job(site, other_view)
    uploaded_there = other.upload("checkpoint", b"weights of another version")
    page = site.http.get(f"/api/v1/projects/{other_project}/images").raise_for_status().json()
    for digest in (page["items"][0]["blob"], uploaded_there, "00" * 32):
        job = Job(site, view)
        reports = reports_of(digest, digest)
        assert job.report(reports.pop("source")) == "version.report_refused"
        assert job.report(Started("own1", "cpu", {}, 0)) == "version.training_started"
        for report in reports.values():
            assert job.report(report) == "version.report_refused"
        refused = job.refusals()
        assert [one.reason.partition(":")[0] for one in refused] == ["source", *reports]
        assert f"no file {digest} was uploaded with the token of this job" in refused[-1].reason
        site.visible()
        for path in ("checkpoint", "source"):
            answer = site.http.get(f"/api/v1/versions/{job.version_id}/{path}")
            assert answer.status_code in {404, 409}, path


def test_files_of_the_job_are_recorded(site: Scene, view: str) -> None:
    job = Job(site, view)
    weights = job.upload("checkpoint", b"weights")
    file = pa.BufferOutputStream()
    pq.write_table(pa.table({"image": ["a"], "scores": [[0.5, 0.5]]}), file)
    predictions = job.upload("predictions", file.getvalue().to_pybytes())
    nothing = SplitFigures(images=0)
    assert job.report(Started("own1", "cpu", {}, 0)) == "version.training_started"
    saved = CheckpointSaved(weights, 7, "validation_accuracy", 0.5, 1)
    assert job.report(saved) == "version.best_checkpoint_saved"
    evaluated = Evaluated(weights, nothing, nothing, predictions)
    assert job.report(evaluated) == "version.evaluated"
    site.visible()
    answer = site.http.get(f"/api/v1/versions/{job.version_id}/checkpoint")
    assert answer.content == b"weights"
