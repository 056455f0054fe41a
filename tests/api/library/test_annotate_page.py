"""Annotating in a real browser: each save is seen, and nobody is replaced unseen."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from api.dataset import projects_page
from tests.adapters.images.odd import HEIGHT, ODD, WIDTH
from tests.api.dataset.test_images import upload
from tests.api.pages.tabs import opened_tab
from tests.api.pages.test_pages import CHECKS, SCHEMES, show
from tests.api.scene import KEY, Scene
from tests.waiting import HANG_MS

EXPECTED = re.compile(r"Failed to load resource: (net::ERR_FAILED|.* status of 4(01|03|04|12|22))")


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


def begin(page: Page, site: Scene, path: str) -> None:
    """Open the annotator; its first image is shown, so that keys are about it."""
    show(page, site, path)
    annotator = page.locator("[data-annotate]")
    expect(annotator).to_have_attribute("data-state", re.compile("saved|changed"))
    expect(annotator.locator("[data-state]")).not_to_contain_text("loading")


def expect_ready(page: Page, text: str) -> None:
    """The script runs and shows an image: keys are about it."""
    expect(page.locator("[data-annotate]")).to_have_attribute("data-state", "saved")
    expect_state(page, text)


def expect_count(page: Page, name: str, train: int) -> None:
    expect(page.locator(f'[data-count-of="{name}"] td').first).to_have_text(str(train))


def test_classification_is_one_key_an_image(site: Scene, page: Page) -> None:
    desk = Desk(site, "classification")
    begin(page, site, desk.path)
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
    begin(page, site, desk.path)
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


def place_of(page: Page, x: float, y: float) -> tuple[float, float]:
    """A place of the picture, in shares of it, as one of the page."""
    frame = page.locator("[data-frame] svg").bounding_box()
    assert frame is not None
    return frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]


def drag(page: Page, *places: tuple[float, float]) -> None:
    """Drag from one place of the picture to another, in shares of it."""
    for index, (x, y) in enumerate(places):
        page.mouse.move(*place_of(page, x, y), steps=4)
        if index == 0:
            page.mouse.down()
    page.mouse.up()


def near(box: dict[str, float], *sides: float) -> bool:
    return all(abs(a - b) < 0.01 for a, b in zip(box.values(), sides, strict=True))


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


@pytest.mark.parametrize("choice", ["Use theirs", "Keep mine and save again"])
def test_the_second_of_two_annotators_decides_what_becomes_of_it(
    site: Scene, page: Page, choice: str
) -> None:
    desk = Desk(site, "tagging")
    first = desk.images[0]
    begin(page, site, desk.path)
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
    expect_state(page, "not saved: edited by someone else")
    page.keyboard.press("Control+s")
    dialog.get_by_role("button", name=choice).click()
    kept = "dog" if choice == "Use theirs" else "cat"
    expect(page.get_by_role("button", name=kept)).to_have_attribute("aria-pressed", "true")
    expect_state(page, "saved")
    assert desk.concepts(first) == [desk.dog if kept == "dog" else desk.cat]


def test_a_change_of_something_else_is_no_conflict(site: Scene, page: Page) -> None:
    desk = Desk(site, "tagging")
    begin(page, site, desk.path)
    page.keyboard.press("1")
    moved = site.http.put(f"/api/v1/images/{desk.images[0]}/split", json={"split": "validation"})
    assert moved.is_success
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("1.png")
    expect_count(page, "cat", 0)
    expect(page.locator('[data-count-of="cat"] td').last).to_have_text("1")
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
    assert place_of(page, 0.25, 0.25) == pytest.approx(place, abs=2)
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


def test_the_previous_image_is_copied_where_the_page_began_later(site: Scene, page: Page) -> None:
    desk = Desk(site, "classification")
    desk.say(desk.images[0], {"concept_id": desk.dog})
    begin(page, site, desk.path)
    expect(page.get_by_role("heading", level=1)).to_have_text("1.png")
    expect_ready(page, "not annotated yet")
    page.keyboard.press(";")
    expect(page.get_by_role("heading", level=1)).to_have_text("2.png")
    expect_count(page, "dog", 2)
    assert desk.concepts(desk.images[1]) == [desk.dog]


def test_concepts_beyond_the_keys_are_found_by_searching(site: Scene, page: Page) -> None:
    desk = Desk(site, "classification")
    name = "a part of the undercarriage that has been repaired before " * 2
    more = site.concepts(desk.view, name, *(f"part {number}" for number in range(40)))
    begin(page, site, desk.path)
    expect_ready(page, "not annotated yet")
    # A long name leaves room for every key.
    keys = page.locator("[data-says] kbd")
    expect(keys).to_have_count(36)
    assert keys.evaluate_all(INSIDE)
    page.keyboard.press("/")
    search = page.get_by_role("searchbox")
    expect(search).to_be_focused()
    page.keyboard.type("PART 39")
    expect(page.locator("[data-says]:visible")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("1.png")
    expect(page.locator("[data-says]:visible")).to_have_count(43)
    expect(search).not_to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type("none such")
    expect(page.locator("[data-none-found]")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    expect_count(page, "annotated", 2)
    assert [desk.concepts(one) for one in desk.images[:2]] == [[more[-1]], [desk.dog]]
    assert page.evaluate(CHECKS) == []


def test_an_unanswered_save_is_said_and_not_lost(site: Scene, page: Page) -> None:
    desk = Desk(site, "tagging")
    begin(page, site, desk.path)
    page.route("**/annotations/**", lambda route: route.abort(), times=1)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("1.png")
    expect(page.locator("#problem")).to_contain_text("0.png is not saved: The server does not")
    page.get_by_role("button", name="Back to 0.png").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("0.png")
    expect(page.locator("#problem")).to_be_hidden()
    expect_count(page, "annotated", 1)
    assert desk.concepts(desk.images[0]) == [desk.cat]


INSIDE = """keys => keys.every((key) => {
  const right = (element) => element.getBoundingClientRect().right;
  return right(key) <= right(key.parentElement);
})"""

RECORDER = """
window.presses = []; window.swaps = []; window.beeps = 0;
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function () { window.beeps += 1; return start.call(this); };
const visible = () => {
  const picture = document.querySelector("[data-picture]");
  if (!picture?.complete || getComputedStyle(picture).visibility !== "visible") return null;
  return picture.src.split("/").at(-2);
};
const note = () => {
  const image = visible();
  if (window.swaps.at(-1)?.image !== image) window.swaps.push({ at: performance.now(), image });
};
addEventListener("DOMContentLoaded", () => {
  const seen = { subtree: true, childList: true, attributes: true };
  new MutationObserver(note).observe(document.querySelector("[data-frame]"), seen);
  addEventListener("load", note);
});
addEventListener("keydown", ({ key, timeStamp }) => {
  const before = window.swaps.filter(({ at }) => at <= timeStamp);
  window.presses.push({ key, image: before.at(-1)?.image ?? null });
}, true);
"""
"""Notes which picture can be seen at each press of a key, and counts the tones."""


def latency(page: Page, milliseconds: int) -> None:
    """Let each call of the page take so much longer."""
    conditions = {"latency": milliseconds, "downloadThroughput": -1, "uploadThroughput": -1}
    session = page.context.new_cdp_session(page)
    session.send("Network.emulateNetworkConditions", {"offline": False, **conditions})


@pytest.mark.parametrize(
    ("images", "each", "added"),
    [(10, 60, 0), (10, 250, 0), (10, 60, 150), (10, 250, 150), (60, 80, 150)],
)
def test_a_key_labels_the_image_that_was_shown_when_it_was_pressed(
    site: Scene, page: Page, images: int, each: int, added: int
) -> None:
    desk = Desk(site, "classification", images=images)
    page.add_init_script(RECORDER)
    begin(page, site, desk.path)
    latency(page, added)
    pressed = images + 6
    page.keyboard.type("12" * (pressed // 2), delay=each)
    expect_count(page, "not annotated", images - len({*labelled(page)}))
    expected = labelled(page)
    refused = pressed - len(expected)
    assert page.evaluate("window.presses.length") == pressed
    assert page.evaluate("window.beeps") == refused
    concepts = {"1": desk.cat, "2": desk.dog}
    said = {image: desk.concepts(image) for image in desk.images}
    assert said == {
        image: [concepts[expected[image]]] if image in expected else [] for image in desk.images
    }
    assert len(expected) > 3


def labelled(page: Page) -> dict[str, str]:
    """The first key that was pressed at each image that was seen."""
    keys: dict[str, str] = {}
    for press in page.evaluate("window.presses"):
        if press["image"] is not None:
            keys.setdefault(press["image"], press["key"])
    return keys


def test_keys_that_meet_no_image_are_refused_audibly(site: Scene, page: Page) -> None:
    desk = Desk(site, "classification")
    page.add_init_script(RECORDER)
    begin(page, site, desk.path)
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        if released:
            route.continue_()
        else:
            waiting.append(route)

    released = False
    page.route("**/picture", hold)
    page.goto(f"{desk.path}?image={desk.images[1]}", wait_until="commit")
    expect_state(page, "the image is loading…")
    page.keyboard.press("1")
    expect_state(page, "a key was ignored: no image was shown")
    assert page.evaluate("window.beeps") == 1
    released = True
    for route in waiting:
        route.continue_()
    expect_state(page, "not annotated yet")
    page.keyboard.press("2")
    expect(page.get_by_role("heading", level=1)).to_have_text("2.png")
    page.keyboard.press("1")
    expect(page.get_by_role("heading", level=1)).to_have_text("0.png")
    page.keyboard.press("1")
    expect_state(page, "saved: no other image is unannotated")
    page.keyboard.press("2")
    refused = "this image has a concept; go to another image, or click a concept to change it"
    expect_state(page, f"saved: {refused}")
    assert page.evaluate("window.beeps") == 2
    assert [desk.concepts(one) for one in desk.images] == [[desk.cat], [desk.dog], [desk.cat]]


def test_undo_and_redo_go_from_image_to_image(site: Scene, page: Page) -> None:
    desk = Desk(site, "classification")
    begin(page, site, desk.path)
    heading = page.get_by_role("heading", level=1)
    for key, name in (("1", "1.png"), ("2", "2.png")):
        page.keyboard.press(key)
        expect(heading).to_have_text(name)
    for name in ("1.png", "0.png"):
        page.keyboard.press("Control+z")
        expect(heading).to_have_text(name)
        expect_state(page, "not annotated yet")
    expect_count(page, "not annotated", 3)
    assert [desk.concepts(one) for one in desk.images] == [[], [], []]
    for name in ("0.png", "1.png"):
        page.keyboard.press("Control+y")
        expect(heading).to_have_text(name)
        expect_state(page, "saved")
    expect_count(page, "not annotated", 1)
    assert [desk.concepts(one) for one in desk.images] == [[desk.cat], [desk.dog], []]
    page.keyboard.press("Control+z")
    page.keyboard.press("1")
    expect(heading).to_have_text("2.png")
    expect_count(page, "cat", 2)
    assert desk.concepts(desk.images[1]) == [desk.cat]


def test_a_session_that_ends_loses_nothing(site: Scene, page: Page) -> None:
    desk = Desk(site, "detection")
    begin(page, site, desk.path)
    page.keyboard.press("1")
    drag(page, (0.1, 0.1), (0.4, 0.4))
    page.context.clear_cookies()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Sign in again")
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog).to_contain_text("You are not signed in yet.")
    dialog.get_by_label("API key").fill("stemma_wrong")
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog).to_contain_text("key")
    dialog.get_by_label("API key").fill(KEY)
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog).to_be_hidden()
    expect_count(page, "annotated", 1)
    [box] = desk.said(desk.images[0])["annotations"]
    assert near(box["box"], 0.1, 0.1, 0.3, 0.3), box
    # Another session of the same browser: the page's token follows.
    cookie: Any = site.session(KEY)
    page.context.add_cookies([cookie])
    page.keyboard.press("+")
    page.keyboard.press("Control+s")
    expect_state(page, "saved")
    assert page.evaluate("window.theSame === true")


def test_an_image_removed_meanwhile_is_named_and_stops_nothing(site: Scene, page: Page) -> None:
    desk = Desk(site, "tagging")
    begin(page, site, desk.path)
    removed = site.http.delete(f"/api/v1/images/{desk.images[0]}")
    assert removed.is_success
    page.keyboard.press("1")
    page.get_by_role("button", name="Next", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("1.png")
    expect(page.locator("#problem")).to_have_text(
        "0.png was removed: its annotations are not kept."
    )


def test_a_concept_removed_meanwhile_is_named_by_its_label(site: Scene, page: Page) -> None:
    desk = Desk(site, "tagging")
    begin(page, site, desk.path)
    removed = site.http.delete(f"/api/v1/views/{desk.view}/concepts/{desk.dog}")
    assert removed.is_success
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_contain_text("the concept 'dog' was removed")
    expect(page.get_by_role("heading", level=1)).to_have_text("1.png")


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


def test_annotations_are_reviewed_by_a_key(site: Scene, page: Page) -> None:
    desk = Desk(site, "tagging")
    for image in desk.images[:2]:
        desk.say(image, {"concept_id": desk.cat})
    at = site.store.head()
    page.goto(f"{desk.path}?reviewed=no&at_least={at}")
    expect(page.get_by_role("heading", level=1)).to_have_text("0.png")
    expect_ready(page, "saved")
    page.keyboard.press(".")
    expect(page.get_by_role("heading", level=1)).to_have_text("1.png")
    expect_count(page, "reviewed", 1)
    # A change is saved before it is reviewed; the list then has no other image.
    page.keyboard.press("2")
    page.keyboard.press(".")
    expect_state(page, "saved: there is no next image")
    reviewed = page.get_by_role("button", name="Reviewed")
    expect(reviewed).to_have_attribute("aria-pressed", "true")
    expect_count(page, "reviewed", 2)
    assert {desk.said(one)["reviewed_by"] for one in desk.images[:2]} == {"administrator"}
    assert set(desk.concepts(desk.images[1])) == {desk.cat, desk.dog}
    # A change ends the review, and a review is taken back.
    page.keyboard.press("2")
    expect(reviewed).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("Control+s")
    expect_count(page, "reviewed", 1)
    page.goto(f"{desk.path}?reviewed=yes&at_least={site.store.head()}")
    expect(page.get_by_text("reviewed by administrator")).to_be_visible()
    expect_ready(page, "saved")
    page.keyboard.press(".")
    expect_count(page, "reviewed", 0)
    page.goto(f"{desk.path}?image={desk.images[2]}")
    expect_ready(page, "not annotated yet")
    page.keyboard.press(".")
    expect_state(page, "not annotated yet: annotate the image before you review it")
    assert page.evaluate(CHECKS) == []


def test_a_concept_of_one_letter_has_it_as_key(site: Scene, page: Page) -> None:
    desk = Desk(site, "classification")
    site.concepts(desk.view, "4", "1", "B", "b", "b c")
    begin(page, site, desk.path)
    buttons = page.locator("[data-says]")
    keys = {
        button.locator(".thumb-label").inner_text(): button.get_attribute("data-key")
        for button in buttons.all()
    }
    assert keys == {"cat": "2", "dog": "3", "4": "4", "1": "1", "B": "b", "b": "5", "b c": "6"}
