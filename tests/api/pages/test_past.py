"""The history slider in a real browser: a past state is shown, still, and left again."""

import re

from playwright.sync_api import Page, expect

from tests.api.scene import Scene


def test_the_library_is_seen_as_it_was(site: Scene, page: Page) -> None:
    _, view_id = site.trainable()
    before = site.store.head()
    version_id = site.version(view_id)
    site.begin(version_id)
    training = site.epoch(version_id, 1)
    site.finish(version_id)
    head = site.visible()
    page.goto(f"/views/{view_id}")
    row = page.locator(f'[data-version="{version_id}"]')
    expect(row.locator("[data-status]")).to_have_text("ready")
    expect(page.locator("[data-past]")).to_have_count(0)

    page.locator(".history summary").click()
    slider = page.get_by_label("Position in the log")
    expect(slider).to_have_attribute("max", str(head))
    page.get_by_label("Position or time").fill(str(training + 1))
    expect(slider).to_have_js_property("value", str(training + 1))
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_label("Position or time")).to_have_value(str(training))
    recorded = site.store.read(training - 1, limit=1)[0].metadata.occurred_at
    expect(page.locator("[data-when]")).to_have_text(f"{recorded:%Y-%m-%d %H:%M:%S} UTC")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/views/{view_id}?as_of={training}")
    expect(page.locator("[data-past]")).to_contain_text(f"As of position {training}, 20")
    expect(page.locator("[data-position]")).to_have_text(str(training))
    expect(row.locator("[data-status]")).to_have_text("training")
    expect(page.locator("main[data-refresh], main form[data-api], [data-since]")).to_have_count(0)
    expect(page.get_by_role("button", name=re.compile("Train|Rename|Cancel"))).to_have_count(0)

    row.get_by_role("link", name="Version 1", exact=True).click()
    page.wait_for_url(f"**/versions/{version_id}?as_of={training}")
    expect(page.locator('[data-metric="batch_loss"][data-points="10"]')).to_be_visible()
    expect(page.locator("[data-live]")).to_have_text("Past state")
    expect(page.locator("h1 [data-status]")).to_have_text("training")
    page.get_by_role("link", name="Back to now").click()
    expect(page.locator("h1 [data-status]")).to_have_text("ready")
    assert "as_of" not in page.url

    page.goto(f"/views/{view_id}?as_of={before}")
    expect(row).to_have_count(0)
    expect(page.locator('[data-empty="versions"]').first).to_be_visible()


def test_a_time_is_shown_and_a_wrong_one_is_said(site: Scene, page: Page) -> None:
    _, view_id = site.trainable("By time")
    head = site.visible()
    at = site.store.read(head - 1, limit=1)[0].metadata.occurred_at
    page.goto(f"/views/{view_id}")
    page.locator(".history summary").click()
    page.get_by_label("Position or time").fill(at.isoformat())
    page.get_by_role("button", name="Show").click()
    expect(page.locator("[data-past]")).to_contain_text(f"As of position {head}")
    page.goto(f"/views/{view_id}?as_of=yesterday")
    expect(page.locator("main")).to_contain_text("as_of must be a position of the log")
    page.goto(f"/views/{view_id}?as_of=0")
    expect(page.locator("main")).to_contain_text("view not found at position 0")
