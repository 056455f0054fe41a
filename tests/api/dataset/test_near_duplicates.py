"""Near-duplicates across splits: by calls, in the shell, and on the page, on real images."""

import itertools
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from application.dataset.projects import add_images
from domain.dataset.image import AddImage
from tests.adapters.running import eventually, running
from tests.api.dataset.test_annotating import look
from tests.api.library.test_views import stemma
from tests.api.scene import Scene
from tests.application.scenes import do
from tests.real_images import altered, digits, encoded, photographs

CHECKS = (Path(__file__).parents[1] / "pages_checks.js").read_text()
_numbers = itertools.count(1)


class Photos:
    """A project with six photographs that train, and altered copies of the first two."""

    def __init__(self, site: Scene) -> None:
        self.site = site
        self.name = f"Photos {next(_numbers)}"
        self.project = site.project(self.name)
        first, second = photographs()[:2]
        self.originals = self.upload(*(encoded(photo) for photo in photographs()[:6]))
        self.copies = self.upload(*(data for _, data in altered(first)))
        self.others = self.upload(*(data for _, data in altered(second)))

    def upload(self, *files: bytes) -> list[str]:
        parts = [("files", (f"{n}.img", data, "image/png")) for n, data in enumerate(files)]
        answer = self.site.http.post(f"/api/v1/projects/{self.project}/images", files=parts)
        return list(answer.raise_for_status().json()["ids"])

    def assign(self, image_id: str, split: str) -> None:
        url = f"/api/v1/images/{image_id}/split"
        self.site.http.put(url, json={"split": split}).raise_for_status()

    def compared(self) -> None:
        """Wait until all images are compared."""
        head = self.site.visible()
        eventually(lambda: self.found()["hashed_position"] >= head)

    def found(self, **asked: object) -> Any:
        return look(self.site, f"/projects/{self.project}/near-duplicates", **asked)

    def pairs(self, **asked: object) -> list[tuple[str, str]]:
        self.site.visible()
        items = self.found(**asked)["items"]
        return [(item["train"]["image_id"], item["held_out"]["image_id"]) for item in items]

    def unite(self, image_id: str, **asked: object) -> Any:
        body = {"image_id": image_id, **asked}
        return self.site.post(f"/projects/{self.project}/near-duplicates/assign", body)

    def splits(self, images: list[str]) -> set[str]:
        self.site.visible()
        return {look(self.site, f"/images/{image}")["image"]["split"] for image in images}


@pytest.fixture
def photos(site: Scene) -> Photos:
    photos = Photos(site)
    with running(site.settings, "hashes"):
        photos.compared()
    return photos


def test_copies_across_splits_are_listed_and_moved_together(photos: Photos) -> None:
    assert photos.pairs() == []  # all train
    for copy in photos.copies[:2]:
        photos.assign(copy, "validation")
    photos.assign(photos.others[0], "test")
    train = {photos.originals[0], *photos.copies[2:], photos.originals[1], *photos.others[1:]}
    found = photos.pairs()
    assert len(found) == len(set(found)) == 3 * 2 + 4
    assert {pair[0] for pair in found} == train
    assert {pair[1] for pair in found} == {*photos.copies[:2], photos.others[0]}
    answer = photos.found()
    assert answer["counts"] == {"pairs": 10, "held_out": 3}
    distances = [item["distance"] for item in answer["items"]]
    assert distances == sorted(distances)
    assert max(distances) <= 6
    first = photos.found(limit=4)
    assert photos.pairs(limit=4) + photos.pairs(limit=6, cursor=first["next"]) == found
    assert set(photos.pairs(distance=0)) == {
        (item["train"]["image_id"], item["held_out"]["image_id"])
        for item in answer["items"]
        if item["distance"] == 0
    }

    moved = photos.unite(photos.originals[0])
    assert moved["split"] == "validation"
    assert set(moved["ids"]) == {photos.originals[0], *photos.copies[2:]}
    assert photos.splits([photos.originals[0], *photos.copies]) == {"validation"}
    assert photos.unite(photos.others[1], split="train")["ids"] == [photos.others[0]]
    assert photos.pairs() == []
    assert photos.splits(photos.originals[2:]) == {"train"}


def test_a_move_takes_groups_along_and_what_looks_like_their_images(site: Scene) -> None:
    photos = Photos(site)
    blobs = {
        row["image_id"]: row["blob"]
        for row in look(site, f"/projects/{photos.project}/images")["items"]
    }
    grouped = site.project("Grouped photos")

    def add(images: list[str], metadata: dict[str, str]) -> list[str]:
        more = [AddImage(grouped, blobs[one], 9, 9, "1.png", metadata) for one in images]
        return list(do(site.store, partial(add_images, project_id=grouped, additions=more)).ids)

    original, other = photos.originals[:2]
    ids = add([original, other], {"patient": "ada"})
    copies, others = add(photos.copies[:1], {}), add(photos.others[:1], {"patient": "bob"})
    photos.project = grouped
    site.post(f"/projects/{grouped}/group-key", {"key": "patient"})
    photos.assign(copies[0], "validation")
    with running(site.settings, "hashes"):
        photos.compared()
    assert photos.pairs() == [(ids[0], copies[0])]
    moved = photos.unite(copies[0])
    assert (moved["split"], set(moved["ids"])) == ("validation", {*ids, *others})
    assert photos.pairs() == []


def test_different_digits_are_not_listed(site: Scene) -> None:
    photos = Photos(site)
    project = photos.project = site.project("Handwritten")
    of = {}
    for digit, data in digits()[:60]:
        [image] = photos.upload(data)
        of[image] = digit
    for image in list(of)[::2]:
        photos.assign(image, "validation")
    with running(site.settings, "hashes"):
        photos.compared()
    assert project
    assert all(of[train] == of[held_out] for train, held_out in photos.pairs())


def test_what_is_no_pair_is_refused(photos: Photos, site: Scene) -> None:
    url = f"/api/v1/projects/{photos.project}/near-duplicates"
    assert site.http.get(url, params={"distance": 8}).status_code == 422
    assert site.http.get(url, params={"cursor": "1/2"}).status_code == 422
    foreign = Photos(site).originals[0]
    refused = site.http.post(f"{url}/assign", json={"image_id": foreign})
    assert refused.status_code == 404
    assert refused.json()["errors"][0]["field"] == "image_id"


def test_the_shell_lists_and_moves(photos: Photos, site: Scene) -> None:
    photos.assign(photos.copies[0], "test")
    photos.assign(photos.others[0], "validation")
    site.visible()
    listed = stemma(site, "images", "near-duplicates", photos.name)
    assert photos.copies[0] in listed
    assert "moved" not in listed
    told = stemma(site, "images", "near-duplicates", photos.name, "--move")
    assert "4 images moved to test" in told
    assert "4 images moved to validation" in told
    assert photos.pairs() == []


def test_a_pair_is_moved_on_the_page(photos: Photos, page: Page) -> None:
    photos.assign(photos.copies[0], "validation")
    photos.site.visible()
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(f"/projects/{photos.project}")
    page.get_by_role("link", name="Near-duplicates").click()
    rows = page.locator("[data-pair]")
    expect(rows).to_have_count(4)
    expect(rows.first.locator("img")).to_have_count(2)
    assert page.evaluate(CHECKS) == []
    rows.first.get_by_role("button", name="to validation").click()
    expect(page.locator('[data-empty="pairs"]')).to_be_visible()
    assert photos.splits([photos.originals[0], *photos.copies]) == {"validation"}
