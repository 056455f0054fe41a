"""Annotating in a real browser: each save is seen, and nobody is replaced unseen."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from api.dataset import projects_page
from tests.adapters.images.odd import HEIGHT, ODD, WIDTH
from tests.api.dataset.test_images import upload
from tests.api.pages.tabs import opened_tab
from tests.api.pages.test_pages import CHECKS, SCHEMES, show
from tests.api.scene import Scene
from tests.waiting import HANG_MS

EXPECTED = re.compile(r"Failed to load resource: (net::ERR_FAILED|.* status of 412)")


@pytest.fixture(scope="module")
def profile(site: Scene, chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(**site.browsing, viewport={"width": 1300, "height": 900})
    context.set_default_timeout(HANG_MS)
    yield context
    context.close()


@pytest.fixture
def page(profile: BrowserContext) -> Iterator[Page]:
    """A tab that must have nothing to complain about, conflicts and lost connections aside."""
    with opened_tab(profile, EXPECTED) as tab:
        yield tab


class Desk:
    """A view of three images, and what is said of them by way of the API."""

    def __init__(self, site: Scene, kind: str, images: int = 3) -> None:
        self.site, self.project = site, site.project(kind)
        body = {"name": f"A {kind}", "kind": kind}
        self.view = str(site.post(f"/projects/{self.project}/views", body)["id"])
        self.cat, self.dog = site.concepts(self.view, "cat", "dog")
        self.images = site.images(self.project, images)
        self.path = f"/views/{self.view}/annotate"

    def said(self, image: str) -> dict[str, Any]:
        query = f"view_id={self.view}&at_least={self.site.store.head()}"
        found: dict[str, Any] = self.site.http.get(f"/api/v1/images/{image}?{query}").json()[
            "image"
        ]
        return found

    def concepts(self, image: str) -> list[str]:
        return [one["concept_id"] for one in self.said(image)["annotations"]]

    def say(self, image: str, *annotations: object, actor: str = "ada") -> None:
        url = f"/api/v1/images/{image}/annotations/{self.view}"
        body = {"annotations": list(annotations)}
        answer = self.site.person(actor).put(url, json=body)
        assert answer.is_success, answer.text


def shown_image(page: Page) -> str | None:
    return next(iter(parse_qs(urlsplit(page.url).query).get("image", [])), None)


def expect_state(page: Page, text: str) -> None:
    expect(page.locator("[data-annotate] [data-state]")).to_have_text(text)


def expect_count(page: Page, name: str, train: int) -> None:
    expect(page.locator(f'[data-count-of="{name}"] td').first).to_have_text(str(train))


def test_classification_is_one_key_an_image(site: Scene, page: Page) -> None:
    desk = Desk(site, "classification")
    show(page, site, desk.path)
    expect(page.get_by_role("heading", level=1)).to_have_text("0.png")
    expect_count(page, "not annotated", 3)
    page.keyboard.press("2")
    expect(page.get_by_role("heading", level=1)).to_have_text("1.png")
    expect_count(page, "dog", 1)
    page.get_by_role("button", name="cat").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("2.png")
    page.keyboard.press("1")
    expect_state(page, "saved: no other image is unannotated")
    expect_count(page, "annotated", 3)
    expect_count(page, "cat", 2)
    assert [desk.concepts(one) for one in desk.images] == [[desk.dog], [desk.cat], [desk.cat]]
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("button", name="cat")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("heading", level=1)).to_have_text("1.png")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("2.png")
    assert page.evaluate("window.theSame === true")


def test_tags_are_toggled_and_saved_together(site: Scene, page: Page) -> None:
    desk = Desk(site, "tagging")
    show(page, site, desk.path)
    for key in ("1", "2"):
        page.keyboard.press(key)
    expect_state(page, "not saved yet")
    page.keyboard.press("Control+z")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("1.png")
    expect_count(page, "annotated", 1)
    page.keyboard.press("1")
    page.keyboard.press("-")
    expect(page.get_by_role("button", name="cat")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("Control+s")
    expect_count(page, "without concept", 1)
    assert set(desk.concepts(desk.images[0])) == {desk.cat, desk.dog}
    assert desk.said(desk.images[1])["without_concept"] is True
    # Switched off, keys do nothing.
    page.get_by_label("Keyboard shortcuts").uncheck()
    page.keyboard.press("1")
    expect_state(page, "saved")
    page.get_by_label("Keyboard shortcuts").check()


def drag(page: Page, *places: tuple[float, float]) -> None:
    """Drag from one place of the picture to another, in shares of it."""
    frame = page.locator("[data-frame] svg").bounding_box()
    assert frame is not None
    for index, (x, y) in enumerate(places):
        page.mouse.move(frame["x"] + x * frame["width"], frame["y"] + y * frame["height"], steps=4)
        if index == 0:
            page.mouse.down()
    page.mouse.up()


def near(box: dict[str, float], *sides: float) -> bool:
    return all(abs(a - b) < 0.01 for a, b in zip(box.values(), sides, strict=True))


def test_boxes_are_drawn_moved_resized_and_deleted(site: Scene, page: Page) -> None:
    desk = Desk(site, "detection")
    show(page, site, desk.path)
    page.wait_for_function("() => document.querySelector('[data-picture]').complete")
    page.keyboard.press("2")
    drag(page, (0.1, 0.1), (0.4, 0.5))
    drag(page, (0.6, 0.6), (0.9, 0.9))
    expect(page.locator("[data-boxes] li")).to_have_text(["dog", "dog"])
    page.keyboard.press("1")
    expect(page.locator("[data-boxes] li")).to_have_text(["dog", "cat"])
    drag(page, (0.75, 0.75), (0.65, 0.75))
    page.keyboard.press("Control+s")
    expect_count(page, "cat", 1)
    boxes = {one["concept_id"]: one["box"] for one in desk.said(desk.images[0])["annotations"]}
    assert near(boxes[desk.dog], 0.1, 0.1, 0.3, 0.4), boxes
    assert near(boxes[desk.cat], 0.5, 0.6, 0.3, 0.3), boxes
    drag(page, (0.8, 0.9), (0.9, 0.7))
    page.locator("[data-boxes] button").first.click()
    page.keyboard.press("Delete")
    expect(page.locator("[data-boxes] li")).to_have_text(["cat"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("1.png")
    expect_count(page, "dog", 0)
    [left] = desk.said(desk.images[0])["annotations"]
    assert near(left["box"], 0.5, 0.6, 0.4, 0.1), left


def test_boxes_need_no_mouse(site: Scene, page: Page) -> None:
    desk = Desk(site, "detection")
    show(page, site, desk.path)
    for key in ("+", "ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowDown", "Control+ArrowLeft"):
        page.keyboard.press(key)
    for key in ("+", "2", "[", "Delete", "Control+z", "Escape", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_role("heading", level=1)).to_have_text("1.png")
    found = desk.said(desk.images[0])["annotations"]
    boxes = {one["concept_id"]: one["box"] for one in found}
    assert list(boxes[desk.cat].values()) == pytest.approx([0.419, 0.39, 0.2, 0.21])
    assert list(boxes[desk.dog].values()) == pytest.approx([0.4, 0.4, 0.2, 0.2])
    page.keyboard.press("Shift+ArrowLeft")
    expect(page.get_by_role("heading", level=1)).to_have_text("2.png")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.says") == desk.dog:
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="dog")).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize("choice", ["Take theirs", "Keep mine and save again"])
def test_the_second_of_two_annotators_decides_what_becomes_of_it(
    site: Scene, page: Page, choice: str
) -> None:
    desk = Desk(site, "tagging")
    first = desk.images[0]
    show(page, site, desk.path)
    page.keyboard.press("1")
    desk.say(first, {"concept_id": desk.dog})
    page.keyboard.press("Control+s")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("ada changed this image")
    expect(dialog.locator("[data-theirs]")).to_have_text("dog")
    expect(dialog.locator("[data-mine]")).to_have_text("cat")
    assert desk.concepts(first) == [desk.dog]
    # The page saves again once it has been told that its dialog is closed: no sooner may the test.
    dialog.evaluate(
        "one => { window.dialogClosed = new Promise(done => one.addEventListener('close', done)) }"
    )
    page.keyboard.press("Escape")
    page.evaluate("window.dialogClosed")
    expect_state(page, "not saved: someone was first")
    page.keyboard.press("Control+s")
    dialog.get_by_role("button", name=choice).click()
    kept = "dog" if choice == "Take theirs" else "cat"
    expect(page.get_by_role("button", name=kept)).to_have_attribute("aria-pressed", "true")
    expect_state(page, "saved")
    assert desk.concepts(first) == [desk.dog if kept == "dog" else desk.cat]


def test_a_change_of_something_else_is_no_conflict(site: Scene, page: Page) -> None:
    desk = Desk(site, "tagging")
    show(page, site, desk.path)
    page.keyboard.press("1")
    moved = site.http.put(f"/api/v1/images/{desk.images[0]}/split", json={"split": "validation"})
    assert moved.is_success
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("1.png")
    assert desk.concepts(desk.images[0]) == [desk.cat]


def test_looking_at_a_removed_concept_changes_nothing(site: Scene, page: Page) -> None:
    desk = Desk(site, "tagging")
    desk.say(desk.images[0], {"concept_id": desk.dog})
    removed = site.http.delete(f"/api/v1/views/{desk.view}/concepts/{desk.dog}")
    assert removed.is_success
    page.goto(f"{desk.path}?image={desk.images[0]}&at_least={site.store.head()}")
    expect(page.locator("[data-removed]")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", level=1)).to_have_text("1.png")
    assert desk.concepts(desk.images[0]) == [desk.dog]


def test_an_unanswered_save_is_said_and_not_lost(site: Scene, page: Page) -> None:
    desk = Desk(site, "tagging")
    show(page, site, desk.path)
    page.route("**/annotations/**", lambda route: route.abort(), times=1)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect_state(page, "not saved")
    expect(page.locator("#problem")).to_contain_text("does not answer")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("1.png")
    assert desk.concepts(desk.images[0]) == [desk.cat]


def test_the_grid_is_filtered_paged_and_counted(
    site: Scene, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projects_page, "IMAGES_A_PAGE", 4)
    desk = Desk(site, "detection", images=10)
    box = {"x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2}
    for image in desk.images[:3]:
        boxes = [{"concept_id": desk.cat, "box": box | {"x": x}} for x in (0.1, 0.5)]
        desk.say(image, *boxes)
    show(page, site, f"/projects/{desk.project}")
    names = page.locator("[data-image] img")
    expect(names).to_have_count(4)
    page.wait_for_function("() => document.querySelector('[data-image] img').naturalWidth > 0")
    page.get_by_role("link", name="Next page").click()
    page.get_by_role("link", name="Next page").click()
    expect(names).to_have_count(2)
    expect(names.last).to_have_attribute("alt", "9.png")
    page.get_by_role("link", name="Previous page").click()
    expect(names.first).to_have_attribute("alt", "4.png")
    page.get_by_role("link", name="First page").click()
    expect(names.first).to_have_attribute("alt", "0.png")
    page.get_by_label("Order").select_option("newest")
    expect(names.first).to_have_attribute("alt", "9.png")
    page.get_by_label("View", exact=True).select_option(desk.view)
    expect_count(page, "cat", 3)
    expect_count(page, "not annotated", 7)
    page.locator('[data-count-of="cat"] a').first.click()
    expect(names).to_have_count(3)
    expect(page.locator(".thumb-label").first).to_have_text("cat")
    assert "concept=" in page.url
    page.get_by_label("Concept", exact=True).select_option("")
    page.get_by_label("Annotated", exact=True).select_option("no")
    expect(names.first).to_have_attribute("alt", "9.png")
    page.locator("[data-image] a").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("9.png")
    assert shown_image(page) == desk.images[9]


def test_the_grid_needs_no_script(site: Scene, chromium: Browser) -> None:
    desk = Desk(site, "tagging")
    desk.say(desk.images[1], {"concept_id": desk.dog})
    site.visible()
    context = chromium.new_context(**site.browsing, java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"/projects/{desk.project}?view={desk.view}")
    tab.locator('[data-count-of="dog"] a').first.click()
    expect(tab.locator("[data-image]")).to_have_count(1)
    context.close()


def test_annotating_can_be_read_and_steered_in_both_schemes(site: Scene, page: Page) -> None:
    desk = Desk(site, "detection")
    show(page, site, desk.path)
    page.keyboard.press("+")
    for width in (1300, 400):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(CHECKS) == [], f"{scheme} {width}"
    page.keyboard.press("Control+z")


# What the page shows of the picture, as numbers: red, green, blue and alpha, row by row.
PIXELS = """picture => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  const { width, height, data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return [width, height, Array.from(data)];
}"""


@pytest.mark.parametrize(
    "name",
    [
        *(f"orientation 6, {kind}" for kind in ("JPEG", "PNG", "WEBP", "TIFF")),
        "grey 16 bits, 12 used",
        "RGBA, hidden colours",
        "palette with transparency",
        "CMYK JPEG",
        "ICC profile, PNG",
    ],
)
def test_the_page_shows_the_pixels_that_training_gets(site: Scene, page: Page, name: str) -> None:
    odd = ODD[name]
    desk = Desk(site, "detection", images=1)
    (image,) = upload(site, desk.project, ("a.bin", odd.data)).json()["ids"]
    page.goto(f"{desk.path}?image={image}&at_least={site.store.head()}")
    picture = page.locator("[data-picture]")
    expect(picture).to_have_js_property("complete", True)
    width, height, values = picture.evaluate(PIXELS)
    pixels = np.array(values).reshape(height, width, 4)
    assert np.abs(pixels[..., :3] - odd.pixels).max() <= odd.tolerance
    assert pixels[..., 3].min() == 255
    frame = picture.bounding_box()
    assert frame is not None
    assert frame["width"] / frame["height"] == pytest.approx(WIDTH / HEIGHT, rel=0.02)
