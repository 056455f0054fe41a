"""Predictors of trainers: their workers predict other images, and the server measures."""

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from domain.trainers.trainer import trainer_id
from tests.adapters.running import eventually
from tests.system.own_training import Lab


@pytest.fixture(scope="module")
def tests(lab: Lab) -> list[str]:
    """The view's test images, which are annotated."""
    items = lab.site.http.get(f"/api/v1/projects/{lab.project}/images").json()["items"]
    trained = [one["image_id"] for one in items if one["split"] == "train"]
    chosen = trained[:4]
    for image in chosen:
        path = f"/api/v1/images/{image}/split"
        lab.site.http.put(path, json={"split": "test"}).raise_for_status()
    lab.site.visible()
    return chosen


@pytest.fixture(scope="module")
def ready(lab: Lab, tests: list[str]) -> str:  # noqa: ARG001
    """A version of the logistic regression."""
    version_id = lab.train("acme/logreg", epochs=2)
    with lab.worker("logreg.py"):
        lab.until(version_id, "ready", "failed")
    assert lab.status(version_id) == "ready"
    return version_id


def evaluate(lab: Lab, version_id: str) -> None:
    body = {"reason": "before the release"}
    lab.site.post(f"/versions/{version_id}/test-evaluations", body)
    lab.site.visible()


def newest(lab: Lab, version_id: str) -> Mapping[str, Any]:
    """The newest evaluation of a version on the test set."""
    path = f"/api/v1/versions/{version_id}/test-evaluations"
    found: Mapping[str, Any] = lab.site.http.get(path).json()["items"][0]
    return found


def ended(lab: Lab, version_id: str) -> Mapping[str, Any]:
    """The newest evaluation, once it is done or has failed."""
    eventually(lambda: newest(lab, version_id)["status"] in ("done", "failed"))
    return newest(lab, version_id)


def test_a_version_is_evaluated_on_the_test_set_by_its_trainer(
    lab: Lab, ready: str, tests: list[str]
) -> None:
    evaluate(lab, ready)
    assert newest(lab, ready)["status"] == "queued"
    with lab.worker("logreg.py"):
        evaluation = ended(lab, ready)
    assert evaluation["failure"] is None
    assert evaluation["worker"] == "own1"
    assert evaluation["metrics"]["images"] == len(tests)
    assert evaluation["metrics"]["accuracy"] is not None
    names = lab.names(ready)
    assert names[-4:] == [
        "test_evaluation_requested",
        "test_evaluation_started",
        "predictions_reported",
        "test_evaluated",
    ]
    path = f"/api/v1/versions/{ready}/test-evaluations"
    result = lab.site.http.get(path).json()["result"]
    assert result["images"] == len(tests)
    assert result["accuracy"] == evaluation["metrics"]["accuracy"]


def test_a_trainer_makes_suggestions(lab: Lab, ready: str) -> None:
    before = len(lab.site.http.get(f"/api/v1/projects/{lab.project}/images").json()["items"])
    lab.site.images(lab.project, before + 3)
    path = f"/views/{lab.view}/suggestions"
    lab.site.post(path, {"version_id": ready})
    lab.site.visible()

    def shown() -> Mapping[str, Any]:
        found: Mapping[str, Any] = lab.site.http.get(f"/api/v1{path}").json()
        return found

    with lab.worker("logreg.py"):
        eventually(lambda: shown()["request"]["status"] in ("done", "failed"))
    assert shown()["request"]["failure"] is None
    assert shown()["count"] == shown()["request"]["images"] == 3
    assert lab.names(ready)[-2:] == ["predictions_reported", "suggestions_made"]


class Own:
    """A trainer with a predictor of this body, and a model of before that it predicts with."""

    def __init__(self, lab: Lab, name: str, body: str, before: str = "") -> None:
        self._lab = lab
        self.name = f"acme/{name}"
        indented = body.replace("\n", "\n    ")
        predictor = f"@train.predictor\ndef predict(request, weights, images):\n    {indented}\n"
        self.path = lab.write(name, f"raise ValueError\n{predictor if body else ''}", before)
        form = {"kinds": ["classification"], "predicts": True}
        url = f"/api/v1/trainers/{trainer_id(self.name)}/form"
        lab.site.http.put(url, json=form).raise_for_status()
        lines = lab.site.http.get(f"/api/v1/views/{lab.view}/dataset").text.splitlines()
        images = [json.loads(line)["image"] for line in lines]
        file = pa.BufferOutputStream()
        pq.write_table(pa.table({"image": images, "scores": [[0.75, 0.25]] * len(images)}), file)
        files = {"checkpoint": b"of last year", "predictions": file.getvalue().to_pybytes()}
        body_of = {"trainer": self.name} | {
            field: self._upload(content) for field, content in files.items()
        }
        self.version_id = str(lab.site.post(f"/views/{lab.view}/adoptions", body_of)["id"])
        eventually(lambda: lab.status(self.version_id) == "ready")

    def _upload(self, content: bytes) -> str:
        url = f"/api/v1/views/{self._lab.view}/adopted-files"
        answer = self._lab.site.http.post(url, content=content).raise_for_status()
        return str(answer.json()["digest"])


