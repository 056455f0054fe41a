"""Other images by versions of trainers: by an ONNX file on Stemma's worker, or by the trainer's."""

import hashlib
import io
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from adapters.blobs.uploaded import UploadedFiles
from adapters.postgres.postgres import engine_for
from adapters.training.job_key import job_tokens
from application.training.ingest import Delivered, Ingest
from domain.training.jobs import TrainerPredictJob
from domain.training.messages import AnyReport, Failed, Predicted, Purpose, Report, Started
from tests.adapters.running import eventually
from tests.api.evaluation.at_work import Work
from tests.api.scene import Scene
from tests.gpu_worker.onnx_files import FLOAT, SIDES, brightness

FORM: dict[str, Any] = {"kinds": ["classification"]}


@pytest.fixture(scope="module")
def work(site: Scene) -> Work:
    return Work(site)


class Adopted:
    """A ready version of a trainer, with test images and others that nobody has annotated."""

    def __init__(self, site: Scene, work: Work, name: str, weights: bytes, **form: Any) -> None:
        self.site, self.work = site, work
        self.trainer = f"acme/{name}"
        self.trainer_id = str(site.post("/trainers", FORM | form | {"name": self.trainer})["id"])
        self.project, self.view = site.trainable(name, images=20)
        site.visible()
        items = site.http.get(f"/api/v1/projects/{self.project}/images").json()["items"]
        trained = [one["image_id"] for one in items if one["split"] == "train"]
        self.tests = trained[:5]
        for image in self.tests:
            url = f"/api/v1/images/{image}/split"
            site.http.put(url, json={"split": "test"}).raise_for_status()
        lines = site.http.get(f"/api/v1/views/{self.view}/dataset").text.splitlines()
        images = [json.loads(line)["image"] for line in lines]
        self.checkpoint = self._upload(weights)
        scores = parquet(images, [[0.75, 0.25]] * len(images))
        body = {
            "trainer": self.trainer,
            "checkpoint": self.checkpoint,
            "predictions": self._upload(scores),
        }
        self.version_id = str(site.post(f"/views/{self.view}/adoptions", body)["id"])
        work.pending()
        work.measure()
        site.visible()

    def _upload(self, content: bytes) -> str:
        answer = self.site.http.post(f"/api/v1/views/{self.view}/adopted-files", content=content)
        return str(answer.raise_for_status().json()["digest"])

    def order(self) -> httpx.Response:
        """Order an evaluation on the test set."""
        url = f"/api/v1/versions/{self.version_id}/test-evaluations"
        answer = self.site.http.post(url, json={"reason": "before the release"})
        self.site.visible()
        return answer

    def newest(self) -> dict[str, Any]:
        """The newest evaluation on the test set."""
        self.site.visible()
        url = f"/api/v1/versions/{self.version_id}/test-evaluations"
        found: dict[str, Any] = self.site.http.get(url).json()["items"][0]
        return found

    def page(self) -> str:
        return self.site.http.get(f"/versions/{self.version_id}").text

    def accuracy(self) -> float:
        """The metrics of the network of `brightness` on the test images."""
        concepts = self.site.http.get(f"/api/v1/views/{self.view}").json()["view"]["concepts"]
        query = {"view_id": self.view, "split": "test"}
        url = f"/api/v1/projects/{self.project}/images"
        right = 0
        for shown in self.site.http.get(url, params=query).json()["items"]:
            content = self.site.http.get(f"/api/v1/images/{shown['image_id']}/content").content
            pixels = Image.open(io.BytesIO(content)).convert("RGB").resize(SIDES[::-1])
            is_bright = np.asarray(pixels).mean() / 255 >= 0.5
            expected = concepts[not is_bright]["concept_id"]
            right += shown["annotations"][0]["concept_id"] == expected
        return right / len(self.tests)


def parquet(images: list[str], scores: list[list[float]]) -> bytes:
    file = pa.BufferOutputStream()
    pq.write_table(pa.table({"image": images, "scores": scores}), file)
    return bytes(file.getvalue().to_pybytes())


