"""What is at the top of every page, in a real browser; home on first use; and times."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.api.pages.tabs import opened_tab
from tests.api.scene import Scene
from tests.waiting import HANG_MS

NOTHING = re.compile("$^")


@pytest.fixture(scope="module")
def profile(site: Scene, chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(**site.browsing, timezone_id="Asia/Tokyo")
    context.set_default_timeout(HANG_MS)
    yield context
    context.close()


@pytest.fixture
def page(profile: BrowserContext) -> Iterator[Page]:
    with opened_tab(profile, NOTHING) as tab:
        yield tab


def test_a_name_is_searched_and_gone_to_by_keyboard(site: Scene, page: Page) -> None:
    project = site.project("Orchard")
    view = site.view(project, "apple tree", name="Which orchard tree")
    site.visible()
    page.goto("/events")
    page.keyboard.press("/")
    search = page.get_by_role("combobox", name="Search")
    expect(search).to_be_focused()
    page.keyboard.type("orchard")
    options = page.locator("#search-results").get_by_role("option")
    expect(options).to_have_count(2)
    expect(search).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(options).to_have_count(0)
    page.keyboard.type(" tr")
    expect(options).to_have_text([re.compile("Which orchard tree")])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Which orchard tree")
    # Without a choice, Enter leads to the page of results, and from there to what is found.
    search.fill("orchard")
    search.press("Enter")
    page.locator(f'[data-found="{view}"] a').click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Which orchard tree")
    search.fill("apple")
    options.first.click()
    expect(page.get_by_label("Concept", exact=True).locator("option:checked")).to_have_text(
        "apple tree"
    )


def test_one_menu_is_open_at_a_time_and_escape_closes_it(site: Scene, page: Page) -> None:
    _, view = site.trainable()
    site.version(view)
    site.visible()
    page.goto(f"/views/{view}")
    expect(page.locator("[data-trainings-count]")).to_have_text(re.compile(r"^\(\d+\)$"))
    admin, help_ = (page.get_by_text(name, exact=True) for name in ("Admin", "Help"))
    webhooks, glossary = (
        page.get_by_role("link", name=name, exact=True) for name in ("Webhooks", "Glossary")
    )
    admin.click()
    expect(webhooks).to_be_visible()
    help_.click()
    expect(webhooks).to_be_hidden()
    expect(glossary).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(glossary).to_be_hidden()
    expect(help_).to_be_focused()
    page.keyboard.press("Enter")
    glossary.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Glossary")


def test_tabs_lead_through_a_project_and_a_view(site: Scene, page: Page) -> None:
    project, view = site.trainable("Tabs")
    site.images(project, 13)
    site.visible()
    page.goto(f"/projects/{project}")
    tabs = page.get_by_role("navigation", name="Project")
    tabs.get_by_role("link", name="Images").click()
    expect(page.locator("[data-image]")).to_have_count(13)
    expect(page.locator("[data-view]")).to_have_count(0)
    page.get_by_role("button", name="Redraw validation set…").click()
    expect(page.get_by_role("dialog")).to_contain_text("cannot be compared")
    page.keyboard.press("Escape")
    tabs.get_by_role("link", name="Views").click()
    expect(page.locator("[data-image]")).to_have_count(0)
    row = page.locator(f'[data-view="{view}"]')
    expect(row).to_contain_text("77%")
    row.get_by_role("link", name="Which digit").click()
    tabs = page.get_by_role("navigation", name="View")
    annotate = tabs.get_by_role("link", name="Annotate")
    expect(annotate).to_have_text("Annotate 10/13")
    for tab, heading in (
        ("Concepts", "Concepts of Which digit"),
        ("Experiments", "Experiments"),
        ("Lineage", "Lineage of Which digit"),
        ("Library", "Which digit"),
    ):
        tabs.get_by_role("link", name=tab).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        expect(annotate).to_have_text("Annotate 10/13")
        expect(tabs.get_by_role("link", name=tab)).to_have_attribute("aria-current", "page")
    # The position of the log, the way to a past moment and the JSON address are one control.
    page.get_by_text("History · API").click()
    expect(page.locator(".history")).to_contain_text(f"GET /api/v1/views/{view}/models")


def test_a_phone_shows_where_the_page_belongs_in_one_line(site: Scene, page: Page) -> None:
    _, view = site.trainable("On a phone")
    version = site.version(view)
    site.visible()
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"/versions/{version}")
    way = page.get_by_role("navigation", name="You are here").get_by_role("listitem")
    expect(way.filter(visible=True)).to_have_text(["Which digit", "Version 1"])
    history = page.get_by_text("History · API")
    tops = [one.bounding_box() for one in (way.last, history)]
    assert all(tops)
    assert abs(tops[0]["y"] - tops[1]["y"]) < 12  # type: ignore[index]


def test_public_pages_lead_back_to_the_projects(page: Page) -> None:
    page.goto("/docs")
    page.get_by_role("navigation", name="Everywhere").get_by_role("link", name="Projects").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Projects")


def test_times_are_exact_in_local_time_and_in_utc(site: Scene, page: Page) -> None:
    project = site.project("Timed")
    site.visible()
    page.goto(f"/projects/{project}")
    time = page.locator("main time").first
    at = str(time.get_attribute("datetime"))
    time.hover()
    expect(time).to_have_attribute(
        "title", re.compile(rf"^\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d GMT\+9 \(.*{at[11:19]} UTC\)$")
    )
    expect(time).to_have_text(re.compile("just now|ago"))


def test_the_demo_data_are_loaded_and_leave_something_to_do(
    server: Scene, chromium: Browser
) -> None:
    context = chromium.new_context(**server.browsing)
    context.set_default_timeout(HANG_MS)
    with opened_tab(context, NOTHING) as page:
        page.goto("/")
        expect(page.locator(".first-steps li")).to_have_count(4)
        page.get_by_role("button", name="Load demo data").click()
        expect(page.locator('[data-count="images"]')).to_have_text("120")
        expect(page.locator('[data-count="validation"]')).to_have_text("30")
        expect(page.locator("[data-view]")).to_contain_text("108 of 120")
        server.visible()
        page.goto("/")
        page.get_by_role("link", name="Annotate 12 images").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("shape-108.png")
    context.close()
