"""The grid of a project's images: filters, pages, counts, and the way to the annotator."""

import pytest
from playwright.sync_api import Browser, Page, expect

from api.dataset import projects_page
from tests.api.library.annotate.desk import Desk, expect_count, shown_image
from tests.api.pages.test_pages import show
from tests.api.scene import Scene


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
