"""Trainers over HTTP and by commands: who may, what a version records, and what is refused."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from adapters.blobs.blobs import BlobStore
from adapters.training.source_code import read_archive
from cli.main import main
from domain.aggregates import VERSION
from domain.training.messages import Started
from domain.training.version import VersionCreated
from stemma_client import Stemma, answers
from tests.adapters.training.test_source_code import archive
from tests.api.scene import KEY, Scene

FORM: dict[str, Any] = {
    "kinds": ["classification"],
    "settings": [
        {"control": "number", "key": "epochs", "default": 8, "least": 1, "whole": True},
        {"control": "choice", "key": "solver", "default": "sgd", "choices": ["sgd", "adam"]},
    ],
}


@pytest.fixture(scope="module")
def view(site: Scene) -> str:
    return site.trainable("Trainers")[1]


def register(site: Scene, name: str, **other: Any) -> str:
    return str(site.post("/trainers", FORM | {"name": name} | other)["id"])


def run(site: Scene, *arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env=site.environment)


def created(site: Scene, version_id: str) -> VersionCreated:
    stream = VERSION.stream(version_id)
    event = site.store.streams([stream])[stream][0].event
    assert isinstance(event, VersionCreated)
    return event


def train(site: Scene, view: str, **body: Any) -> str:
    return str(site.post(f"/views/{view}/versions", body)["id"])


def test_a_version_records_the_trainer_its_form_and_settings(site: Scene, view: str) -> None:
    trainer_id = register(site, "acme/recorded", format="onnx")
    version_id = train(site, view, trainer="acme/recorded", settings={"epochs": 3})
    event = created(site, version_id)
    assert event.options is None
    assert event.trainer is not None
    assert event.trainer.settings == {"epochs": 3, "solver": "sgd"}
    site.visible()
    shown = site.http.get(f"/api/v1/trainers/{trainer_id}").json()["trainer"]
    assert shown["form"] == event.trainer.form
    assert shown["queue"] == "trainer--acme--recorded"
    version = site.http.get(f"/api/v1/versions/{version_id}").json()["version"]
    assert version["architecture"] == "acme/recorded"
    assert version["trainer"] == msgspec.to_builtins(event.trainer)
    for page in (f"/versions/{version_id}", f"/views/{view}"):
        assert "acme/recorded" in site.http.get(page).text
    found = site.http.get(f"/api/v1/versions?architecture=acme/recorded&view_id={view}").json()
    assert "items" in found, found
    assert [one["version_id"] for one in found["items"]] == [version_id]
    trail = site.http.get(f"/api/v1/audit/trail?version={version_id}").text
    assert "acme/recorded" in trail


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"trainer": "acme/nobody"}, 404, "trainer"),
        ({"trainer": "acme/refusing", "settings": {"epochs": 0}}, 422, "epochs"),
        ({"trainer": "acme/refusing", "settings": {"depth": 3}}, 422, "depth"),
        ({"trainer": "acme/refusing", "options": {"epochs": 3}}, 422, "options"),
        ({"settings": {"epochs": 3}}, 422, "settings"),
        ({"trainer": "acme/refusing", "preset": "quick"}, 422, "preset"),
        ({"trainer": "acme/tagger"}, 409, "trainer"),
        ({"trainer": "acme/retired"}, 409, "trainer"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_name(
    site: Scene, view: str, body: dict[str, Any], status: int, field: str
) -> None:
    names = {one["name"] for one in site.http.get("/api/v1/trainers").json()["items"]}
    if "acme/refusing" not in names:
        register(site, "acme/refusing")
        register(site, "acme/tagger", kinds=["tagging"])
        site.post(f"/trainers/{register(site, 'acme/retired')}/retire", None)
        site.visible()
    refused = site.http.post(f"/api/v1/views/{view}/versions", json=body)
    assert refused.status_code == status, refused.text
    fields = [error["field"] for error in refused.json().get("errors", [])]
    assert fields == [field], refused.text


def test_what_the_server_cannot_do_with_others_code_is_refused(site: Scene, view: str) -> None:
    register(site, "acme/foreign")
    version_id = train(site, view, trainer="acme/foreign")
    site.freeze(version_id)
    site.report(version_id, Started("gpu-1", "cpu", {}, 0))
    options = {"architecture": "resnet18", "start_from": version_id}
    refused = site.http.post(f"/api/v1/views/{view}/versions", json={"options": options})
    assert refused.status_code in {409, 422}, refused.text
    refused = site.http.get(f"/api/v1/versions/{version_id}/model.json")
    assert refused.status_code == 409


def test_the_code_that_trainers_declare_is_shown_and_compared(
    site: Scene, view: str, tmp_path: Path
) -> None:
    register(site, "acme/declaring")
    blobs = BlobStore.from_url(site.settings.require("blobs_url"))
    versions, sources = [], []
    for rate in (b"lr = 1\n", b"lr = 2\n"):
        version_id = train(site, view, trainer="acme/declaring")
        sources.append(blobs.put(archive(("train.py", rate), ("same.py", b""))))
        site.freeze(version_id)
        facts = {"git commit": rate.decode().strip(), "account": "ada"}
        site.report(version_id, Started("gpu-1", "cpu", facts, 0, sources[-1]))
        versions.append(version_id)
    first, second = versions
    site.visible()
    declared = site.http.get(f"/api/v1/versions/{first}/code").json()
    assert declared["source"] == sources[0]
    assert declared["environment"]["account"] == "ada"
    assert sources[0][:12] in site.http.get(f"/versions/{first}").text
    compared = site.http.get(f"/api/v1/versions/{first}/compare/{second}/code").json()
    assert compared["facts"] == [{"fact": "git commit", "first": "lr = 1", "second": "lr = 2"}]
    (changed,) = compared["files"]
    assert (changed["path"], changed["change"]) == ("train.py", "changed")
    assert changed["diff"].endswith("-lr = 1\n+lr = 2")
    target = tmp_path / "source.tar.gz"
    done = run(site, "versions", "source", second, str(target))
    assert done.exit_code == 0, done.output
    assert read_archive(target.read_bytes())["train.py"] == b"lr = 2\n"


def test_a_version_of_another_trainer_folds_the_options_and_offers_nothing_refused(
    site: Scene,
) -> None:
    _, view = site.trainable("Other trainers")
    site.begin(before := site.version(view))
    site.epoch(before, 1)
    site.finish(before)
    register(site, "acme/other")
    version_id = train(site, view, trainer="acme/other")
    site.freeze(version_id)
    site.report(version_id, Started("gpu-1", "cpu", {"lock": "1f" * 32}, 0))
    site.epoch(version_id, 1)
    site.finish(version_id)
    site.visible()
    pages = {
        name: site.http.get(f"/versions/{version_id}{path}").text
        for name, path in (("", ""), ("book", "/flip-book"), ("suspects", "/suspects"))
    }
    page = pages[""]
    assert "<b>Other trainer</b>: acme/other, before Stemma&#39;s own</li>" in page
    shown, folded, hidden = page.partition("<details data-options>")
    assert folded
    assert "→ not set" not in shown
    assert "Optimizer" in hidden
    assert "1f" * 6 + "…" in page
    assert "1f" * 32 not in page
    assert "Suggest annotations" not in page
    assert "Evaluate version" not in page
    assert "acme/other made these weights: only its code predicts with them" in page
    assert "its checkpoint is opaque, so only that code can predict other images" in page
    assert "only Stemma&#39;s own training records images" in pages["book"]
    assert "Recorded images" not in pages["book"] + pages["suspects"]
    assert "Suggest annotations" in site.http.get(f"/versions/{before}").text


def test_a_page_offers_predictions_with_the_onnx_weights_of_a_trainer(
    site: Scene, view: str
) -> None:
    register(site, "acme/exporting", format="onnx")
    version_id = train(site, view, trainer="acme/exporting")
    site.freeze(version_id)
    site.report(version_id, Started("gpu-1", "cpu", {}, 0))
    site.epoch(version_id, 1)
    site.finish(version_id)
    site.visible()
    page = site.http.get(f"/versions/{version_id}").text
    assert f"stemma predict {version_id}" in page
    assert "cannot predict" not in page
    assert "stemma onnx" not in page


def test_only_administrators_register(site: Scene, view: str) -> None:
    trainer_id = register(site, "acme/guarded")
    with site.person("tess", "trainer") as client:
        for method, path, body in (
            ("POST", "/trainers", FORM | {"name": "acme/hers"}),
            ("PUT", f"/trainers/{trainer_id}/form", FORM),
            ("POST", f"/trainers/{trainer_id}/retire", None),
        ):
            answer = client.request(method, f"/api/v1{path}", json=body)
            assert answer.status_code == 403, (method, path)
        used = client.post(f"/api/v1/views/{view}/versions", json={"trainer": "acme/guarded"})
        assert used.status_code == 201, used.text


def test_a_form_that_the_package_changes_keeps_whether_the_trainer_predicts(site: Scene) -> None:
    with Stemma(site.url, KEY) as client:
        trainers = client.trainers
        changed = trainers.register("acme/packaged", ["classification"], predicts=True)
        for given, predicts in ((None, True), (False, False), (None, False), (True, True)):
            # Without settings first: the same form again would change nothing.
            for settings in ((), (answers.Flag(key="fast", default=False),)):
                trainers.set_form(changed, ["classification"], settings, predicts=given)
                assert trainers.get(changed).predicts is predicts


def test_commands_register_use_change_and_retire(site: Scene, view: str, tmp_path: Path) -> None:
    form = tmp_path / "form.json"
    form.write_text(json.dumps(FORM))
    done = run(site, "trainers", "register", "acme/typed", str(form))
    assert done.exit_code == 0, done.output
    assert "trainer--acme--typed" in done.output
    site.visible()
    done = run(site, "train", view, "--trainer", "acme/typed", "--set", "epochs=2")
    assert done.exit_code == 0, done.output
    version_id = done.stdout.splitlines()[0]
    trainer = created(site, version_id).trainer
    assert trainer is not None
    assert trainer.settings["epochs"] == 2
    form.write_text(json.dumps(FORM | {"settings": [], "predicts": True}))
    assert run(site, "trainers", "change", "acme/typed", str(form)).exit_code == 0
    site.visible()
    listed = json.loads(run(site, "trainers", "list", "--json").stdout)
    (own,) = [one for one in listed if one["name"] == "acme/typed"]
    assert (own["settings"], own["predicts"]) == ([], True)
    form.write_text(json.dumps(FORM))
    changed = run(site, "trainers", "change", "acme/typed", str(form))
    assert (changed.exit_code, "no longer predict other images" in changed.stderr) == (0, True)
    site.visible()
    again = run(site, "trainers", "change", "acme/typed", str(form))
    assert (again.exit_code, again.stderr) == (0, "")
    assert run(site, "trainers", "retire", "acme/typed").exit_code == 0
    site.visible()
    assert "acme/typed" not in run(site, "trainers", "list").output
    done = run(site, "trainers", "retire", "acme/none")
    assert done.exit_code == 1
    assert "trainer 'acme/none' not found" in done.output
