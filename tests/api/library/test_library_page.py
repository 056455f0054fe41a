"""The library in a real browser: one table to sort, search, choose from and compare."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from api.library import view_page
from tests.api.evaluation.scene import trained
from tests.api.pages.tabs import opened_tab
from tests.api.pages.test_pages import CHECKS, REFRESH, SCHEMES, show
from tests.api.scene import Scene
from tests.waiting import HANG_MS

OVERFLOW = """card => {
  const right = (element) => element.getBoundingClientRect().right;
  return right(card.querySelector("table")) - right(card);
}"""
COUNT = 40
BEST = 17


@pytest.fixture(scope="module")
def profile(site: Scene, chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(**site.browsing, viewport={"width": 1360, "height": 900})
    context.set_default_timeout(HANG_MS)
    yield context
    context.close()


@pytest.fixture
def page(profile: BrowserContext) -> Iterator[Page]:
    with opened_tab(profile, re.compile(r"$^")) as tab:
        yield tab


@pytest.fixture(scope="module")
def many(site: Scene) -> tuple[str, list[str]]:
    """A view of 40 versions, of which the 17th is the best; two architectures."""
    _, view_id = site.trainable("Library")
    ids = []
    for number in range(1, COUNT + 1):
        architecture = "resnet18" if number % 2 else "mobilenet_v3_small"
        version_id = site.version(view_id, architecture=architecture)
        ids.append(version_id)
        if number < COUNT:
            site.begin(version_id)
            held_out = 0.1 if number == BEST else 0.3 + number / 100
            for epoch in (1, 2):
                site.epoch(version_id, epoch, held_out=held_out * (3 - epoch))
            site.finish(version_id)
    site.visible()
    return view_id, ids


def names(page: Page) -> list[str]:
    return page.locator("[data-version] th a").all_inner_texts()


def test_the_best_of_40_versions_is_one_click_away(
    site: Scene, many: tuple[str, list[str]], page: Page
) -> None:
    view_id, ids = many
    show(page, site, f"/views/{view_id}")
    expect(page.locator("[data-version]")).to_have_count(COUNT)
    page.get_by_role("link", name="Accuracy").click()
    expect(page.locator("[data-version]").first).to_have_id(f"version-{ids[BEST - 1]}")
    expect(page.locator("[data-best]")).to_have_count(1)
    heading = page.get_by_role("columnheader", name="Accuracy")
    expect(heading).to_have_attribute("aria-sort", "descending")
    page.get_by_role("link", name="Accuracy").click()
    expect(heading).to_have_attribute("aria-sort", "ascending")
    expect(page.locator("[data-version]").first).to_have_id(f"version-{ids[-1]}")
    # The best is named where the library is sorted otherwise, too.
    page.goto(f"/views/{view_id}")
    expect(page.locator('[data-part="best"] a')).to_have_attribute(
        "href", f"/versions/{ids[BEST - 1]}"
    )


def test_versions_are_searched_narrowed_and_paged(
    site: Scene, many: tuple[str, list[str]], page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    view_id, _ = many
    show(page, site, f"/views/{view_id}")
    page.locator("#library-name").fill("version 3")
    page.keyboard.press("Enter")
    page.wait_for_url("**name=version+3*")
    assert len(names(page)) == 11
    page.get_by_label("Architecture", exact=True).first.select_option("resnet18")
    page.wait_for_url("**architecture=resnet18*")
    assert len(names(page)) == 6
    page.locator("#library-name").fill("nothing like it")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Show all versions").click()
    expect(page.locator("[data-version]")).to_have_count(COUNT)
    monkeypatch.setattr(view_page, "VERSIONS_A_PAGE", 30)
    page.get_by_role("link", name="Version", exact=True).click()
    page.wait_for_url("**sort=name*")
    first = names(page)
    assert first == sorted(first)
    page.get_by_role("link", name="Next page").click()
    expect(page.locator("[data-version]")).to_have_count(10)
    assert len({*first, *names(page)}) == COUNT


def test_two_versions_are_compared_in_two_clicks(
    site: Scene, many: tuple[str, list[str]], page: Page
) -> None:
    view_id, ids = many
    show(page, site, f"/views/{view_id}")
    page.locator(f'[data-choose][value="{ids[0]}"]').click()
    page.locator(f'[data-compare-with="{ids[1]}"]').click()
    page.wait_for_url("**/compare?versions=*")
    curves = page.locator("[data-curves]")
    expect(curves).to_have_attribute("data-points", "4")
    drawn = "plot => plot.chart.lines.map(({ name, x, y }) => [name, x, y.length])"
    assert page.eval_on_selector("[data-curves] .plot", drawn) == [
        ["Version 1", [1, 2], 2],
        ["Version 2", [1, 2], 2],
    ]
    expect(page.locator('[data-compared="options"]')).to_contain_text("Architecture")
    page.get_by_label("Metric", exact=True).select_option("batch_loss")
    expect(curves).to_have_attribute("data-points", "40")
    expect(page.get_by_role("link", name="Compare their predictions")).to_be_visible()
    for width in (1360, 390):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(CHECKS) == [], f"{scheme} {width}"
    page.set_viewport_size({"width": 1360, "height": 900})
    page.emulate_media(color_scheme="light")


def test_up_to_eight_are_chosen_and_stay_chosen(
    site: Scene, many: tuple[str, list[str]], page: Page
) -> None:
    view_id, ids = many
    show(page, site, f"/views/{view_id}")
    for version_id in ids[:8]:
        page.locator(f'[data-choose][value="{version_id}"]').check()
    expect(page.locator(f'[data-choose][value="{ids[8]}"]')).to_be_disabled()
    expect(page.locator("[data-chosen]")).to_have_text("8 chosen, the most that can be compared")
    # Another version comes: the table is made anew.
    site.version(view_id)
    expect(page.locator("[data-version]")).to_have_count(COUNT + 1)
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.locator('[data-row="indicator"] td')).to_have_count(8)
    expect(page.locator('[data-row="indicator"] b')).to_have_count(1)


def test_columns_are_hidden_and_rows_are_compact(
    site: Scene, many: tuple[str, list[str]], page: Page
) -> None:
    view_id, _ = many
    show(page, site, f"/views/{view_id}")
    rows = page.locator("[data-version]").evaluate_all(
        "rows => rows.map((row) => row.getBoundingClientRect().height)"
    )
    assert max(rows) < 45
    page.locator("[data-columns] summary").click()
    page.get_by_label("Loss", exact=True).uncheck()
    heading = page.get_by_role("columnheader", name="Loss")
    expect(heading).to_have_count(0)
    page.reload()
    expect(page.locator("[data-version]").first).to_be_visible()
    expect(heading).to_have_count(0)
    page.locator("[data-columns] summary").click()
    page.get_by_label("Loss", exact=True).check()
    expect(heading).to_be_visible()
    page.keyboard.press("Escape")
    # A menu stays open while the page refreshes.
    menu = page.locator("[data-version] details").first
    menu.locator("summary").click()
    page.evaluate(REFRESH)
    expect(menu).to_have_attribute("open", "")
    page.keyboard.press("Escape")
    expect(menu).not_to_have_attribute("open", "")


def test_a_row_with_every_mark_stays_in_the_table(site: Scene, page: Page) -> None:
    _, view_id = site.trainable("Marks")
    trained(site, view_id, "earlier", architecture="efficientnet_b0")
    trained(site, view_id, "later", architecture="mobilenet_v3_small")
    show(page, site, f"/views/{view_id}")
    expect(page.get_by_text("other validation set")).to_be_visible()
    for width in (1920, 1360, 1330, 1200, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.locator(".library").evaluate(OVERFLOW) <= 1, width
    page.set_viewport_size({"width": 1360, "height": 900})


@pytest.mark.parametrize(
    "versions", ["", "one", "{0},nothing", "{0},{1},{2},{3},{4},{5},{6},{7},{8}"]
)
def test_what_cannot_be_compared_is_refused(
    site: Scene, many: tuple[str, list[str]], versions: str
) -> None:
    view_id, ids = many
    answer = site.http.get(f"/views/{view_id}/compare?versions={versions.format(*ids)}")
    assert answer.status_code in {400, 404, 422}
