"""Presets and estimates of trainings: over HTTP, by the command line and by the package."""

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from domain.training.form import KINDS, training_form
from domain.training.options import resolve_options
from domain.training.presets import ACCURATE, QUICK, with_preset
from stemma_client import Invalid, Stemma
from tests.api.scene import KEY, Scene
from tests.waiting import HANG_SECONDS


@pytest.fixture(scope="module")
def view(site: Scene) -> str:
    return site.trainable("Presets")[1]


@pytest.fixture(scope="module")
def estimated_trainer(site: Scene) -> None:
    epochs = {"control": "number", "key": "epochs", "default": 8}
    form = {"name": "acme/estimated", "kinds": ["classification"], "settings": [epochs]}
    site.post("/trainers", form)
    site.visible()


def run(site: Scene, *arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env=site.environment | {"COLUMNS": "400"})


def options_of(site: Scene, version_id: str) -> Any:
    site.visible()
    return site.http.get(f"/api/v1/versions/{version_id}").json()["version"]["options"]


def estimate(site: Scene, view: str, **options: Any) -> Any:
    """What a training would take, after all that has happened."""
    query = {"options": json.dumps(options), "at_least": str(site.store.head())}
    answer = site.http.get(f"/api/v1/views/{view}/versions/estimate", params=query)
    return answer.raise_for_status().json()


@pytest.mark.parametrize("kind", KINDS)
def test_each_preset_is_resolved_by_the_form(kind: str) -> None:
    for preset in training_form(kind).presets:
        resolve_options(kind, with_preset(kind, preset.key, {}))


def test_what_is_chosen_comes_before_the_preset(site: Scene, view: str) -> None:
    body = {"preset": QUICK, "options": {"epochs": 1, "augmentations": ["vertical_flip"]}}
    made = options_of(site, site.post(f"/views/{view}/versions", body)["id"])
    assert (made["architecture"], made["epochs"]) == ("mobilenet_v3_small", 1)
    (model,) = site.http.get(f"/api/v1/views/{view}/models").json()["items"]
    path = f"/models/{model['model']['model_id']}/versions"
    accurate = options_of(site, site.post(path, {"preset": ACCURATE})["id"])
    assert (accurate["epochs"], accurate["patience"]) == (24, 8)
    refused = site.http.post(f"/api/v1/views/{view}/versions", json={"preset": "best"})
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == ["preset"]
    assert "quick, balanced, accurate" in refused.json()["detail"]


def test_the_command_line_and_the_package_take_presets(site: Scene, view: str) -> None:
    made = run(site, "versions", "train", view, "--preset", "quick", "--set", "width=32")
    assert made.exit_code == 0, made.output
    options = options_of(site, made.stdout.strip())
    assert (options["architecture"], options["width"]) == ("mobilenet_v3_small", 32)
    assert "Duration unknown: no training of MobileNet v3 small at 32 by 224 px" in made.stderr
    shown = run(site, "form", "classification", "--preset", "accurate")
    assert "--preset quick" in shown.stdout
    assert "a version's id" in shown.stdout
    resolved = run(site, "form", "detection", "--preset", "accurate", "--json").stdout
    assert json.loads(resolved)["patience"] == 8
    assert run(site, "form", "tagging", "--preset", "best").exit_code == 2
    with Stemma(site.url, KEY, patience=HANG_SECONDS) as client:
        of_client = client.view(view)
        version = of_client.train(preset="quick", epochs=2)
        assert options_of(site, version.id)["architecture"] == "mobilenet_v3_small"
        assert of_client.estimate_training(preset="quick", width=32).seconds is None
        with pytest.raises(Invalid):
            of_client.estimate_training(preset="best")


def test_an_estimate_rests_on_trainings_of_the_same_network_and_size(site: Scene) -> None:
    _, view = site.trainable("Estimated")
    untimed = estimate(site, view)
    assert (untimed["train_images"], untimed["validation_images"]) == (6, 4)
    assert (untimed["seconds"], untimed["timing"]) == (None, None)
    assert estimate(site, view, reviewed_only=True)["train_images"] == 0
    resnet = {"architecture": "resnet18", "width": 32}
    ended = site.version(view, **resnet)
    waiting = estimate(site, view)["trainings_before"]
    assert waiting == untimed["trainings_before"] + 1
    site.begin(ended, 1)
    site.epoch(ended, 1, of=1)
    site.finish(ended)
    timed = estimate(site, view, **resnet, epochs=3)
    assert (timed["timing"]["of"], timed["timing"]["versions"]) == ("view", 1)
    assert timed["seconds"] == pytest.approx(timed["timing"]["seconds"] * 6 * 3)
    assert "by the 1 training of ResNet 18 at 32 by 224 px" in timed["duration"]
    batches = estimate(site, view, **resnet, iterations=10, batch_size=4)
    assert batches["seconds"] == pytest.approx(timed["timing"]["seconds"] * 10 * 4)
    for other in ({"width": 64}, {"architecture": "resnet50"}):
        unknown = estimate(site, view, **resnet | other)
        assert (unknown["seconds"], unknown["timing"]) == (None, None)


def test_an_estimate_for_a_trainer_rests_on_its_own_trainings(site: Scene) -> None:
    """With a setting `epochs` the estimate is for that length, else for that of earlier ones."""
    _, view = site.trainable("Estimated for trainers")
    epochs = {"control": "number", "key": "epochs", "default": 8, "whole": True}
    for name, settings in (("acme/long", [epochs]), ("acme/fixed", [])):
        form = {"name": name, "kinds": ["classification"], "settings": settings}
        site.post("/trainers", form)
        assert for_trainer(site, view, name)["timing"] is None
        ended = str(site.post(f"/views/{view}/versions", {"trainer": name})["id"])
        site.begin(ended, 2)
        site.epoch(ended, 1, of=2)
        site.epoch(ended, 2, of=2)
        site.finish(ended)
    long = for_trainer(site, view, "acme/long", epochs=3)
    assert (long["timing"]["versions"], long["timing"]["epochs"]) == (1, 2)
    assert long["seconds"] == pytest.approx(long["timing"]["seconds"] * 6 * 3)
    assert "by the 1 training of acme/long that completed last in this view" in long["duration"]
    fixed = for_trainer(site, view, "acme/fixed")
    assert fixed["seconds"] == pytest.approx(fixed["timing"]["seconds"] * 6 * 2)
    trained = run(site, "versions", "train", view, "--trainer", "acme/long", "--set", "epochs=1")
    assert "by the 1 training of acme/long" in trained.stderr


def for_trainer(site: Scene, view: str, name: str, **settings: Any) -> Any:
    query = {"trainer": name, "settings": json.dumps(settings), "at_least": str(site.store.head())}
    answer = site.http.get(f"/api/v1/views/{view}/versions/estimate", params=query)
    return answer.raise_for_status().json()


@pytest.mark.usefixtures("estimated_trainer")
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("options=x", "options"),
        ('options={"epochs":0}', "epochs"),
        ("preset=best", "preset"),
        ("trainer=acme/estimated&settings=x", "settings"),
        ('trainer=acme/estimated&settings={"epochs":"x"}', "epochs"),
    ],
)
def test_an_estimate_of_what_cannot_be_is_refused(
    site: Scene, view: str, query: str, field: str
) -> None:
    refused = site.http.get(f"/api/v1/views/{view}/versions/estimate?{query}")
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [field]
