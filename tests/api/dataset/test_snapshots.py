"""Snapshots and differences of a dataset: by calls, in the shell, and on the page."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.api.dataset.test_annotating import annotate, look
from tests.api.library.test_views import stemma
from tests.api.scene import Scene

CHECKS = (Path(__file__).parents[1] / "pages_checks.js").read_text()


@pytest.fixture(scope="module")
def changed(site: Scene) -> dict[str, Any]:
    """A dataset named `before`, of which each image then changed in its own way."""
    project = site.project("Changed")
    view, other = site.view(project), site.view(project, name="Other")
    cat, dog = site.concepts(view, "cat", "dog")
    (lion,) = site.concepts(other, "lion")
    images = site.images(project, 6)
    for image in images:
        assert annotate(site, image, view, cat).is_success
    site.post(f"/projects/{project}/snapshots", {"name": "before"})
    added = site.images(project, 7)[6]
    site.http.delete(f"/api/v1/images/{images[0]}").raise_for_status()
    assert annotate(site, images[1], view, dog).is_success
    site.http.put(f"/api/v1/images/{images[2]}/split", json={"split": "validation"})
    assert annotate(site, images[3], view, dog).is_success
    assert annotate(site, images[3], view, cat).is_success  # as it was
    assert annotate(site, images[4], other, lion).is_success
    site.http.put(f"/api/v1/images/{images[4]}/split", json={"split": "validation"})
    site.visible()
    return {"project": project, "view": view, "images": [*images, added], "cat": cat, "dog": dog}


def different(site: Scene, changed: dict[str, Any], **params: object) -> list[int]:
    path = f"/projects/{changed['project']}/difference"
    items = look(site, path, **{"from": "before", **params})["items"]
    return [changed["images"].index(item["image_id"]) for item in items]


def test_a_difference_tells_each_change(site: Scene, changed: dict[str, Any]) -> None:
    found = look(site, f"/projects/{changed['project']}/difference", **{"from": "before"})
    assert found["counts"] == {"added": 1, "removed": 1, "relabelled": 2, "moved": 2}
    assert different(site, changed) == [0, 1, 2, 4, 6]
    assert different(site, changed, change="added") == [6]
    assert different(site, changed, change="removed") == [0]
    assert different(site, changed, change="relabelled") == [1, 4]
    assert different(site, changed, change="moved") == [2, 4]
    assert different(site, changed, change="relabelled", view_id=changed["view"]) == [1]
    assert different(site, changed, limit=2) == [0, 1]
    relabelled = found["items"][1]
    labels = [[one["concept_id"] for one in relabelled[side]] for side in ("before", "after")]
    assert labels == [[changed["cat"]], [changed["dog"]]]
    # Turned round, what was added is removed.
    back = look(
        site,
        f"/projects/{changed['project']}/difference",
        **{"from": site.store.head(), "to": "before"},
    )["counts"]
    assert back == {"added": 1, "removed": 1, "relabelled": 2, "moved": 2}
    same = look(site, f"/projects/{changed['project']}/difference", **{"from": found["second"]})
    assert same["counts"] == {"added": 0, "removed": 0, "relabelled": 0, "moved": 0}


def test_a_snapshots_name_is_of_one_position(site: Scene, changed: dict[str, Any]) -> None:
    url = f"/api/v1/projects/{changed['project']}/snapshots"
    taken = site.http.post(url, json={"name": "before"})
    assert (taken.status_code, taken.json()["errors"][0]["field"]) == (409, "name")
    ahead = site.http.post(url, json={"name": "later", "position": site.store.head() + 1})
    assert (ahead.status_code, ahead.json()["errors"][0]["field"]) == (422, "position")
    number = site.http.post(url, json={"name": "12"})
    assert "could be a position" in number.json()["detail"]
    nowhere = site.http.get(f"{url.removesuffix('/snapshots')}/difference?from=nowhere")
    assert (nowhere.status_code, nowhere.json()["errors"][0]["field"]) == (422, "from")
    site.http.post(url, json={"name": "a/b", "position": 1}).raise_for_status()
    then = site.visible()
    site.http.delete(f"{url}?name=a%2Fb").raise_for_status()
    path = f"/projects/{changed['project']}/snapshots"
    names = [row["name"] for row in look(site, path)["items"]]
    past = [row["name"] for row in look(site, path, as_of=then)["items"]]
    assert (names, past) == (["before"], ["a/b", "before"])


def test_the_shell_names_and_compares(site: Scene, changed: dict[str, Any]) -> None:
    stemma(site, "snapshots", "name", "Changed", "of now")
    site.visible()
    assert "of now" in stemma(site, "snapshots", "list", "Changed")
    told = stemma(site, "snapshots", "diff", "Changed", "before", "of now", "--change", "moved")
    assert told.splitlines()[0] == "1 added, 1 removed, 2 relabelled, 2 moved"
    assert f"train → validation  2.png  {changed['images'][2]}" in told
    assert f"relabelled, train → validation  4.png  {changed['images'][4]}" in told
    assert "removed of now" in stemma(site, "snapshots", "remove", "Changed", "of now")


def test_a_snapshot_is_named_and_compared_on_the_page(changed: dict[str, Any], page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(f"/projects/{changed['project']}")
    page.get_by_role("link", name="Snapshots").click()
    page.get_by_role("textbox", name="Name", exact=True).fill("on the page")
    page.get_by_role("button", name="Name snapshot").click()
    expect(page.locator('[data-snapshot="on the page"]')).to_be_visible()
    page.get_by_role("link", name="before", exact=True).click()
    rows = page.locator("[data-image]")
    expect(rows).to_have_count(5)
    expect(rows.nth(1)).to_contain_text("Which digit: dog")
    page.locator('[data-change="moved"]').click()
    expect(rows).to_have_count(2)
    assert page.evaluate(CHECKS) == []
    page.goto(f"/projects/{changed['project']}/snapshots?from=never")
    expect(page.get_by_role("alert").first).to_contain_text("has no snapshot 'never'")