@pytest.mark.usefixtures("tests")
@pytest.mark.parametrize(
    ("name", "body", "before", "says"),
    [
        ("absent", "", "", "the code of this worker of acme/absent has no @train.predictor"),
        ("failing", "raise OSError(weights.read_text())", "", "OSError: of last year"),
        ("few", "return [[0.5, 0.5]]", "", "1 rows of scores were given for 4 images"),
        ("large", "return [[2, 0]] * 4", "", "has a score outside 0 to 1"),
        ("wordy", "return [['a', 'b']] * 4", "", "ArrowInvalid"),
        (
            "telling",
            "raise ValueError([item.concepts for item in images], request.purpose)",
            "",
            "ValueError: ([(), (), (), ()], 'test')",
        ),
        ("dying", "os._exit(3)", "", "the prediction process ended 5 times without a result"),
        (
            "behind",
            "return [[0.5, 0.5]] * 4",
            "stemma_trainer.contract.VERSIONS = (1,)",
            "the job has version 2 of the contract, and this trainer supports 1: update",
        ),
    ],
)
def test_what_goes_wrong_fails_the_evaluation_with_the_reason(
    lab: Lab, name: str, body: str, before: str, says: str
) -> None:
    own = Own(lab, name, body, before)
    evaluate(lab, own.version_id)
    with lab.worker(str(own.path)):
        evaluation = ended(lab, own.version_id)
    assert says in evaluation["failure"]
    assert lab.names(own.version_id)[-1] == "test_evaluation_failed"
    assert lab.status(own.version_id) == "ready"


@pytest.mark.usefixtures("tests")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_is_killed_leaves_nothing_and_the_next_one_predicts(
    lab: Lab, tmp_path: Path, number: signal.Signals
) -> None:
    begun, temporary = tmp_path / "begun", tmp_path / "temporary"
    temporary.mkdir()
    wait = f"import pathlib, time\nbegun = pathlib.Path({str(begun)!r})\nif not begun.exists():"
    wait += "\n    begun.touch()\n    time.sleep(600)\nreturn [[0.75, 0.25]] * len(images)"
    own = Own(lab, f"killed-{number.name.lower()}", wait)
    evaluate(lab, own.version_id)
    with lab.worker(str(own.path), TMPDIR=str(temporary)) as first:
        eventually(begun.exists)
        assert list(temporary.rglob("weights.*"))
        first.send_signal(number)
        first.wait()
    if number == signal.SIGTERM:
        assert list(temporary.iterdir()) == []
    with lab.worker(str(own.path), STEMMA_WORKER_NAME="own2"):
        evaluation = ended(lab, own.version_id)
    assert evaluation["failure"] is None
    assert evaluation["worker"] == "own2"
    names = lab.names(own.version_id)
    assert names.count("test_evaluation_started") == 2
    assert names.count("predictions_reported") == names.count("test_evaluated") == 1


@pytest.mark.usefixtures("tests")
def test_a_job_that_comes_again_after_its_end_is_done(lab: Lab) -> None:
    """As one does whose worker dies between its last report and the acknowledgement."""
    own = Own(lab, "again", "return [[0.75, 0.25]] * len(images)")
    evaluate(lab, own.version_id)
    (job,) = lab.waiting(own.version_id)
    with lab.worker(str(own.path)):
        evaluation = ended(lab, own.version_id)
        eventually(lambda: not lab.jobs(own.version_id))
        lab.send(job)
        eventually(lambda: not lab.jobs(own.version_id))
    assert newest(lab, own.version_id) == evaluation
    assert lab.names(own.version_id)[-1] == "test_evaluated"


@pytest.mark.usefixtures("tests")
def test_a_retired_trainer_predicts_what_waits_for_it_and_no_more(lab: Lab) -> None:
    own = Own(lab, "leaving", "return [[0.75, 0.25]] * len(images)")
    evaluate(lab, own.version_id)
    page = lab.site.http.get(f"/versions/{own.version_id}").text
    assert "waits for its trainer: no worker of acme/leaving is online" in page
    lab.site.post(f"/trainers/{trainer_id(own.name)}/retire", None)
    lab.site.visible()
    with lab.worker(str(own.path)):
        assert ended(lab, own.version_id)["failure"] is None
    url = f"/api/v1/versions/{own.version_id}/test-evaluations"
    refused = lab.site.http.post(url, json={"reason": "once more"})
    assert refused.status_code == 409
    assert "acme/leaving, which is retired" in refused.json()["detail"]
    assert "which is retired" in lab.site.http.get(f"/versions/{own.version_id}").text
