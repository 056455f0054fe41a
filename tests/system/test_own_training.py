"""Trainers of users' own, run as their authors run them: from the wheel, with real jobs."""

import gzip
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.training.job_key import job_tokens
from adapters.training.source_code import read_archive
from domain.aggregates import VERSION
from domain.trainers.trainer import trainer_id
from domain.training.version import VersionTrainingStarted
from stemma_trainer.serving import MOST_DELIVERIES
from tests.adapters.running import eventually
from tests.system.own_training import EXAMPLES, Lab


def test_logistic_regression_becomes_ready_and_its_record_is_true(lab: Lab) -> None:
    trainer = "acme/logreg"
    version_id = lab.train(trainer, epochs=3)
    with lab.worker("logreg.py"):
        lab.until(version_id, "ready", "failed")
    found = lab.version(version_id)
    assert found["version"]["status"] == "ready", found["version"]["reason"]
    assert found["version"]["architecture"] == trainer
    assert found["version"]["trainer"]["settings"]["epochs"] == 3
    assert found["warnings"] == []
    names = lab.names(version_id)
    assert names.count("epoch_metrics_recorded") == 3
    assert names[-2:] == ["result_measured", "training_completed"]
    evaluation = lab.site.http.get(f"/api/v1/versions/{version_id}/evaluation").json()
    assert evaluation["differences"] == []
    assert evaluation["validation"]["accuracy"] == evaluation["accuracy"]
    page = lab.site.http.get(f"/versions/{version_id}").text
    assert trainer in page
    assert "Nadam" not in page
    assert "trainer code, declared by the trainer" in page
    checkpoint = lab.site.http.get(f"/api/v1/versions/{version_id}/checkpoint")
    assert ".bin" in checkpoint.headers["Content-Disposition"]
    refused = lab.site.http.get(f"/api/v1/versions/{version_id}/model.json")
    assert refused.status_code == 409
    assert trainer in refused.json()["detail"]
    card = lab.site.http.get(f"/api/v1/versions/{version_id}/model-card").text
    assert "Declared by the trainer, checked by nobody" in card
    assert trainer in card
    source = lab.site.http.get(f"/api/v1/versions/{version_id}/code").json()["source"]
    assert source[:12] in page
    archive = lab.site.http.get(f"/api/v1/versions/{version_id}/source").content
    assert hashlib.sha256(archive).hexdigest() == source
    assert read_archive(archive)["logreg.py"] == (EXAMPLES / "logreg.py").read_bytes()
    reproduced = lab.run("reproduce", version_id)
    assert reproduced.exit_code == 1
    assert f"whose archive has the sha256 {source}" in reproduced.output


