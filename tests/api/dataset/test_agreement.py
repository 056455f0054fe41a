"""Agreement: two people annotate the same images, the second without seeing the first's."""

import json
from html import unescape
from typing import Any, NamedTuple

import httpx
import pytest
from click.testing import CliRunner
from playwright.sync_api import Page, expect

from cli.main import main
from tests.api.dataset.test_annotating import annotate, look
from tests.api.scene import Scene

BOX = {"x": 0.1, "y": 0.1, "width": 0.4, "height": 0.4}
NEAR = BOX | {"x": 0.15}
FAR = BOX | {"x": 0.5}


class Desk(NamedTuple):
    """A view, its two concepts and its images, all annotated by grace."""

    project: str
    view: str
    cat: str
    dog: str
    images: list[str]


@pytest.fixture(scope="module")
def grace(site: Scene) -> httpx.Client:
    return site.person("grace", "annotator")


def desk(
    site: Scene, grace: httpx.Client, kind: str, said: list[list[Any]], name: str = ""
) -> Desk:
    """What grace says of each image: the numbers of concepts, or pairs of number and box."""
    project = site.project(f"Agreement in {kind} {name}".strip())
    body = {"name": "What is it", "kind": kind}
    view = str(site.post(f"/projects/{project}/views", body)["id"])
    cat, dog = site.concepts(view, "cat", "dog")
    images = site.images(project, len(said) + 1)[:-1]
    for image, each in zip(images, said, strict=True):
        content = {"annotations": annotations((cat, dog), each), "without_concept": not each}
        url = f"/api/v1/images/{image}/annotations/{view}"
        assert grace.put(url, json=content).is_success
    return Desk(project, view, cat, dog, images)


def annotations(concepts: tuple[str, ...], said: list[Any]) -> list[dict[str, Any]]:
    pairs = [each if isinstance(each, tuple) else (each, None) for each in said]
    return [
        {"concept_id": concepts[number]} | ({"box": box} if box else {}) for number, box in pairs
    ]


def blindly(client: httpx.Client, at: Desk, number: int, said: list[Any]) -> httpx.Response:
    body = {"annotations": annotations((at.cat, at.dog), said), "without_concept": not said}
    return client.put(f"/api/v1/images/{at.images[number]}/blind-annotations/{at.view}", json=body)


def waiting(site: Scene, client: httpx.Client, at: Desk, **query: Any) -> list[int]:
    url = f"/api/v1/views/{at.view}/blind-images"
    answer = client.get(url, params={"at_least": site.store.head()} | query).raise_for_status()
    for item in answer.json()["items"]:
        assert (item["annotations"], item["without_concept"], item["reviewed_by"]) == (
            [],
            False,
            None,
        )
    return [at.images.index(item["image_id"]) for item in answer.json()["items"]]


def test_two_people_are_compared_and_what_is_in_force_stays(
    site: Scene, grace: httpx.Client
) -> None:
    at = desk(site, grace, "classification", [[0], [0], [1], [1], [1]])
    before = look(site, f"/images/{at.images[0]}", view_id=at.view)["image"]
    site.post(f"/views/{at.view}/annotations", {"images": [
        {"image_id": at.images[4], "annotations": [{"concept_id": at.cat}]}
    ]})  # fmt: skip
    assert waiting(site, site.http, at) == [0, 1, 2, 3]
    assert waiting(site, grace, at) == [4]
    assert waiting(site, site.http, at, limit=1, cursor=before["added_position"]) == [1]
    shares = [waiting(site, site.http, at, share=share) for share in (0.0001, 0.5, 1)]
    assert set(shares[0]) <= set(shares[1]) <= set(shares[2])

    for number, said in enumerate([[0], [1], [1], [1]]):
        assert blindly(site.http, at, number, said).is_success
    assert waiting(site, site.http, at) == []
    found = look(site, f"/views/{at.view}/agreement")
    assert (found["annotations"], found["agreement"]["images"]) == (4, 4)
    (between,) = found["accounts"]
    assert between["accounts"] == ["administrator", "grace"]
    assert (between["images"], between["equal"]) == (4, 3)
    assert between["kappa"] == pytest.approx(0.5)
    assert found["agreement"]["kappa"] == pytest.approx(0.5)
    listed = look(site, f"/views/{at.view}/agreement/images", differing=True)["items"]
    (one,) = listed
    assert (one["image_id"], one["first_by"], one["second_by"]) == (
        at.images[1], "grace", "administrator",
    )  # fmt: skip
    assert one["first"] == [{"concept_id": at.cat, "box": None}]

    after = look(site, f"/images/{at.images[0]}", view_id=at.view)["image"]
    assert after["annotations"] == before["annotations"]
    assert after["revision"] == before["revision"] + 1
    counts = look(site, f"/views/{at.view}")["images"]
    assert counts["annotated"]["train"] == 5

    # Settling a difference, and changing one's mind, is measured only where it is blind again.
    assert annotate(site, at.images[1], at.view, at.dog).is_success
    assert look(site, f"/views/{at.view}/agreement")["agreement"]["equal"] == 3
    assert blindly(site.http, at, 1, [1]).is_success
    again = look(site, f"/views/{at.view}/agreement")
    assert again["agreement"]["equal"] == 4
    own = next(each for each in again["accounts"] if each["accounts"] == ["administrator"] * 2)
    assert own["images"] == 1
    withdrawn = site.http.put(
        f"/api/v1/images/{at.images[1]}/blind-annotations/{at.view}", json={"annotations": []}
    )
    assert withdrawn.is_success
    assert look(site, f"/views/{at.view}/agreement")["annotations"] == 3
    site.http.delete(f"/api/v1/images/{at.images[0]}").raise_for_status()
    assert look(site, f"/views/{at.view}/agreement")["annotations"] == 2