def test_an_onnx_file_is_evaluated_by_a_worker_of_stemma(site: Scene, work: Work) -> None:
    made = Adopted(site, work, "onnx", brightness(), format="onnx")
    page = made.page()
    assert f"stemma predict {made.version_id}" in page
    assert "Evaluate version" in page
    assert "Suggest annotations" in page
    assert made.order().status_code == 201
    assert made.newest()["by_trainer"] is False
    work.carry_out()
    evaluation = made.newest()
    assert evaluation["failure"] is None
    assert evaluation["metrics"]["images"] == len(made.tests)
    assert evaluation["metrics"]["accuracy"] == made.accuracy()
    assert evaluation["metrics"]["calibration_error"] is not None
    more = set(site.images(made.project, 24))
    site.post(f"/views/{made.view}/suggestions", {"version_id": made.version_id})
    work.carry_out()
    found = site.http.get(f"/api/v1/views/{made.view}/suggestions").json()
    assert found["request"]["failure"] is None
    assert found["count"] == found["request"]["images"] == 4
    assert {one["image_id"] for one in found["items"]} < more


def test_an_onnx_file_that_is_not_as_agreed_fails_the_evaluation(site: Scene, work: Work) -> None:
    made = Adopted(site, work, "unfit", brightness(takes=FLOAT), format="onnx")
    made.order()
    work.carry_out()
    evaluation = made.newest()
    assert evaluation["status"] == "failed"
    assert (
        "the version's ONNX file cannot be used: the file takes tensor(float)"
        in (evaluation["failure"])
    )
    assert made.order().status_code == 201  # a failed one does not stand in the way


def test_without_a_predictor_it_is_refused_and_says_what_to_offer(site: Scene, work: Work) -> None:
    made = Adopted(site, work, "silent", b"weights", format="safetensors")
    refused = made.order()
    assert refused.status_code == 409
    assert "acme/silent" in refused.json()["detail"]
    assert "@train.predictor" in refused.json()["detail"]
    url = f"/api/v1/views/{made.view}/suggestions"
    site.images(made.project, 24)
    refused = site.http.post(url, json={"version_id": made.version_id})
    assert "@train.predictor" in refused.json()["detail"]
    page = made.page()
    assert "@train.predictor" in page
    assert "Evaluate version" not in page
    assert "Suggest annotations" not in page
    form = FORM | {"predicts": True}
    site.http.put(f"/api/v1/trainers/{made.trainer_id}/form", json=form).raise_for_status()
    site.visible()
    assert "Evaluate version" in made.page()
    assert made.order().status_code == 201


class Job:
    """The job of a trainer's worker that is to predict the test images."""

    def __init__(self, made: Adopted) -> None:
        assert made.order().status_code == 201
        self.made = made
        (job,) = [job for job in made.work.pending() if job.version_id == made.version_id]
        assert isinstance(job, TrainerPredictJob)
        self.job = job
        self._tokens = job_tokens(made.site.store.database_url)
        self.token = self._tokens.of(made.version_id, job.attempt, job.correlation_id, Purpose.TEST)
        self._sequence = 0

    def request(self, method: str, path: str, content: bytes | None = None) -> httpx.Response:
        return self.made.site.http.request(
            method,
            f"/api/v1/jobs/{self.made.version_id}/{path}",
            headers={"Job-Token": self.token},
            content=content,
        )

    def lines(self) -> list[dict[str, Any]]:
        content = self.request("GET", "manifest").raise_for_status().content
        assert hashlib.sha256(content).hexdigest() == self.job.manifest
        return [json.loads(line) for line in content.splitlines()]

    def store(self, scores: list[list[float]]) -> str:
        """Store scores of the images, in their order; the file's digest."""
        images = [line["image"] for line in self.lines()][: len(scores)]
        content = parquet(images, scores)
        return str(self.request("PUT", "predictions", content).raise_for_status().json()["digest"])

    def report(self, body: AnyReport | bytes, purpose: Purpose = Purpose.TEST) -> None:
        """Take a report in, a known body or any JSON, and measure what it claims."""
        self._sequence += 1
        site = self.made.site
        known = Failed("") if isinstance(body, bytes) else body
        report = Report(
            self.made.version_id, self.job.attempt, 1, self._sequence, datetime.now(UTC), "own1",
            self.job.correlation_id, known, self.token, purpose,
        )  # fmt: skip
        sent = msgspec.json.encode(report)
        if isinstance(body, bytes):
            sent = json.dumps(json.loads(sent) | {"body": json.loads(body)}).encode()
        uploaded = UploadedFiles(engine_for(site.store.database_url))
        feed = f"{self.made.version_id} {self.job.attempt} {self._sequence}"
        Ingest(site.store, feed, self._tokens, uploaded.has).take([Delivered(1, sent)])
        self.made.work.measure()

    def predicted(self, digest: str, rows: int | None = None) -> dict[str, Any]:
        """The evaluation after predictions were reported."""
        count = len(self.made.tests) if rows is None else rows
        self.report(Predicted(self.job.checkpoint, None, count, digest))
        return self.made.newest()


