"""Annotating by keys: classification, tags, searches, reviews, and the way back to each image."""

from playwright.sync_api import Page, expect

from tests.api.library.annotate.desk import (
    Desk,
    begin,
    expect_count,
    expect_ready,
    expect_state,
    shown_image,
)
from tests.api.pages.test_pages import CHECKS
from tests.api.scene import Scene

INSIDE = """keys => keys.every((key) => {
  const right = (element) => element.getBoundingClientRect().right;
  return right(key) <= right(key.parentElement);
})"""


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


def test_no_message_moves_the_image(site: Scene, page: Page) -> None:
    desk = Desk(site, "classification")
    page.set_viewport_size({"width": 1360, "height": 900})
    begin(page, site, desk.path)
    place = "stage => stage.getBoundingClientRect().top"
    before = page.eval_on_selector("[data-stage]", place)
    for key, name in (("1", "1.png"), ("1", "2.png")):
        page.keyboard.press(key)
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
    page.keyboard.press("1")
    expect_state(page, "saved: no other image is unannotated")
    assert page.eval_on_selector("[data-stage]", place) == before


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
    expect_state(page, "saved: no next image")
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


def test_the_filmstrip_shows_the_neighbours_and_leads_to_them(site: Scene, page: Page) -> None:
    desk = Desk(site, "classification", images=9)
    page.goto(f"{desk.path}?image={desk.images[5]}&at_least={site.store.head()}")
    expect_ready(page, "not annotated yet")
    films = page.locator("[data-film]")
    expect(films).to_have_count(8)
    current = page.locator("[data-film][aria-current]")
    expect(current).to_have_attribute("title", "5.png")
    page.wait_for_function("() => document.querySelector('[data-film] img').naturalWidth === 8")
    page.keyboard.press("1")
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("6.png")
    expect(current).to_have_attribute("title", "6.png")
    expect(page.locator("[data-film].done")).to_have_attribute("title", "5.png")
    # By keyboard: Tab reaches an image, and Enter shows it, saving nothing else.
    page.locator('[data-film][title="8.png"]').focus()
    page.keyboard.press("Enter")
    expect(heading).to_have_text("8.png")
    expect(films).to_have_count(5)
    page.locator('[data-film][title="4.png"]').click()
    expect(heading).to_have_text("4.png")
    assert shown_image(page) == desk.images[4]
    expect_count(page, "annotated", 1)
    assert [bool(desk.concepts(one)) for one in desk.images[4:]] == [False, True, *[False] * 3]