def test_what_nobody_annotated_has_nothing_to_be_compared_with(
    site: Scene, grace: httpx.Client
) -> None:
    at = desk(site, grace, "tagging", [[0], []])
    bare = site.images(at.project, 3)[-1]
    refused = blindly(site.http, at._replace(images=[bare]), 0, [0])
    assert refused.status_code == 409
    assert "is not annotated in view 'What is it'" in refused.json()["detail"]
    viewer = site.person("vera", "viewer")
    assert blindly(viewer, at, 0, [0]).status_code == 403
    assert viewer.get(f"/api/v1/views/{at.view}/blind-images").status_code == 403
    assert viewer.get(f"/api/v1/views/{at.view}/agreement").is_success
    assert site.http.get("/api/v1/views/none/agreement").status_code == 404
    assert blindly(site.http, at, 0, [0, 1]).is_success
    assert blindly(site.http, at, 1, []).is_success
    found = look(site, f"/views/{at.view}/agreement")["agreement"]
    assert [each["kappa"] for each in found["concepts"]] == [1.0, 0.0]
    assert found["equal"] == 1


def test_an_image_that_the_address_names_is_shown_without_its_annotations(
    site: Scene, grace: httpx.Client
) -> None:
    at = desk(site, grace, "classification", [[0]], "of one image")
    site.visible()
    path = f"/views/{at.view}/annotate?image={at.images[0]}"
    assert f'"annotations":[{{"concept_id":"{at.cat}"' in unescape(site.http.get(path).text)
    blind = unescape(site.http.get(f"{path}&blind=1").text)
    assert '"annotations":[]' in blind


def test_boxes_and_the_command(site: Scene, grace: httpx.Client) -> None:
    at = desk(site, grace, "detection", [[(0, BOX)], [(0, BOX)], []])
    for number, said in enumerate([[(0, NEAR)], [(1, NEAR), (0, FAR)], []]):
        assert blindly(site.http, at, number, said).is_success
    measured = look(site, f"/views/{at.view}/agreement")
    boxes = measured["agreement"]["boxes"]
    assert (boxes["matched"], boxes["first_only"], boxes["second_only"]) == (2, 0, 1)
    assert boxes["f1"] == pytest.approx(0.8)

    def run(*arguments: str) -> str:
        done = CliRunner(env=site.environment).invoke(
            main, ["views", "agreement", at.view, *arguments]
        )
        assert done.exit_code == 0, done.output
        return done.output

    assert "administrator, grace" in run()
    assert "3 images annotated twice, 2 the same way" in run()
    assert json.loads(run("--json"))["agreement"] == measured["agreement"]
    (differing,) = json.loads(run("--differing", "--json"))
    assert differing["image_id"] == at.images[1]
    assert "dog, cat" in run("--differing") or "cat, dog" in run("--differing")


def test_the_annotator_shows_no_annotation_and_the_page_the_differences(
    site: Scene, grace: httpx.Client, page: Page
) -> None:
    at = desk(site, grace, "classification", [[0], [1], [1]])
    site.visible()
    page.goto(f"/views/{at.view}/agreement")
    expect(page.locator("[data-empty=images]")).to_contain_text("No blind annotations yet")
    page.get_by_label("Share of images").select_option("1.0")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("[data-blind]")).to_be_visible()
    state = page.locator("[data-annotate] [data-state]")
    expect(state).to_have_text("not annotated yet")
    assert page.locator("[data-says][aria-pressed=true]").count() == 0
    expect(page.locator("[data-do=review]")).to_be_hidden()
    for number, key in enumerate(("1", "1", "2")):
        expect(page.locator("[data-annotate]")).to_have_attribute("data-state", "saved")
        expect(page.locator("[data-name]")).to_have_text(name_of(site, at, number))
        expect(state).to_have_text("not annotated yet")
        page.keyboard.press(key)
    expect(state).to_contain_text("no other image is unannotated")
    expect(page.locator("[data-annotate]")).to_have_attribute("data-state", "saved")
    page.keyboard.press("Control+z")  # the last key was wrong
    page.keyboard.press("2")
    expect(state).to_have_text("saved: no other image is unannotated")

    page.goto(f"/views/{at.view}/agreement?at_least={site.store.head()}")
    expect(page.locator("[data-count=images]")).to_have_text("3")
    expect(page.locator("[data-count=kappa]")).to_have_text("0.400")
    (row,) = page.locator("tr[data-image]").all()
    expect(row).to_contain_text("dog grace")
    expect(row).to_contain_text("cat administrator")
    row.get_by_role("link").click()
    expect(page.locator("[data-says][aria-pressed=true]")).to_contain_text("dog")
    page.get_by_role("link", name="Back").click()
    page.wait_for_url("**/agreement?**")
    actors = {
        each.metadata.actor
        for each in site.store.read(0, limit=10_000)
        if each.entity_id in at.images and each.event.event_name == "image.annotated_blindly"
    }
    assert actors == {"administrator"}


def name_of(site: Scene, at: Desk, number: int) -> str:
    return str(look(site, f"/images/{at.images[number]}")["image"]["file_name"])