def test_a_worker_prints_what_it_waits_for_and_the_begin_and_end_of_each_job(lab: Lab) -> None:
    path = lab.write("printing", "raise ValueError('two\\nlines')")
    version_id = lab.train("acme/printing")
    with subprocess.Popen(
        [sys.executable, str(path)], env=lab.environment(), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        printed = [process.stderr.readline() for _ in range(2)]
        while not printed[-1].endswith("ended: failed: ValueError: two lines\n"):
            printed.append(process.stderr.readline())
            assert printed[-1]
        process.terminate()
    assert "waiting for jobs of acme/printing in queue trainer--acme--printing" in printed[0]
    assert f"version {version_id} begins: attempt 1, delivery 1" in printed[1]
    assert f"version {version_id} ended" in printed[-1]


def test_a_model_of_before_is_adopted_by_commands(lab: Lab, tmp_path: Path) -> None:
    dataset, predictions, weights = (tmp_path / name for name in ("d.jsonl", "p.parquet", "w.bin"))
    assert lab.run("views", "dataset", lab.view, str(dataset)).exit_code == 0
    lines = [msgspec.json.decode(line) for line in dataset.read_bytes().splitlines()]
    table = {"image": [line["image"] for line in lines], "scores": [[0.75, 0.25]] * len(lines)}
    pq.write_table(pa.table(table), predictions)
    weights.write_bytes(b"of last year")
    given = ("versions", "adopt", str(weights), "--view", lab.view, "--trainer", "acme/logreg")
    done = lab.run(*given, "--predictions", str(predictions), "--set", "epochs=2")
    assert done.exit_code == 0, done.output
    assert "is ready: adopted, training not witnessed" in done.output
    adopted = done.stdout.splitlines()[0]
    (ready,) = [
        one["version_id"]
        for one in lab.site.http.get(f"/api/v1/versions?view_id={lab.view}").json()["items"]
        if one["status"] == "ready" and not one["adopted"]
    ][:1]
    compared = lab.run("compare", adopted, ready)
    assert compared.exit_code == 0, compared.output
    assert "adopted, training not witnessed" in compared.output
    assert "one or both versions have no archive" in compared.output
    pq.write_table(pa.table({name: rows[1:] for name, rows in table.items()}), predictions)
    done = lab.run(*given, "--predictions", str(predictions))
    assert done.exit_code == 1
    assert f"has {len(lines) - 1} rows" in done.output


def test_a_module_of_lightning_becomes_ready(lab: Lab) -> None:
    version_id = lab.train(lab.register("lightning_module.py"), epochs=2)
    with lab.worker("lightning_module.py"):
        lab.until(version_id, "ready", "failed")
    found = lab.version(version_id)
    assert found["version"]["status"] == "ready", found["version"]["reason"]
    assert found["warnings"] == []
    metrics = lab.site.http.get(f"/api/v1/versions/{version_id}/metrics").json()["series"]
    (own,) = [one for one in metrics if one["metric"] == "reported.confidence"]
    assert len(own["values"]) == 2


def test_two_trainers_with_one_name_train_each_version_once(lab: Lab) -> None:
    versions = [lab.train("acme/logreg", epochs=3) for _ in range(3)]
    with lab.worker("logreg.py"), lab.worker("logreg.py"):
        for version_id in versions:
            lab.until(version_id, "ready", "failed")
    for version_id in versions:
        names = lab.names(version_id)
        assert names[-1] == "training_completed"
        assert names.count("training_started") == 1
        assert "report_refused" not in names


def test_an_experiment_searches_the_settings_of_a_trainer(lab: Lab) -> None:
    """Its worker is killed during a trial, and goes on."""
    done = lab.run(
        "experiment", "start", lab.view, "--trainer", "acme/logreg", "--budget", "4",
        "--concurrency", "1", "--set", "epochs=6", "--vary", "penalty=log:0.0001..0.1",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    experiment_id = done.stdout.strip()
    path = f"/api/v1/experiments/{experiment_id}"

    def shown() -> Mapping[str, Any]:
        found: Mapping[str, Any] = lab.site.http.get(path).json()["experiment"]
        return found

    with lab.worker("logreg.py") as first:
        eventually(lambda: shown()["epochs_trained"] > 2)
        first.send_signal(signal.SIGKILL)
    with lab.worker("logreg.py"):
        eventually(lambda: shown()["state"] == "concluded")
    row = shown()
    assert row["conclusion"]["reason"] is None
    assert row["counts"]["completed"] + row["counts"]["pruned"] == 4
    trials = lab.site.http.get(f"{path}/trials").json()["items"]
    for trial in trials:
        assert trial["trainer"]["settings"]["penalty"] == trial["parameters"]["penalty"]
        assert "report_refused" not in lab.names(trial["version_id"])
    assert max(t["value"] for t in trials if t["status"] == "ready") == row["conclusion"]["value"]
    checked = lab.run("audit", "experiment", experiment_id)
    assert checked.exit_code == 0, checked.output


def test_a_retired_trainer_trains_what_waits_for_it_and_no_more(lab: Lab) -> None:
    path = lab.write("retiring", "raise ValueError('it has run')")
    version_id = lab.train("acme/retiring")
    lab.site.post(f"/trainers/{trainer_id('acme/retiring')}/retire", None)
    body = {"trainer": "acme/retiring"}
    refused = lab.site.http.post(f"/api/v1/views/{lab.view}/versions", json=body)
    assert refused.status_code == 409
    with lab.worker(str(path)):
        lab.until(version_id, "ready", "failed")
    assert lab.version(version_id)["version"]["reason"] == "ValueError: it has run"


def test_a_trainer_of_another_contract_fails_the_version_and_says_so(lab: Lab) -> None:
    path = lab.write("older", "pass", "stemma_trainer.contract.VERSIONS = (0,)")
    version_id = lab.train("acme/older")
    with lab.worker(str(path)):
        lab.until(version_id, "ready", "failed")
    reason = lab.version(version_id)["version"]["reason"]
    assert reason == (
        "the job has version 1 of the contract, and this trainer supports 0: update stemma-trainer"
    )


def test_a_loop_of_torch_becomes_ready(lab: Lab) -> None:
    version_id = lab.train(lab.register("torch_loop.py"), epochs=2)
    with lab.worker("torch_loop.py"):
        lab.until(version_id, "ready", "failed")
    found = lab.version(version_id)
    assert found["version"]["status"] == "ready", found["version"]["reason"]
    assert found["warnings"] == []


def test_a_trainer_that_is_killed_goes_on_where_it_was(lab: Lab) -> None:
    version_id = lab.train("acme/logreg", epochs=40)
    with lab.worker("logreg.py") as first:
        eventually(lambda: lab.names(version_id).count("epoch_metrics_recorded") > 2)
        first.send_signal(signal.SIGKILL)
    with lab.worker("logreg.py"):
        lab.until(version_id, "ready", "failed")
    names = lab.names(version_id)
    assert names[-1] == "training_completed"
    assert names.count("epoch_metrics_recorded") == 40
    assert "report_refused" not in names
    stream = VERSION.stream(version_id)
    events = [recorded.event for recorded in lab.site.store.streams([stream])[stream]]
    started = [event for event in events if isinstance(event, VersionTrainingStarted)]
    assert len(started) == 2
    assert started[1].resumed_from > 0


def test_a_job_that_is_delivered_after_the_end_is_acknowledged(lab: Lab) -> None:
    """As one of which the last acknowledgement was lost."""
    version_id = lab.train("acme/logreg", epochs=1)
    (job,) = lab.waiting(version_id)
    with lab.worker("logreg.py"):
        lab.until(version_id, "ready", "failed")
        eventually(lambda: not lab.jobs(version_id))
        names = lab.names(version_id)
        lab.send(job)
        eventually(lambda: not lab.jobs(version_id))
    assert names[-1] == "training_completed"
    assert lab.names(version_id) == names


def test_a_job_of_an_earlier_attempt_is_acknowledged_and_changes_nothing(lab: Lab) -> None:
    path = lab.write("retried", "raise ValueError('always')")
    version_id = lab.train("acme/retried")
    (job,) = lab.waiting(version_id)
    with lab.worker(str(path)):
        lab.until(version_id, "failed")
        lab.site.http.post(f"/api/v1/versions/{version_id}/retry").raise_for_status()
        eventually(lambda: lab.names(version_id).count("training_failed") == 2)
        eventually(lambda: not lab.jobs(version_id))
        names = lab.names(version_id)
        lab.send(job)
        eventually(lambda: not lab.jobs(version_id))
    assert lab.names(version_id) == names


def test_a_trainer_that_is_stopped_again_and_again_does_not_fail(lab: Lab) -> None:
    path = lab.write("stopped", "import time; time.sleep(1000)")
    version_id = lab.train("acme/stopped")
    for delivery in range(1, MOST_DELIVERIES + 1):
        with lab.worker(str(path)):
            eventually(lambda: lab.names(version_id).count("training_started") >= delivery)  # noqa: B023
    mortal = lab.write("stopped", "os._exit(3)")
    with lab.worker(str(mortal)):
        lab.until(version_id, "ready", "failed")
    assert lab.names(version_id).count("training_started") == 2 * MOST_DELIVERIES


def test_a_frozen_trainer_that_wakes_touches_nothing(lab: Lab) -> None:
    """Both have one name, as with one seed: the second delivery is what tells them apart."""
    version_id = lab.train("acme/logreg", epochs=60)
    with lab.worker("logreg.py") as frozen:
        eventually(lambda: lab.names(version_id).count("epoch_metrics_recorded") > 2)
        pid = frozen.pid
        child = int(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8"))
        both = [pid, child]
        for pid in both:
            os.kill(pid, signal.SIGSTOP)
        with lab.worker("logreg.py"):
            eventually(lambda: lab.names(version_id).count("training_started") == 2)
            for pid in both:
                os.kill(pid, signal.SIGCONT)
            lab.until(version_id, "ready", "failed")
    names = lab.names(version_id)
    assert names[-1] == "training_completed"
    assert names.count("epoch_metrics_recorded") == 60
    assert names.count("training_started") == 2
    assert "report_refused" not in names


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("raises", "raise ValueError('no weights here')", "ValueError: no weights here"),
        ("infinite", "run.step(loss=float('inf'))", "is no longer a finite number at iteration 0"),
        ("forgets", "pass", "run.predict was not called"),
        ("dies", "os._exit(3)", "ended 5 times without a result, the last time with status 3"),
    ],
)
def test_what_goes_wrong_in_the_code_fails_the_version(
    lab: Lab, name: str, body: str, says: str
) -> None:
    path = lab.write(name, body)
    version_id = lab.train(f"acme/{name}")
    with lab.worker(str(path)):
        lab.until(version_id, "ready", "failed")
    assert says in lab.version(version_id)["version"]["reason"]


def test_a_cancelled_training_ends_and_leaves_nothing_to_resume(lab: Lab) -> None:
    version_id = lab.train("acme/logreg", epochs=1000)
    folder = lab.site.settings.data / "blobs" / "scratch" / "resume" / version_id
    with lab.worker("logreg.py"):
        eventually(lambda: lab.names(version_id).count("epoch_metrics_recorded") > 2)
        assert folder.exists()
        lab.site.http.post(f"/api/v1/versions/{version_id}/cancel").raise_for_status()
        eventually(lambda: not folder.exists() or not any(folder.iterdir()))
    assert lab.names(version_id)[-1] == "training_cancelled"


@pytest.fixture
def open_job(lab: Lab) -> Iterator[tuple[str, dict[str, str]]]:
    """A version that waits for its trainer, and the headers of who has its job."""
    version_id = lab.train("acme/logreg", epochs=1)
    eventually(lambda: "dataset_frozen" in lab.names(version_id))
    stream = VERSION.stream(version_id)
    frozen = lab.site.store.streams([stream])[stream][-1]
    tokens = job_tokens(lab.site.store.database_url)
    token = tokens.of(version_id, 1, frozen.metadata.correlation_id)
    yield version_id, {"Job-Token": token}
    lab.site.http.post(f"/api/v1/versions/{version_id}/cancel").raise_for_status()


def test_any_request_with_a_token_is_answered(
    lab: Lab, open_job: tuple[str, dict[str, str]]
) -> None:
    version_id, headers = open_job
    paths = (
        "source", "checkpoint", "predictions", "items", "onnx", "state", "state/claim",
        "state/check", "handed-back", "room", "images", "images/x", "missing", "files/x", "other",
    )  # fmt: skip
    deliveries = st.one_of(st.integers(), st.text(max_size=8))

    @settings(max_examples=60, deadline=None, database=None)
    @given(
        method=st.sampled_from(["GET", "PUT", "POST", "DELETE"]),
        path=st.sampled_from(paths),
        body=st.one_of(st.binary(max_size=300), st.binary(max_size=100).map(gzip.compress)),
        delivery=deliveries,
    )
    def ask(method: str, path: str, body: bytes, delivery: object) -> None:
        answer = lab.site.http.request(
            method,
            f"/api/v1/jobs/{version_id}/{path}",
            params={"delivery": str(delivery)},
            headers=headers,
            content=body if method == "PUT" else None,
        )
        assert answer.status_code < 500, (method, path, body, delivery, answer.text)
        if path == "source" and method == "PUT":
            assert answer.status_code == 422

    ask()
    code = lab.site.http.get(f"/api/v1/versions/{version_id}/code").json()
    assert code == {"version_id": version_id, "environment": {}, "source": None}
    assert lab.site.http.get(f"/api/v1/versions/{version_id}/source").status_code == 404


def test_a_token_opens_its_own_job_alone(lab: Lab) -> None:
    version_id = lab.train("acme/logreg", epochs=1)
    eventually(lambda: "dataset_frozen" in lab.names(version_id))
    for headers in ({}, {"Job-Token": "0" * 64}):
        for method, path in (
            ("GET", "manifest"),
            ("GET", "images/x"),
            ("PUT", "checkpoint"),
            ("PUT", "predictions"),
            ("PUT", "state?delivery=1"),
            ("POST", "state/claim?delivery=1"),
            ("DELETE", "state"),
        ):
            url = f"/api/v1/jobs/{version_id}/{path}"
            content = b"x" if method == "PUT" else None
            answer = lab.site.http.request(method, url, headers=headers, content=content)
            assert answer.status_code == 401, (method, path, answer.text)
    cancelled = lab.site.http.post(f"/api/v1/versions/{version_id}/cancel")
    assert cancelled.is_success
