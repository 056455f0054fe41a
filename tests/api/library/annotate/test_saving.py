"""Each save is seen, nobody is replaced unseen, and nothing is lost."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.api.library.annotate.desk import Desk, begin, drag, expect_count, expect_state, near
from tests.api.scene import KEY, Scene


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
