"""The flip book's page in a real browser: the map moves, plays, chooses, opens and goes on live."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Position, expect

from application.training.item_retention import discard_items
from domain.training.messages import Completed, ConceptLabel
from tests.api.evaluation.scene import Asked, ask
from tests.api.flip_book.scene import (
    EPOCHS,
    box_columns,
    class_columns,
    recorded,
    report_epoch,
    tag_columns,
)
from tests.api.pages.tabs import opened_tab
from tests.api.pages.test_pages import CHECKS, REFUSED, SCHEMES, is_the_same
from tests.api.scene import DIGEST, Scene
from tests.waiting import HANG_MS

PLACES = """canvas => {
  const {map} = canvas, {width, height, count, drawn} = map;
  return Array.from({length: count}, (_, at) => [
    (drawn[2 * at] - 10) / (width - 20) * 0.5,
    1 - (drawn[2 * at + 1] - 10) / (height - 20),
  ]);
}"""
"""Where the map has drawn each point, as variability and confidence."""

SCRUBBED = """() => new Promise((resolve) => {
  const slider = document.querySelector("[data-slider]");
  const places = [];
  const frame = () => {
    slider.value = places.length % 2 ? 3 : 1;
    slider.dispatchEvent(new Event("input", {bubbles: true}));
    places.push(document.querySelector("[data-canvas]").map.drawn[0]);
    if (places.length < 30) requestAnimationFrame(frame);
    else resolve(places);
  };
  requestAnimationFrame(frame);
})"""
"""Where the first point is in each of 30 frames, in which the slider moves to and fro."""


WATCHED = """() => {
  const button = document.querySelector("[data-play]");
  window.words = [];
  const write = () => window.words.push(button.textContent);
  new MutationObserver(write).observe(button, {childList: true});
}"""
"""Keeps in `words` what the button to play becomes: it may be over before it is looked at."""


@pytest.fixture(scope="module")
def profile(site: Scene, chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(**site.browsing, viewport={"width": 1400, "height": 900})
    context.set_default_timeout(HANG_MS)
    yield context
    context.close()


@pytest.fixture
def page(profile: BrowserContext) -> Iterator[Page]:
    with opened_tab(profile, REFUSED) as tab:
        yield tab


@pytest.fixture(scope="module")
def learnt(site: Scene) -> tuple[Asked, str]:
    """A version of ten images that is training, with three epochs."""
    asked = ask(site, "classification")
    columns = [class_columns(seed) for seed in range(EPOCHS)]
    version_id = recorded(site, asked, "classification", columns)
    site.visible()
    return asked, version_id


def get(site: Scene, version_id: str, path: str) -> Any:
    response = site.http.get(f"/api/v1/versions/{version_id}/flip-book{path}")
    return response.raise_for_status().json()


def shows(page: Page, epoch: int) -> None:
    """Wait until the points rest where an epoch has them."""
    expect(page.locator("[data-canvas]")).to_have_attribute("data-epoch", str(epoch))


def opened(page: Page, version_id: str, query: str = "", epoch: int = EPOCHS) -> None:
    page.goto(f"/versions/{version_id}/flip-book{query}")
    page.evaluate("window.theSame = true")
    page.wait_for_selector("body[data-ready]")
    shows(page, epoch)


def are_where_the_api_says(page: Page, site: Scene, version_id: str, epoch: int) -> None:
    said = get(site, version_id, f"/epochs/{epoch}/points")
    drawn = page.locator("[data-canvas]").evaluate(PLACES)
    expected = zip(said["variability"], said["confidence"], strict=True)
    for place, point in zip(drawn, expected, strict=True):
        assert place == pytest.approx(point, abs=1e-4)


def known(site: Scene, version_id: str) -> list[ConceptLabel]:
    answer = site.http.get(f"/api/v1/versions/{version_id}").raise_for_status().json()
    return msgspec.convert(answer["version"]["concepts"], list[ConceptLabel])


def test_points_move_play_and_go_on_live(
    site: Scene, learnt: tuple[Asked, str], page: Page
) -> None:
    asked, version_id = learnt
    page.goto(f"/versions/{version_id}")
    page.get_by_role("link", name="Flip Book").click()
    shows(page, 3)
    page.evaluate("window.theSame = true")
    are_where_the_api_says(page, site, version_id, 3)
    page.get_by_label("Epoch", exact=True).fill("1")
    shows(page, 1)
    are_where_the_api_says(page, site, version_id, 1)
    page.get_by_label("Speed").select_option("8")
    page.evaluate(WATCHED)
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("() => window.words.length === 2")
    assert page.evaluate("window.words") == ["Pause", "Play"]
    shows(page, 3)
    expect(page.locator("[data-live]")).to_have_text("Live")
    page.locator("[data-shots] a").first.click()
    expect(page.locator("[data-drawn] circle")).to_have_count(3)
    columns = class_columns(EPOCHS)
    report_epoch(
        site, version_id, "classification", known(site, version_id), 4, asked.images, columns
    )
    shows(page, 4)
    are_where_the_api_says(page, site, version_id, 4)
    expect(page.locator("[data-epoch-text]")).to_have_text("4 of 4")
    expect(page.locator("[data-drawn] circle")).to_have_count(4)
    assert is_the_same(page)


def test_points_follow_a_slider_that_moves_in_each_frame(
    learnt: tuple[Asked, str], page: Page
) -> None:
    opened(page, learnt[1], "?epoch=3", 3)
    page.get_by_label("Epoch", exact=True).fill("1")
    shows(page, 1)
    page.get_by_label("Epoch", exact=True).fill("3")
    shows(page, 3)
    places = page.evaluate(SCRUBBED)
    assert len(set(places)) > len(places) / 2


def test_a_click_opens_an_item(site: Scene, learnt: tuple[Asked, str], page: Page) -> None:
    asked, version_id = learnt
    opened(page, version_id, "?epoch=2", 2)
    place = page.locator("[data-canvas]").evaluate(
        "canvas => [canvas.map.drawn[4], canvas.map.drawn[5]]"
    )
    where: Position = {"x": place[0], "y": place[1]}
    page.locator("[data-canvas]").hover(position=where)
    tip = page.locator("[data-tip]")
    expect(tip).to_be_visible()
    item = str(tip.get_attribute("data-item"))
    expect(tip.locator("img")).to_have_attribute("src", f"/api/v1/images/{item}/thumbnail")
    page.locator("[data-canvas]").click(position=where)
    panel = page.locator("[data-panel]")
    expect(panel).to_have_attribute("data-item", item)
    expect(panel.locator("[data-name]")).to_have_text(f"{asked.images.index(item)}.png")
    over = get(site, version_id, f"/items/{item}")
    then = over["epochs"][1]
    facts = panel.locator("[data-facts]")
    expect(facts).to_contain_text(f"{100 * then['probability']:.1f}%")
    expect(facts).to_contain_text(f"{then['aum']:.3f}")
    expect(panel.locator("[data-verdict]")).to_contain_text(
        f"{'correct' if then['correct'] else 'not correct'} after epoch 2: true"
    )
    expect(panel.locator("[data-drawn] circle")).to_have_count(len(over["epochs"]))
    expect(panel.locator("[data-near] a")).to_have_count(6)
    expect(panel.locator("[data-history-lines]")).to_contain_text("annotated in view")
    near = panel.locator("[data-near] a").first
    key = str(near.get_attribute("data-item"))
    near.click()
    expect(panel).to_have_attribute("data-item", key)
    expect(page).to_have_url(re.compile(f"epoch=2.*item={key}|item={key}.*epoch=2"))
    panel.get_by_role("button", name="Close").click()
    expect(panel).to_be_hidden()


def test_the_keyboard_is_enough(site: Scene, learnt: tuple[Asked, str], page: Page) -> None:
    _, version_id = learnt
    latest = get(site, version_id, "")["latest"]
    opened(page, version_id, epoch=latest)
    page.keyboard.press("ArrowLeft")
    shows(page, latest - 1)
    page.keyboard.press("ArrowRight")
    shows(page, latest)
    page.get_by_label("Speed").select_option("8")
    page.evaluate("document.activeElement.blur()")
    page.evaluate(WATCHED)
    page.keyboard.press("Space")
    page.wait_for_function("() => window.words.length === 2")
    assert page.evaluate("window.words") == ["Pause", "Play"]
    shows(page, latest)
    canvas = page.locator("[data-canvas]")
    canvas.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    order = get(site, version_id, f"/epochs/{latest}/items")["items"]
    panel = page.locator("[data-panel]")
    expect(panel).to_have_attribute("data-item", order[1]["item"])
    expect(panel.locator("[data-name]")).to_be_focused()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(canvas).to_be_focused()
    page.get_by_label("Show").select_option("table")
    rows = page.locator("[data-rows] tr")
    expect(rows).to_have_count(10)
    expect(rows.first).to_contain_text(f"{order[0]['confidence']:.3f}")
    rows.first.get_by_role("link").press("Enter")
    expect(panel).to_have_attribute("data-item", order[0]["item"])


def test_the_address_keeps_epoch_filters_lasso_and_item(
    site: Scene, learnt: tuple[Asked, str], page: Page
) -> None:
    asked, version_id = learnt
    opened(page, version_id, "?epoch=2", 2)
    page.get_by_label("Split", exact=True).select_option("train")
    canvas = page.locator("[data-canvas]")
    expect(canvas).to_have_attribute("data-chosen", "6")
    said = get(site, version_id, "/epochs/2/points")
    training = said["confidence"][:6]
    middle = (sorted(training)[2] + sorted(training)[3]) / 2
    box = canvas.bounding_box()
    assert box is not None
    edge = box["y"] + 10 + (1 - middle) * (box["height"] - 20)
    corners = [
        (box["x"] + 2, edge),
        (box["x"] + 2, box["y"] + 2),
        (box["x"] + box["width"] - 2, box["y"] + 2),
        (box["x"] + box["width"] - 2, edge),
    ]
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=5)
    page.mouse.up()
    expect(canvas).to_have_attribute("data-chosen", "3")
    chosen = {asked.images[n] for n in range(6) if training[n] > middle}
    shots = page.locator("[data-shots] a")
    keys = shots.evaluate_all("all => all.map(({dataset}) => dataset.item)")
    assert set(keys) == chosen
    page.get_by_label("Colour", exact=True).select_option("concept")
    expect(page.locator("[data-legend]")).to_have_text("zeroonetwo")
    shots.first.click()
    expect(page).to_have_url(re.compile(r"lasso=2_.*item=|item=.*lasso=2_"))
    page.reload()
    expect(canvas).to_have_attribute("data-chosen", "3")
    shows(page, 2)
    expect(page.get_by_label("Split", exact=True)).to_have_value("train")
    expect(page.get_by_label("Colour", exact=True)).to_have_value("concept")
    expect(page.locator("[data-panel]")).to_have_attribute("data-item", keys[0])
    # The lasso stays around the items that it was drawn around.
    page.get_by_label("Epoch", exact=True).fill("1")
    shows(page, 1)
    assert set(shots.evaluate_all("all => all.map(({dataset}) => dataset.item)")) == chosen
    page.get_by_role("button", name="Clear the lasso").click()
    expect(canvas).to_have_attribute("data-chosen", "6")
    page.get_by_label("Region").select_option("hard")
    points = get(site, version_id, "/epochs/1/points")
    hard = [region for region in points["region"][:6] if region == 2]
    expect(canvas).to_have_attribute("data-chosen", str(len(hard)))


def test_boxes_and_tags_are_items_of_their_own(site: Scene, page: Page) -> None:
    boxes = ask(site, "detection")
    detected = recorded(site, boxes, "detection", [box_columns(seed) for seed in range(2)])
    site.visible()
    opened(page, detected, f"?item={boxes.images[0]}:1&colour=outcome", 2)
    panel = page.locator("[data-panel]")
    expect(panel.locator("[data-verdict]")).to_contain_text("missed after epoch 2: true one")
    expect(panel.locator("[data-picture] svg .edge")).to_have_count(4)
    expect(panel.locator("[data-picture] svg .true.chosen")).to_have_count(1)
    expect(panel.locator("[data-list] li")).to_have_count(2)
    panel.locator("[data-list] a").first.click()
    expect(panel.locator("[data-verdict]")).to_contain_text("found after epoch 2")
    expect(page.locator("[data-shots] svg")).not_to_have_count(0)
    tags = ask(site, "tagging")
    tagged = recorded(site, tags, "tagging", [tag_columns(seed) for seed in range(2)])
    site.visible()
    points = get(site, tagged, "/points")
    opened(page, tagged, f"?item={points['items'][1]}", 2)
    expect(page.locator("[data-canvas]")).to_have_attribute("data-chosen", "30")
    expect(panel.locator("[data-verdict]")).to_contain_text("true not one")
    expect(panel.locator("[data-list] li")).to_have_count(3)
    page.get_by_label("Concept", exact=True).select_option(label="two")
    expect(page.locator("[data-canvas]")).to_have_attribute("data-chosen", "10")


def test_a_version_without_a_flip_book_says_why(site: Scene, page: Page) -> None:
    asked = ask(site, "classification")
    off = recorded(site, asked, "classification", [], recorded_images=0)
    gone = recorded(site, asked, "classification", [class_columns(1)])
    site.report(gone, Completed(DIGEST, DIGEST, 30))
    recorded(site, asked, "classification", [class_columns(1)])
    waiting = recorded(site, asked, "classification", [])
    assert discard_items(site.store, kept=1) == 1
    site.visible()
    empty = page.locator('[data-empty="flip-book"]')
    page.goto(f"/versions/{off}/flip-book")
    expect(empty).to_contain_text("was trained without recording")
    expect(empty).to_contain_text("Recorded images")
    page.goto(f"/versions/{gone}/flip-book")
    expect(empty.get_by_role("heading")).to_have_text("The flip book is no longer stored")
    since = get(site, gone, "")["discarded_at"][:19]
    expect(empty).to_contain_text(f"were deleted at {since}")
    page.goto(f"/versions/{waiting}/flip-book")
    expect(empty).to_contain_text("no epoch is recorded yet")
    report_epoch(
        site,
        waiting,
        "classification",
        known(site, waiting),
        1,
        asked.images,
        class_columns(1),
    )
    shows(page, 1)


def test_the_past_and_both_schemes(site: Scene, learnt: tuple[Asked, str], page: Page) -> None:
    _, version_id = learnt
    at = get(site, version_id, "/epochs")["items"][1]["position"]
    opened(page, version_id, f"?as_of={at}", 2)
    expect(page.locator("[data-epoch-text]")).to_have_text("2 of 2")
    expect(page.locator("[data-past]")).to_be_visible()
    page.get_by_role("link", name="Back to now").click()
    page.wait_for_selector("body[data-ready]")
    page.locator("[data-shots] a").first.click()
    expect(page.locator("[data-near] a")).to_have_count(6)
    for show in ("", "table"):
        page.get_by_label("Show").select_option(show)
        for width in (1400, 400):
            page.set_viewport_size({"width": width, "height": 900})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                assert page.evaluate(CHECKS) == [], f"{show} {scheme} {width}"
