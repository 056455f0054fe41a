"""Boxes in a real browser: drawn, moved, zoomed into, copied; and the pixels below them."""

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.adapters.images.odd import HEIGHT, ODD, WIDTH
from tests.api.dataset.test_images import upload
from tests.api.library.annotate.desk import (
    Desk,
    begin,
    drag,
    expect_count,
    expect_ready,
    near,
    place_of,
)
from tests.api.pages.test_pages import CHECKS, SCHEMES
from tests.api.scene import Scene


def test_boxes_are_drawn_moved_resized_and_deleted(site: Scene, page: Page) -> None:
    desk = Desk(site, "detection")
    begin(page, site, desk.path)
    page.wait_for_function("() => document.querySelector('[data-picture]').complete")
    page.keyboard.press("2")
    drag(page, (0.1, 0.1), (0.4, 0.5))
    drag(page, (0.6, 0.6), (0.9, 0.9))
    expect(page.locator("[data-boxes] li")).to_have_text(["dog", "dog"])
    page.mouse.click(*place_of(page, 0.75, 0.75))
    page.keyboard.press("Escape")
    page.mouse.click(*place_of(page, 0.75, 0.75))
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
    begin(page, site, desk.path)
    for key in ("+", "ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowDown", "Control+ArrowLeft"):
        page.keyboard.press(key)
    for key in ("+", "2", "[", "Delete", "Control+z", "Escape", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_role("heading", level=1)).to_have_text("1.png")
    expect_count(page, "annotated", 1)
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


def test_a_key_names_the_next_box_and_not_the_last(site: Scene, page: Page) -> None:
    desk = Desk(site, "detection")
    begin(page, site, desk.path)
    page.keyboard.press("1")
    drag(page, (0.1, 0.1), (0.4, 0.4))
    page.keyboard.press("2")
    drag(page, (0.6, 0.6), (0.9, 0.9))
    expect(page.locator("[data-boxes] li")).to_have_text(["cat", "dog"])
    # Moving the last box is no choice of a concept for the next one either.
    page.keyboard.press("1")
    drag(page, (0.75, 0.75), (0.65, 0.75))
    drag(page, (0.1, 0.6), (0.3, 0.9))
    expect(page.locator("[data-boxes] li")).to_have_text(["cat", "dog", "cat"])
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    expect(page.locator("[data-boxes] li")).to_have_text(["cat"])
    page.keyboard.press("Control+y")
    page.keyboard.press("Control+Shift+Z")
    page.keyboard.press("Control+y")
    expect(page.locator("[data-boxes] li")).to_have_text(["cat", "dog", "cat"])
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")


def frame_width(page: Page) -> float:
    box = page.locator("[data-frame]").bounding_box()
    assert box is not None
    return box["width"]


def test_boxes_are_drawn_where_the_picture_is_zoomed_in(site: Scene, page: Page) -> None:
    desk = Desk(site, "detection")
    begin(page, site, desk.path)
    expect_ready(page, "not annotated yet")
    fitted = frame_width(page)
    # The place under the pointer stays under it.
    place = place_of(page, 0.25, 0.25)
    page.mouse.move(*place)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -600)
    page.keyboard.up("Control")
    expect(page.locator("[data-zoom]")).to_have_text("448%")
    assert frame_width(page) == pytest.approx(4.48 * fitted, rel=0.01)
    # A wheel event has whole pixels: less than one is lost, and magnified by 4.48 - 1.
    assert place_of(page, 0.25, 0.25) == pytest.approx(place, abs=4)
    drag(page, (0.3, 0.3), (0.4, 0.45))
    expect(page.locator("[data-boxes] li")).to_have_text(["cat"])
    # A drag with the space bar pans, and draws nothing.
    page.keyboard.down("Space")
    drag(page, (0.4, 0.4), (0.3, 0.3))
    page.keyboard.up("Space")
    assert place_of(page, 0.25, 0.25)[0] < place[0] - 50
    # Within a selected box a drag moves it, with Shift it draws another one.
    page.locator("[data-boxes] button").first.click()
    page.keyboard.press("*")
    assert frame_width(page) == pytest.approx(fitted)
    page.keyboard.down("Shift")
    drag(page, (0.32, 0.33), (0.38, 0.4))
    page.keyboard.up("Shift")
    expect(page.locator("[data-boxes] li")).to_have_text(["cat", "cat"])
    page.keyboard.press(">")
    expect(page.locator("[data-zoom]")).to_have_text("125%")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("1.png")
    expect(page.locator("[data-zoom]")).to_have_text("Fit")
    expect_count(page, "annotated", 1)
    outer, inner = sorted(
        (one["box"] for one in desk.said(desk.images[0])["annotations"]), key=lambda box: box["x"]
    )
    assert near(outer, 0.3, 0.3, 0.1, 0.15), outer
    assert near(inner, 0.32, 0.33, 0.06, 0.07), inner


def test_boxes_are_hidden_filtered_and_copied_from_the_previous_image(
    site: Scene, page: Page
) -> None:
    desk = Desk(site, "detection")
    begin(page, site, desk.path)
    page.keyboard.press("1")
    drag(page, (0.1, 0.1), (0.4, 0.4))
    page.keyboard.press("2")
    drag(page, (0.6, 0.6), (0.9, 0.9))
    page.keyboard.press("Escape")
    lines = page.locator("[data-frame] svg .line")
    names = page.locator(".box-names span")
    expect(lines).to_have_count(2)
    page.keyboard.press(",")
    expect(lines.first).to_be_hidden()
    expect(names.first).to_be_hidden()
    page.keyboard.press(",")
    expect(lines.first).to_be_visible()
    page.keyboard.press("'")
    expect(names).to_have_text(["2 dog"])
    page.keyboard.press("1")
    expect(names).to_have_text(["1 cat"])
    page.keyboard.press("'")
    expect(lines).to_have_count(2)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("1.png")
    page.keyboard.press(";")
    expect(page.locator("[data-boxes] li")).to_have_text(["cat", "dog"])
    # Once more copies nothing twice.
    page.keyboard.press(";")
    expect(page.locator("[data-boxes] li")).to_have_text(["cat", "dog"])
    page.keyboard.press("Control+z")
    expect(page.locator("[data-boxes] li")).to_have_count(0)
    page.keyboard.press("Control+y")
    page.keyboard.press("Enter")
    expect_count(page, "annotated", 2)
    first, second = (desk.said(one)["annotations"] for one in desk.images[:2])
    assert len(second) == 2
    assert sorted(map(str, first)) == sorted(map(str, second))


def test_annotating_can_be_read_and_steered_in_both_schemes(site: Scene, page: Page) -> None:
    desk = Desk(site, "detection")
    begin(page, site, desk.path)
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
