"""The page of suspects in a real browser: decisions, corrections and the way back."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.api.evaluation.scene import Asked
from tests.api.flip_book.scene import recorded
from tests.api.flip_book.test_suspects import EPOCHS, ask, complete, decide, evaluate, get
from tests.api.pages.tabs import opened_tab
from tests.api.pages.test_pages import CHECKS, REFUSED, SCHEMES, is_the_same
from tests.api.scene import Scene
from tests.waiting import HANG_MS


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
def doubted(site: Scene) -> tuple[Asked, str]:
    """A version with four suspects: images 1 and 2 of training, 7 and 11 of validation."""
    asked = ask(site, "Doubted")
    version_id = recorded(site, asked, "classification", EPOCHS)
    site.visible()
    evaluate(site, asked, version_id)
    complete(site, version_id)
    return asked, version_id


def keys(page: Page) -> Any:
    rows = page.locator("[data-suspect]")
    return rows.evaluate_all("all => all.map(({dataset}) => dataset.suspect)")


def test_suspects_are_decided_on_and_corrected(
    site: Scene, doubted: tuple[Asked, str], page: Page
) -> None:
    asked, version_id = doubted
    first, second, third, fourth = (asked.images[number] for number in (1, 7, 2, 11))
    before = site.store.head()
    page.goto(f"/versions/{version_id}/flip-book")
    page.get_by_role("link", name="Suspects").click()
    rows = page.locator("[data-suspect]")
    expect(rows).to_have_count(4)
    assert keys(page) == [first, second, third, fourth]
    expect(rows.first).to_contain_text("Predicted 'zero' in 2 of 3 epochs, never learnt.")
    expect(rows.first).to_contain_text("label one suggested zero")
    for width in (1400, 400):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(CHECKS) == [], f"{scheme} {width}"
    page.set_viewport_size({"width": 1400, "height": 900})

    # A correction is saved, and the reader is back at the list, at what follows.
    rows.nth(1).get_by_role("link", name=re.compile("^Correct")).click()
    expect(page).to_have_url(re.compile("/annotate"))
    expect(page.locator("[data-annotate]")).to_have_attribute("data-state", "saved")
    expect(page.locator("span[data-state]")).to_have_text("saved")
    page.keyboard.press("1")
    expect(page).to_have_url(re.compile(rf"/versions/{version_id}/suspects#suspect-{third}$"))
    expect(rows).to_have_count(3)
    expect(page.locator(f"[data-suspect='{third}']")).to_be_focused()
    expect(page.locator("[data-state-count=corrected]")).to_have_text("Corrected 1")
    decided = get(site, version_id, f"/{second}")["item"]
    assert (decided["state"], decided["decision"]["decided_by"]) == ("corrected", "administrator")

    # By keys, without a reload.
    page.evaluate("window.theSame = true")
    page.keyboard.press("u")
    expect(rows).to_have_count(2)
    expect(page.locator(f"[data-suspect='{fourth}']")).to_be_focused()
    assert get(site, version_id, f"/{third}")["item"]["state"] == "upheld"
    page.get_by_label("All on this page").check()
    page.get_by_role("group", name="The checked suspects").get_by_role(
        "button", name="Unsure"
    ).click()
    expect(page.locator('[data-empty="suspects"]')).to_contain_text("No open suspect")
    assert is_the_same(page)
    states = {get(site, version_id, f"/{item}")["item"]["state"] for item in (first, fourth)}
    assert states == {"unsure"}
    page.get_by_role("link", name="Unsure 2").click()
    expect(rows).to_have_count(2)
    rows.first.get_by_role("button", name=re.compile("^Uphold")).click()
    expect(rows).to_have_count(1)
    page.goto(f"/versions/{version_id}/suspects?as_of={before}")
    assert keys(page) == [first, second, third, fourth]
    expect(page.get_by_role("button", name=re.compile("^Uphold"))).to_have_count(0)


def test_the_next_version_says_what_was_corrected(
    site: Scene, doubted: tuple[Asked, str], page: Page
) -> None:
    asked, version_id = doubted
    decide(site, version_id, asked.images[7], decision="corrected")  # unless it is already
    later = recorded(site, asked, "classification", EPOCHS)
    site.visible()
    evaluate(site, asked, later, {7: 0})
    page.goto(f"/versions/{later}")
    expect(page.locator("[data-corrected]")).to_contain_text("1 image since")
    page.get_by_role("link", name="How their results changed").click()
    expect(page.locator("[data-corrected]")).to_contain_text("1 fixed")
    moved = page.locator(f"[data-corrected-image='{asked.images[7]}']")
    expect(moved).to_contain_text("fixed")
    expect(moved).to_contain_text("one → zero")


def test_a_version_without_suspects_says_why(site: Scene, page: Page) -> None:
    _, view_id = site.trainable()
    version_id = site.version(view_id, recorded_images=0)
    site.visible()
    page.goto(f"/versions/{version_id}/suspects")
    expect(page.locator('[data-empty="suspects"]')).to_contain_text("Recorded images")


def test_the_way_back_is_on_this_server(site: Scene) -> None:
    _, view_id = site.trainable()
    for back, status in {
        "/versions/1": 200,
        "//elsewhere.example": 422,
        "/\\elsewhere": 422,
    }.items():
        path = f"/views/{view_id}/annotate"
        assert site.http.get(path, params={"back": back}).status_code == status, back
