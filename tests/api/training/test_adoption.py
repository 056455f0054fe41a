"""Models of before: adopted with their predictions, measured by the server, and marked."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from adapters.blobs.blobs import BlobStore
from adapters.blobs.collection import collect
from cli.main import main
from domain.aggregates import VERSION
from domain.training.adoption import NOT_WITNESSED
from tests.api.evaluation.at_work import Work
from tests.api.scene import Scene

FORM = {
    "kinds": ["classification"],
    "settings": [
        {"control": "number", "key": "epochs", "default": 8, "whole": True},
        {"control": "number", "key": "penalty", "default": 0.01},
    ],
}


@pytest.fixture(scope="module")
def view(site: Scene) -> str:
    site.post("/trainers", FORM | {"name": "acme/before", "format": "onnx"})
    return site.trainable("Adopting")[1]


def dataset(site: Scene, view: str) -> list[dict[str, Any]]:
    answer = site.http.get(f"/api/v1/views/{view}/dataset").raise_for_status()
    return [json.loads(line) for line in answer.text.splitlines()]


def scores(site: Scene, view: str, wrong: int = 0, left_out: int = 0) -> bytes:
    """Right for every image, but for the first ones that validate."""
    shown = site.http.get(f"/api/v1/views/{view}").json()["view"]["concepts"]
    concepts = [concept["concept_id"] for concept in shown]
    lines = dataset(site, view)[left_out:]
    lines = sorted(lines, key=lambda line: line["split"], reverse=True)
    file = pa.BufferOutputStream()
    rows = []
    for number, line in enumerate(lines):
        own = concepts.index(line["concepts"][0])
        sure = 0.1 if number < wrong else 0.9
        rows.append([sure if place == own else 1 - sure for place in range(len(concepts))])
    pq.write_table(pa.table({"image": [line["image"] for line in lines], "scores": rows}), file)
    return bytes(file.getvalue().to_pybytes())


def upload(site: Scene, view: str, content: bytes) -> str:
    answer = site.http.post(f"/api/v1/views/{view}/adopted-files", content=content)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["digest"])


def adopt(site: Scene, view: str, predictions: bytes, **other: Any) -> str:
    body = {
        "trainer": "acme/before",
        "checkpoint": upload(site, view, b"weights of last year"),
        "predictions": upload(site, view, predictions),
    }
    version_id = str(site.post(f"/views/{view}/adoptions", body | other)["id"])
    work = Work(site)
    assert [job for job in work.pending() if job.version_id == version_id] == []
    work.measure()
    site.visible()
    return version_id


def version(site: Scene, version_id: str) -> Any:
    return site.http.get(f"/api/v1/versions/{version_id}").raise_for_status().json()["version"]


def test_an_adopted_model_is_measured_and_marked_everywhere(site: Scene, view: str) -> None:
    version_id = adopt(site, view, scores(site, view, wrong=1), settings={"epochs": 3}, name="Old")
    stream = VERSION.stream(version_id)
    events = [recorded.event for recorded in site.store.streams([stream])[stream]]
    assert [event.event_name.removeprefix("version.") for event in events] == [
        "created",
        "dataset_frozen",
        "result_measured",
        "adopted",
    ]
    row = version(site, version_id)
    assert (row["status"], row["adopted"]) == ("ready", True)
    assert row["trainer"]["settings"] == {"epochs": 3}  # what nobody knows has no default
    assert row["indicator"] == 0.75
    evaluation = site.http.get(f"/api/v1/versions/{version_id}/evaluation").json()
    assert evaluation["differences"] == []
    assert (evaluation["validation"]["accuracy"], evaluation["train"]["accuracy"]) == (0.75, 1.0)
    progress = site.http.get(f"/api/v1/versions/{version_id}/progress").json()["progress"]
    states = {step["step"]: step["status"] for step in progress["steps"]}
    assert states == {
        "queued": "skipped",
        "preparing": "skipped",
        "training": "skipped",
        "evaluating": "done",
        "saving": "skipped",
    }
    other = adopt(site, view, scores(site, view))
    for path in (
        f"/versions/{version_id}",
        f"/views/{view}",
        f"/views/{view}/compare?versions={version_id},{other}",
        f"/versions/{version_id}/compare/{other}",
        f"/api/v1/versions/{version_id}/model-card",
        f"/api/v1/audit/trail?version={version_id}",
    ):
        answer = site.http.get(path)
        assert answer.status_code == 200, path
        marked = NOT_WITNESSED in answer.text or "was adopted: its training was not" in answer.text
        assert marked, path
    assert (
        "One or both versions have no archive"
        in site.http.get(f"/versions/{version_id}/compare/{other}").text
    )
    compared = site.http.get(f"/api/v1/versions/{version_id}/compare/{other}").json()
    assert any("may have seen images that validate" in one for one in compared["warnings"])
    weights = site.http.get(f"/api/v1/versions/{version_id}/checkpoint")
    assert weights.content == b"weights of last year"
    assert ".onnx" in weights.headers["Content-Disposition"]
    assert site.http.get(f"/api/v1/versions/{version_id}/model.json").status_code == 409
    listed = CliRunner().invoke(main, ["versions", "list", view], env=site.environment)
    assert "acme/before (adopted)" in listed.output


def test_predictions_of_other_images_are_refused_with_the_reason(site: Scene, view: str) -> None:
    version_id = adopt(site, view, scores(site, view, left_out=1))
    row = version(site, version_id)
    assert row["status"] == "failed"
    assert "the adoption was refused: the file of predictions has 9 rows" in row["reason"]
    refused = site.http.post(f"/api/v1/versions/{version_id}/retry")
    assert refused.status_code == 409
    assert "adopt a version with other files" in refused.json()["detail"]
    assert "/retry" not in site.http.get(f"/versions/{version_id}").text


@pytest.mark.parametrize(
    ("given", "status", "field"),
    [
        ({"checkpoint": "ab" * 32}, 422, "checkpoint"),
        ({"predictions": "../" * 20}, 422, "predictions"),
        ({"settings": {"depth": 3}}, 422, "depth"),
        ({"trainer": "acme/nobody"}, 404, "trainer"),
    ],
)
def test_what_cannot_be_adopted_is_refused_by_name(
    site: Scene, view: str, given: dict[str, Any], status: int, field: str | None
) -> None:
    stored = upload(site, view, b"anything")
    body = {"trainer": "acme/before", "checkpoint": stored, "predictions": stored}
    refused = site.http.post(f"/api/v1/views/{view}/adoptions", json=body | given)
    assert refused.status_code == status, refused.text
    fields = [error["field"] for error in refused.json().get("errors", [])]
    assert fields == ([] if field is None else [field])


def stored_elsewhere(site: Scene, name: str) -> tuple[str, str]:
    """The sha256 of an image of another project, and the view there."""
    project, other = site.trainable(name)
    page = site.http.get(f"/api/v1/projects/{project}/images").raise_for_status().json()
    return str(page["items"][0]["blob"]), other


def refused_field(site: Scene, view: str, body: dict[str, Any]) -> str:
    refused = site.http.post(f"/api/v1/views/{view}/adoptions", json=body)
    assert refused.status_code == 422, refused.text
    (error,) = refused.json()["errors"]
    assert "was uploaded for this view" in error["detail"]
    return str(error["field"])


@pytest.mark.parametrize("field", ["checkpoint", "predictions"])
def test_a_file_that_was_uploaded_for_something_else_is_not_adopted(
    site: Scene, view: str, field: str
) -> None:
    own = upload(site, view, b"weights of one's own")
    image, other = stored_elsewhere(site, f"Beside, {field}")
    weights = f"weights of others, {field}".encode()
    uploaded_there = upload(site, other, weights)
    body = {"trainer": "acme/before", "checkpoint": own, "predictions": own}
    for digest in (image, uploaded_there):
        assert refused_field(site, view, body | {field: digest}) == field
    # Who has the bytes may name them.
    assert upload(site, view, weights) == uploaded_there
    answer = site.http.post(f"/api/v1/views/{view}/adoptions", json=body | {field: uploaded_there})
    assert answer.status_code == 201, answer.text


def test_a_file_that_was_collected_is_not_adopted(site: Scene, view: str) -> None:
    body = {
        "trainer": "acme/before",
        "checkpoint": upload(site, view, b"collected"),
        "predictions": upload(site, view, b"named in time"),
    }
    in_time = body | {"checkpoint": body["predictions"]}
    key = {"Idempotency-Key": "adopt in time"}
    path = f"/api/v1/views/{view}/adoptions"
    adopted = site.http.post(path, json=in_time, headers=key).raise_for_status().json()
    blobs = BlobStore.from_url(site.settings.require("blobs_url"))
    day = timedelta(days=1)
    later = datetime.now(UTC) + 2 * day
    collect(site.store, blobs, older_than=day, now=later, dry_run=False)
    assert refused_field(site, view, body) == "checkpoint"
    assert refused_field(site, view, in_time) == "checkpoint"
    again = site.http.post(path, json=in_time, headers=key).raise_for_status().json()
    assert again["id"] == adopted["id"]


def test_a_command_writes_the_dataset(site: Scene, view: str, tmp_path: Path) -> None:
    target = tmp_path / "dataset.jsonl"
    done = CliRunner().invoke(main, ["views", "dataset", view, str(target)], env=site.environment)
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert lines == dataset(site, view)
    assert {line["split"] for line in lines} == {"train", "validation"}
