"""The audit's pages in a real browser: filters, paging, links to what is named, and trees."""

import re
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from domain.training.messages import Failed
from tests.api.pages.test_html import NASTY
from tests.api.scene import Scene

CHECKS = (Path(__file__).parents[1] / "pages_checks.js").read_text()
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")


@pytest.fixture(scope="module")
def told(site: Scene) -> tuple[str, str, str]:
    """A project, its view and a version of it that failed."""
    project, view = site.trainable("Zoo", images=30)
    version = site.version(view)
    site.begin(version)
    site.report(version, Failed("the disk is full"))
    site.visible()
    return project, view, version


def rows(page: Page) -> list[int]:
    """The positions shown, from above."""
    return [int(row.inner_text()) for row in page.locator(".trail tbody th").all()]


@pytest.mark.usefixtures("told")
def test_the_trail_is_paged_from_the_newest_event(site: Scene, page: Page) -> None:
    page.goto("/")
    page.get_by_text("Admin", exact=True).click()
    page.get_by_role("link", name="Audit").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Audit trail")
    head = site.store.head()
    expect(page.locator("[data-position]")).to_have_text(str(head))
    assert rows(page) == list(range(head, head - 50, -1))
    page.get_by_role("link", name="Next page").click()
    page.wait_for_url("**cursor=*")
    assert rows(page)[0] == head - 50
    page.get_by_role("link", name="First page").click()
    expect(page.locator(f"#position-{head}")).to_be_visible()


def test_filters_are_in_the_address(told: tuple[str, str, str], page: Page) -> None:
    project, *_ = told
    page.goto("/audit")
    page.get_by_label("Event", exact=True).select_option("version.training_failed")
    page.get_by_label("Project").select_option(project)
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url(f"**/audit?event=version.training_failed&project={project}")
    (row,) = page.locator(".trail tbody tr").all()
    expect(row).to_contain_text("version 1 training failed (the disk is full) training → failed")
    expect(row.locator("del")).to_have_text("training")
    expect(row.locator("ins")).to_have_text("failed")
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", str(row.locator("time").get_attribute("title"))
    )
    page.reload()
    expect(page.get_by_label("Event", exact=True)).to_have_value("version.training_failed")
    page.get_by_role("link", name="Remove the filter project Zoo").click()
    page.wait_for_url("**/audit?event=version.training_failed")
    page.get_by_label("From").fill("2001-01-01")
    page.get_by_label("Before").fill("2001-01-02")
    page.get_by_label("Before").press("Enter")
    expect(page.locator("[data-empty]")).to_contain_text("No matching events")
    page.get_by_role("link", name="Show everything").first.click()
    page.wait_for_url("**/audit")


def test_a_line_leads_to_what_it_names(told: tuple[str, str, str], page: Page) -> None:
    _, view, version = told
    page.goto(f"/audit?version={version}&event=version.created")
    page.get_by_role("link", name="version 1 of model 'Model 1' created").click()
    page.wait_for_url(f"**/versions/{version}")
    page.get_by_role("link", name="Activity").click()
    page.wait_for_url(f"**/audit?version={version}")
    expect(page.locator("[data-chosen]")).to_contain_text("Only version Version 1")
    page.get_by_role("link", name="gpu-1").first.click()
    page.wait_for_url("**actor=worker*")
    assert page.locator(".trail tbody tr").count() == 6
    page.goto(f"/audit?view={view}&event=image.annotated&order=oldest")
    page.get_by_role("link", name="image 0.png annotated").click()
    page.wait_for_url(f"**/views/{view}/annotate?image=*")


def test_what_a_request_set_going_is_a_tree(
    site: Scene, told: tuple[str, str, str], page: Page
) -> None:
    _, _, version = told
    page.goto(f"/audit?version={version}&event=version.created")
    position = rows(page)[0]
    page.get_by_role("link", name=f"The cause of event {position}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Request trace")
    kinds = [node.get_attribute("data-node") for node in page.locator("[data-node]").all()]
    assert kinds == ["request", "event", "event"]
    nested = page.locator('[data-node="request"] > ul > [data-node="event"]')
    expect(nested).to_have_count(2)
    expect(page.locator("[data-position]")).to_have_text(str(site.store.head()))


def test_a_filter_that_is_none_is_a_page_that_says_so(page: Page) -> None:
    page.goto("/audit?view=nowhere")
    expect(page.locator("main")).to_contain_text("the log has no view 'nowhere'")


@pytest.mark.usefixtures("told")
def test_the_trail_works_by_keyboard(page: Page) -> None:
    page.goto("/audit")
    page.get_by_label("Who").focus()
    page.keyboard.type("worker:gpu-1")
    page.keyboard.press("Enter")
    page.wait_for_url("**/audit?actor=worker*")
    page.locator("main summary").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Stream")).to_be_visible()
    page.locator(".trail a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**actor=worker*")


def test_names_are_shown_as_they_are(site: Scene, page: Page) -> None:
    project = site.project(NASTY)
    site.visible()
    page.goto(f"/audit?project={project}")
    expect(page.locator(".trail tbody")).to_contain_text(f"project '{NASTY}' created")


def test_the_pages_can_be_read_in_both_schemes(told: tuple[str, str, str], page: Page) -> None:
    _, _, version = told
    page.goto(f"/audit?version={version}&event=version.created")
    tree = page.get_by_role("link", name="The cause of event").get_attribute("href")
    for path in ("/audit", f"/audit?version={version}", "/audit?since=2040-01-01", str(tree)):
        page.goto(path)
        for width in (1400, 400):
            page.set_viewport_size({"width": width, "height": 900})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                assert page.evaluate(CHECKS) == [], f"{path} {scheme} {width}"
