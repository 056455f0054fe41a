"""Groups of images: by calls, in the shell, and on the page."""

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from application.dataset.projects import add_images
from domain.dataset.image import AddImage
from tests.api.dataset.test_annotating import look
from tests.api.library.test_views import stemma
from tests.api.scene import Scene
from tests.application.scenes import do

CHECKS = (Path(__file__).parents[1] / "pages_checks.js").read_text()


def patients(site: Scene, name: str, **sizes: int) -> tuple[str, dict[str, tuple[str, ...]]]:
    """A project with so many images of each patient, without bytes, and one image of none."""
    project = site.project(name)
    ids = {}
    for patient, size in {**sizes, "": 1}.items():
        blobs = [hashlib.sha256(f"{name} {patient} {n}".encode()).hexdigest() for n in range(size)]
        metadata = {"patient": patient} if patient else {}
        additions = [AddImage(project, blob, 8, 8, f"{blob[:6]}.png", metadata) for blob in blobs]
        add = partial(add_images, project_id=project, additions=additions)
        ids[patient] = do(site.store, add).ids
    site.visible()
    return project, ids


def assign(site: Scene, image_id: str, split: str) -> Any:
    answer = site.http.put(f"/api/v1/images/{image_id}/split", json={"split": split})
    return answer.raise_for_status().json()


def test_a_key_is_set_and_splits_keep_groups_whole(site: Scene) -> None:
    project, ids = patients(site, "Patients", ada=3, bob=3, cyd=2)
    assert look(site, f"/projects/{project}/groups")["key"] is None
    before = look(site, f"/projects/{project}/groups", key="patient")
    assert before["counts"] == {"groups": 3, "torn": 0, "largest": 3, "ungrouped": 1}
    first = look(site, f"/projects/{project}/groups", key="patient", limit=2)
    assert [row["value"] for row in first["items"]] == ["ada", "bob"]
    second = look(site, f"/projects/{project}/groups", key="patient", cursor=first["next"])
    assert [row["value"] for row in second["items"]] == ["cyd"]

    done = site.post(f"/projects/{project}/group-key", {"key": "patient"})
    assert (done["groups"], done["torn"], done["moved"]) == (3, 0, 0)
    moved = assign(site, ids["ada"][1], "test")
    assert sorted(moved["ids"]) == sorted(ids["ada"])
    site.post(f"/projects/{project}/validation-split", {"size": 3, "seed": 1})
    site.visible()
    found = look(site, f"/projects/{project}/groups")
    assert (found["group_key"], found["counts"]["torn"]) == ("patient", 0)
    assert found["items"][0] == {"value": "ada", "train": 0, "validation": 0, "test": 3}
    counts = look(site, f"/projects/{project}/dataset")["counts"]
    assert (counts["validation"], counts["test"]) == (3, 3)
    past = look(site, f"/projects/{project}/groups", key="patient", as_of=before["position"])
    assert (past["group_key"], past["items"]) == (None, before["items"])
    assert look(site, f"/projects/{project}")["project"]["group_key"] == "patient"
    site.http.delete(f"/api/v1/projects/{project}/group-key").raise_for_status()
    assert assign(site, ids["bob"][0], "test")["ids"] == [ids["bob"][0]]


def test_torn_groups_are_named_and_mended(site: Scene) -> None:
    project, ids = patients(site, "Torn", ada=3, bob=1, cyd=2)
    assign(site, ids["ada"][0], "validation")
    assign(site, ids["cyd"][0], "validation")
    assign(site, ids["bob"][0], "validation")
    url = f"/api/v1/projects/{project}/group-key"
    refused = site.http.post(url, json={"key": "patient"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (409, "mend")
    assert refused.json()["detail"] == (
        "the splits divide 2 of 3 groups by 'patient': 'ada' (2 train, 1 validation), 'cyd' (1"
        " train, 1 validation); with mend 'majority' each group moves to the split that has most"
        " of its images; with mend 'draw' the validation set and the test set are drawn again"
    )
    site.visible()
    torn = look(site, f"/projects/{project}/groups", key="patient", torn="true")
    assert [row["value"] for row in torn["items"]] == ["ada", "cyd"]
    stale = site.http.post(url, json={"key": "patient"}, headers={"If-Match": '"99"'})
    assert stale.status_code == 412
    done = site.post(f"/projects/{project}/group-key", {"key": "patient", "mend": "majority"})
    assert (done["groups"], done["torn"], done["moved"]) == (3, 2, 2)
    site.visible()
    assert look(site, f"/projects/{project}/groups", torn="true")["items"] == []


def test_the_shell_shows_sets_and_removes(site: Scene) -> None:
    project, ids = patients(site, "Shell", ada=3, bob=2)
    assert "no group key is set" in stemma(site, "groups", "list", "Shell")
    assign(site, ids["ada"][0], "validation")
    site.visible()
    listed = stemma(site, "groups", "list", "Shell", "--key", "patient", "--torn")
    assert "2 groups, 1 in several splits; the largest has 3 images; 1 image" in listed
    assert "ada" in listed
    assert "bob" not in listed
    told = stemma(site, "groups", "set", "Shell", "patient", "--mend", "draw", "--seed", "2")
    assert told.startswith("grouped by patient: 2 groups, 1 were in several splits,")
    site.visible()
    assert "0 in several splits" in stemma(site, "groups", "list", "Shell")
    assert "no group key" in stemma(site, "groups", "remove", "Shell")
    assert project


def test_a_key_is_chosen_on_the_page(site: Scene, page: Page) -> None:
    project, ids = patients(site, "On the page", ada=3, bob=2)
    assign(site, ids["ada"][0], "validation")
    site.visible()
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(f"/projects/{project}/groups")
    expect(page.locator('[data-empty="groups"]')).to_be_visible()
    page.locator("#groups-key").fill("patient")
    page.get_by_role("button", name="Show groups").click()
    expect(page.locator('[data-count="torn"]')).to_have_text("1")
    expect(page.locator("[data-group]")).to_have_count(2)
    page.get_by_role("button", name="Set group key").click()
    expect(page.locator("#mend-error")).to_contain_text("divide 1 of 2 groups")
    page.get_by_label("Groups in several splits").select_option("draw")
    page.get_by_role("button", name="Set group key").click()
    expect(page.get_by_text("They are grouped by")).to_be_visible()
    expect(page.locator('[data-count="torn"]')).to_have_text("0")
    assert page.evaluate(CHECKS) == []
    page.get_by_role("button", name="Remove group key").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_text("No key is set")).to_be_visible()


@pytest.mark.parametrize("body", [{"key": ""}, {"key": "a", "mend": "guess"}, {}])
def test_a_key_that_is_none_is_refused(site: Scene, body: dict[str, str]) -> None:
    project = site.project("Refused")
    assert site.http.post(f"/api/v1/projects/{project}/group-key", json=body).status_code == 422
