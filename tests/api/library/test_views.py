"""Views that are renamed, archived and restored: by calls, by commands, and on the pages."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from playwright.sync_api import Page, expect

from cli.main import main
from tests.api.scene import Scene

CHECKS = (Path(__file__).parents[1] / "pages_checks.js").read_text()


def stemma(site: Scene, *arguments: str, fails: bool = False) -> str:
    environment = {**site.environment, "COLUMNS": "300"}
    done = CliRunner().invoke(main, arguments, env=environment)
    assert (done.exit_code != 0) is fails, done.output
    return done.stderr if fails else done.stdout


def test_an_archived_view_leaves_the_lists_and_its_past_stays(site: Scene) -> None:
    project = site.project("Archive")
    view, other = site.view(project, "zero", "one", name="Old"), site.view(project, name="New")
    site.http.patch(f"/api/v1/views/{view}", json={"name": "Older"}).raise_for_status()
    before = site.visible()
    site.http.delete(f"/api/v1/views/{view}").raise_for_status()
    at = site.visible()

    def listed(query: str = "") -> list[tuple[str, bool]]:
        answer = site.http.get(f"/api/v1/projects/{project}/views?at_least={at}&{query}")
        return [(row["name"], row["archived"]) for row in answer.raise_for_status().json()["items"]]

    assert listed() == [("New", False)]
    assert listed("archived=true") == [("Older", True), ("New", False)]
    assert listed(f"as_of={before}") == [("Older", False), ("New", False)]
    assert site.http.get(f"/api/v1/views/{view}").json()["view"]["archived"]
    refused = site.http.post(f"/api/v1/views/{view}/concepts", json={"labels": ["two"]})
    assert refused.status_code == 409
    assert "view 'Older' is archived; restore it first" in refused.json()["detail"]
    page = site.http.get(f"/projects/{project}?at_least={at}").text
    assert f'data-view="{view}"' not in page
    assert f'data-view="{other}"' in page
    assert f'data-view="{view}"' in site.http.get(f"/projects/{project}?archived=true").text


def test_the_shell_renames_archives_restores_and_forks(site: Scene) -> None:
    project = site.project("Shell")
    view = site.view(project, "zero", "one", "two")
    at = site.visible()
    stemma(site, "views", "rename", "Shell/Which digit", "Digit")
    site.visible()
    assert view in stemma(site, "views", "archive", "Shell/Digit")
    site.visible()
    assert view not in stemma(site, "views", "list", "Shell")
    assert "Digit (archived)" in stemma(site, "views", "list", "Shell", "--archived")
    assert "no view 'Digit'" in stemma(site, "views", "archive", "Shell/Digit", fails=True)
    assert "restored Digit" in stemma(site, "views", "restore", "Shell/Digit")
    models = site.http.get(f"/api/v1/views/{view}/models?at_least={at}").json()["items"]
    model = models[0]["model"]["model_id"]
    fork = ["models", "fork", model, "--why", "only two digits", "--concept"]
    assert "no concept 'nine'" in stemma(site, *fork, "nine", fails=True)
    forked = stemma(site, *fork, "zero", "--concept", "two").split()[-1]
    site.visible()
    row = site.http.get(f"/api/v1/models/{forked}").json()["model"]
    assert (row["parent"], row["why"], len(row["concepts"])) == (model, "only two digits", 2)


@pytest.mark.parametrize("width", [1400, 390])
def test_a_view_is_archived_restored_and_its_model_forked_on_its_page(
    site: Scene, page: Page, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    project = site.project(f"Page {width}")
    view = site.view(project, "zero", "one", "two")
    site.visible()
    page.goto(f"/views/{view}")
    page.get_by_role("button", name="Rename view Which digit").click()
    page.get_by_label("New name").fill("Digit")
    page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    expect(page.get_by_role("heading", name="Digit", exact=True)).to_be_visible()
    page.get_by_text("Fork Model 1").click()
    page.locator("[data-fork]").get_by_label("one", exact=True).uncheck()
    fork = page.get_by_role("button", name="Fork model")
    fork.click()
    expect(page.get_by_text("enter a reason")).to_be_visible()
    page.get_by_label("Reason").fill("only even digits")
    fork.click()
    expect(page.get_by_text("forked from")).to_contain_text("only even digits")
    page.get_by_role("button", name="Archive view Digit").click()
    page.get_by_role("dialog").get_by_role("button", name="Archive").click()
    expect(page.locator("[data-archived]")).to_be_visible()
    expect(page.get_by_role("button", name="Train", exact=True)).to_have_count(0)
    assert page.evaluate(CHECKS) == []
    page.goto(f"/views/{view}/annotate")
    expect(page.get_by_role("heading", name="This view is archived")).to_be_visible()
    page.goto(f"/views/{view}")
    page.get_by_role("button", name="Restore view").click()
    expect(page.get_by_role("button", name="Train", exact=True)).to_be_visible()
