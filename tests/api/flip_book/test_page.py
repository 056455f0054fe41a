"""The flip book's page in a real browser: the map moves, plays, chooses, opens and goes on live."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from domain.training.messages import ConceptLabel
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
from tests.api.scene import Scene
from tests.waiting import HANG_MS

PLACES = """canvas => {
  const {map} = canvas, {width, height, count, drawn} = map;
  return Array.from({length: count}, (_, at) => [
    (drawn[2 * at] - 10) / (width - 20) * 0.5,
    1 - (drawn[2 * at + 1] - 10) / (height - 20),
  ]);
}"""
"""Where the map has drawn each point, as variability and confidence."""


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


def test_points_move_play_and_go_on_live(
    site: Scene, learnt: tuple[Asked, str], page: Page
) -> None:
    asked, version_id = learnt
    page.goto(f"/versions/{version_id}")
    page.get_by_role("link", name="Flip Book").click()
    shows(page, 3)
    are_where_the_api_says(page, site, version_id, 3)
    page.get_by_label("Epoch", exact=True).fill("1")
    shows(page, 1)
    are_where_the_api_says(page, site, version_id, 1)
    page.get_by_label("Speed").select_option("8")
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    shows(page, 3)
    expect(page.get_by_role("button", name="Play")).to_be_visible()