@pytest.fixture(scope="module")
def made(site: Scene, work: Work) -> Adopted:
    return Adopted(site, work, "predicting", b"weights", format="opaque", predicts=True)


def test_a_worker_gets_images_and_weights_but_not_what_is_true(made: Adopted) -> None:
    job = Job(made)
    lines = job.lines()
    assert sorted(line["image"] for line in lines) == sorted(made.tests)
    assert all(line["concepts"] == [] and line["split"] == "test" for line in lines)
    image = job.request("GET", f"images/{lines[0]['image']}").raise_for_status().content
    assert hashlib.sha256(image).hexdigest() == lines[0]["blob"]
    assert job.request("GET", f"files/{made.checkpoint}").content == b"weights"
    for method, path in (
        ("PUT", "checkpoint"),
        ("PUT", "source"),
        ("PUT", "items"),
        ("PUT", "onnx"),
        ("PUT", "state?delivery=1"),
        ("POST", "state/claim?delivery=1"),
    ):
        answer = job.request(method, path, b"x" if method == "PUT" else None)
        assert answer.status_code == 409, (method, path, answer.text)
        assert "stores nothing but predictions" in answer.json()["detail"]
    job.report(Started("own1", "cpu", {}, 0))
    evaluation = job.predicted(job.store([[0.75, 0.25]] * 5))
    assert evaluation["failure"] is None
    assert (evaluation["status"], evaluation["by_trainer"]) == ("done", True)
    assert 0 < evaluation["metrics"]["accuracy"] < 1
    eventually(lambda: job.request("GET", "manifest").status_code == 409)
    job.report(Failed("too late"))
    assert made.newest() == evaluation


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        ([[0.75, 0.25]] * 4, "has 4 rows"),
        ([[0.75, 0.25]] * 4 + [[0.75]], "has 1 scores; there are 2 concepts"),
        ([[0.75, 0.25]] * 4 + [[1.5, 0.25]], "has a score outside 0 to 1"),
        ([[0.75, 0.25]] * 4 + [[float("nan"), 0.25]], "has a score outside 0 to 1"),
    ],
)
def test_wrong_scores_fail_the_evaluation(
    made: Adopted, scores: list[list[float]], says: str
) -> None:
    job = Job(made)
    evaluation = job.predicted(job.store(scores))
    assert evaluation["status"] == "failed"
    assert says in evaluation["failure"]
    assert evaluation["failure"].startswith("the predictions were refused: ")


def test_a_report_that_cannot_be_right_fails_the_evaluation(made: Adopted) -> None:
    job = Job(made)
    evaluation = job.predicted("00" * 32)
    assert f"no file {'00' * 32} was uploaded with the token of this job" in evaluation["failure"]
    job = Job(made)
    evaluation = job.predicted(job.store([[0.75, 0.25]] * 5), rows=4)
    assert "4 images are predicted, and the request has 5" in evaluation["failure"]
    job = Job(made)
    job.report(b'{"report": "predicted", "checkpoint": NaN, "metrics": null, "rows": 5}')
    assert "NaN is not a JSON number" in made.newest()["failure"]


def test_a_worker_of_the_contract_before_fails_the_evaluation(made: Adopted) -> None:
    """It names no purpose, since it knows only trainings: the token is that of the request."""
    job = Job(made)
    job.report(Failed("update stemma-trainer"), Purpose.TRAINING)
    assert made.newest()["failure"] == "update stemma-trainer"
    job = Job(made)
    job.token = "00" * 32
    job.report(Failed("I do not have the job"), Purpose.TRAINING)
    job.report(Failed("I do not have the job"))
    assert made.newest()["status"] == "queued"
