"""Experiments that search the settings of a trainer: API, commands, package and pages."""

from typing import Any

import pytest
from click.testing import CliRunner, Result
from playwright.sync_api import Page, expect

from cli.main import main
from stemma_client import Stemma
from tests.api.experiments.conftest import Laboratory
from tests.api.experiments.test_commands import audit
from tests.api.experiments.test_pages import opened, sent
from tests.api.scene import KEY

SETTINGS = [
    {"control": "number", "key": "epochs", "default": 8, "whole": True, "least": 1, "most": 50},
    {
        "control": "number", "key": "penalty", "default": 0.1, "label": "L2 penalty",
        "least": 0.0001, "most": 1,
    },
    {"control": "choice", "key": "solver", "default": "lbfgs", "choices": ["lbfgs", "saga"]},
    {"control": "text", "key": "note", "default": ""},
]  # fmt: skip
NAME = "acme/searched"
TOO_WIDE = {"least": 0.001, "most": 5}


@pytest.fixture(scope="module")
def view_id(laboratory: Laboratory) -> str:
    form = {"kinds": ["classification"], "settings": SETTINGS}
    laboratory.site.post("/trainers", form | {"name": NAME})
    laboratory.site.post("/trainers", {"name": "acme/endless", "kinds": ["classification"]})
    view_id = laboratory.site.trainable("Searched settings")[1]
    laboratory.site.visible()
    return view_id


def stemma(laboratory: Laboratory, *arguments: str) -> Result:
    environment = laboratory.site.environment | {"COLUMNS": "250"}
    return CliRunner().invoke(main, ["experiment", *arguments], env=environment)


@pytest.fixture(scope="module")
def finished(laboratory: Laboratory, view_id: str) -> str:
    done = stemma(
        laboratory, "start", view_id, "--trainer", NAME, "--budget", "8", "--concurrency", "2",
        "--vary", "penalty=log:0.001..1", "--vary", "solver=lbfgs,saga", "--set", "epochs=3",
        "--name", "Penalties",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    experiment_id = done.stdout.strip()
    laboratory.run(experiment_id)
    return experiment_id


def test_its_trials_are_versions_of_the_trainer(
    laboratory: Laboratory, finished: str, view_id: str
) -> None:
    row = laboratory.get(f"/experiments/{finished}")["experiment"]
    assert row["state"] == "concluded"
    assert row["trainer"]["trainer"]["name"] == NAME
    assert row["trainer"]["trainer"]["settings"]["epochs"] == row["epochs"] == 3
    assert row["trainer"]["varied"] == {
        "penalty": {"least": 0.001, "most": 1.0, "log": True},
        "solver": ["lbfgs", "saga"],
    }
    assert (row["options"], row["space"]["architectures"]) == ({}, [])
    trials = laboratory.get(f"/experiments/{finished}/trials")["items"]
    assert trials[0]["parameters"] == {"penalty": 0.1, "solver": "lbfgs"}
    for trial in trials:
        version = laboratory.get(f"/versions/{trial['version_id']}")["version"]
        assert version["architecture"] == NAME
        settings = {"epochs": 3, "note": "", **trial["parameters"]}
        assert version["trainer"]["settings"] == trial["trainer"]["settings"] == settings
    assert (
        f"of trainer {NAME}"
        in laboratory.site.http.get("/api/v1/audit/trail", params={"view": view_id}).text
    )
    checked = audit(laboratory, finished)
    assert checked.exit_code == 0, checked.output
    assert "0 different, 0 not comparable" in checked.stdout
    shown = stemma(laboratory, "show", finished).stdout
    assert "penalty 0.1" in shown
    assert "solver lbfgs" in shown


def test_pages_name_the_settings(laboratory: Laboratory, finished: str, view_id: str) -> None:
    listed = laboratory.site.http.get(f"/views/{view_id}").raise_for_status().text
    assert f'data-part="architecture-{finished}">{NAME}<' in listed
    laboratory.site.http.get(f"/views/{view_id}/experiments").raise_for_status()
    page = laboratory.site.http.get(f"/experiments/{finished}").raise_for_status().text
    for shown in (
        NAME,
        "L2 penalty</dt>",
        "0.001 to 1, by the logarithm",
        "L2 penalty 0.1",
        "saga",
    ):
        assert shown in page
    assert "Weight decay" not in page
    trials = laboratory.get(f"/experiments/{finished}/trials")["items"]
    differing = next(t for t in trials if t["parameters"]["solver"] == "saga")["number"]
    compared = laboratory.site.http.get(f"/experiments/{finished}/compare?trials=1,{differing}")
    assert compared.status_code == 200
    for shown in ("L2 penalty", "solver", "lbfgs", "saga"):
        assert shown in compared.text
    assert "Learning rate" not in compared.text


def test_the_package_starts_one(laboratory: Laboratory, view_id: str) -> None:
    with Stemma(laboratory.site.url, KEY) as client:
        started = client.view(view_id).start_experiment(
            trainer=NAME, settings={"epochs": 2}, varied={"solver": ["lbfgs", "saga"]}, budget=1
        )
    laboratory.run(started.id)
    assert started.row.trainer is not None
    assert started.row.trainer.varied == {"solver": ["lbfgs", "saga"]}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"trainer": "acme/nobody"}, 404, "trainer"),
        ({"trainer": "acme/endless"}, 409, "trainer"),
        ({"trainer": NAME, "options": {"epochs": 3}}, 422, "options"),
        ({"trainer": NAME, "space": {"architectures": ["resnet18"]}}, 422, "space"),
        ({"trainer": NAME, "varied": {}}, 422, "varied"),
        ({"trainer": NAME, "varied": {"penalty": [0.1, "x"]}}, 422, "varied.penalty"),
        ({"trainer": NAME, "varied": {"penalty": TOO_WIDE}}, 422, "varied.penalty"),
        ({"trainer": NAME, "varied": {"solver": TOO_WIDE}}, 422, "varied.solver"),
        ({"trainer": NAME, "settings": {"depth": 1}}, 422, "depth"),
        ({"settings": {"epochs": 3}}, 422, "settings"),
        ({"varied": {"solver": ["saga"]}}, 422, "varied"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused_by_name(
    laboratory: Laboratory, view_id: str, body: dict[str, Any], status: int, field: str
) -> None:
    refused = laboratory.site.http.post(f"/api/v1/views/{view_id}/experiments", json=body)
    assert refused.status_code == status, refused.text
    fields = [error["field"] for error in refused.json().get("errors", [])]
    assert fields == [field]


@pytest.mark.parametrize("varied", ["solver", "=1..2", "penalty=a..b", "penalty="])
def test_a_command_names_what_it_does_not_understand(
    laboratory: Laboratory, view_id: str, varied: str
) -> None:
    done = stemma(laboratory, "start", view_id, "--trainer", NAME, "--vary", varied)
    assert done.exit_code == 2
    assert "--vary" in done.output


def test_the_dialog_searches_what_the_form_gives(
    laboratory: Laboratory, view_id: str, page: Page
) -> None:
    dialog = opened(page, laboratory, view_id)
    trainer = dialog.get_by_label("Trained by")
    assert trainer.locator("option").all_inner_texts() == ["Stemma", NAME]
    trainer.select_option(NAME)
    dialog.get_by_label("Custom").check()
    expect(dialog.locator("#start-architectures")).to_be_hidden()
    expect(dialog.get_by_label("Lowest L2 penalty")).to_have_value("0.0001")
    dialog.get_by_label("Budget").fill("1")
    dialog.get_by_label("Highest L2 penalty").fill("7")
    dialog.get_by_role("button", name="Start experiment").click()
    expect(dialog.locator("fieldset[name='varied.penalty'] .field-error")).to_contain_text(
        "penalty is 7.0; it must be from 0.0001 to 1"
    )
    dialog.get_by_label("Highest L2 penalty").fill("0.5")
    dialog.get_by_label("lbfgs").uncheck()
    assert sent(page, dialog) == {
        "trainer": NAME,
        "budget": 1,
        "settings": {"epochs": 6},
        "varied": {
            "penalty": {"least": 0.0001, "most": 0.5, "log": True},
            "solver": ["saga"],
        },
    }
    expect(page.get_by_role("heading", level=1)).to_contain_text("running")
    expect(page.locator("[data-setting='penalty']")).to_have_text("L2 penalty")
