"""The page of events: what fits is found from the newest backwards, and what is new appears."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from adapters.subscriptions.feed import before as events_before
from adapters.subscriptions.feed.before import Looked, newest
from adapters.subscriptions.feed.wanted import Chosen
from application.log.store import Store
from application.scopes import Scopes
from domain.access.account import account_id
from tests.api.pages.test_html import NASTY
from tests.api.scene import Scene
from tests.application.scenes import Scene as Log

CHECKS = (Path(__file__).parents[1] / "pages_checks.js").read_text()


def positions(page: Page) -> list[int]:
    return [int(row.inner_text()) for row in page.locator("[data-position-of] th").all()]


def test_every_event_that_fits_is_found_page_by_page(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_before, "WINDOW", 2)
    monkeypatch.setattr(events_before, "WIDEST", 5)
    mine, other = Log(store, images=3), Log(store, images=3)
    log, scopes = list(store.read_all()), Scopes(store)
    project_of = scopes.projects_of({one.stream for one in log})
    for names, readable in itertools.product(((), ("image.added", "view.*")), (None, mine.project)):
        projects = None if readable is None else frozenset({readable})
        expected = [
            one.position
            for one in reversed(log)
            if (not names or one.event.event_name == "image.added" or one.stream[:5] == "view-")
            and (readable is None or project_of[one.stream] == readable)
        ]
        found: list[int] = []
        looked = Looked([], store.head())
        while looked.down_to:
            chosen, before = Chosen(name=names), looked.down_to + 1
            looked = newest(store, scopes, chosen, projects, before, 4)
            assert len(looked.events) <= 4
            found += [one.position for one in looked.events]
        assert found == expected
    assert other.project not in {project_of[log[at - 1].stream] for at in found}


def test_a_long_search_says_how_far_it_came(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_before, "WINDOW", 2)
    monkeypatch.setattr(events_before, "SEARCH_SECONDS", 0)
    Log(store, images=3)
    before = store.head() + 1
    assert newest(store, Scopes(store), Chosen(), None, before, 4) == Looked([], before - 1)


def test_what_happens_appears_by_itself(site: Scene, page: Page) -> None:
    site.project("First")
    page.goto("/")
    page.get_by_text("Admin", exact=True).click()
    page.get_by_role("link", name="Events").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Events")
    head = site.store.head()
    assert positions(page)[0] == head
    page.evaluate("window.theSame = true")
    site.project(NASTY)
    row = page.locator(f"#position-{head + 1}")
    expect(row).to_contain_text("project.created")
    expect(row).to_contain_text(NASTY)
    expect(page.locator("[data-position]")).to_have_text(str(head + 1))
    assert page.evaluate("window.theSame")


def test_the_feed_is_filtered_and_paged_in_the_address(site: Scene, page: Page) -> None:
    project = site.project("Filtered")
    view = site.view(project, *(f"label {number}" for number in range(60)))
    site.visible()
    page.goto("/events")
    page.get_by_label("Event", exact=True).select_option("view.concept_added")
    page.get_by_label("Project").select_option(project)
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url(f"**/events?name=view.concept_added&project={project}")
    first = positions(page)
    assert len(first) == 50
    page.get_by_role("link", name="Earlier").click()
    page.wait_for_url("**cursor=*")
    assert len(positions(page)) == 10
    assert positions(page)[0] == first[-1] - 1
    page.get_by_role("link", name=f"view-{view}").first.click()
    page.wait_for_url(f"**/events?subject=view-{view}")
    page.goto(f"/events?project={project}&name=version.*")
    expect(page.locator("[data-empty]")).to_contain_text("No event matches")
    same = site.http.get(str(page.locator(".history a").get_attribute("href")))
    assert same.raise_for_status().json()["items"] == []
    page.goto("/events?subject=nonsense")
    expect(page.locator("main")).to_contain_text("subject is 'nonsense'")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_can_be_read_in_both_schemes(site: Scene, page: Page, scheme: Any) -> None:
    site.project("Read" + " on and on" * 15)
    page.emulate_media(color_scheme=scheme)
    for path, width in itertools.product(("/events", "/events?name=version.*"), (1400, 400)):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(path)
        assert page.evaluate(CHECKS) == [], f"{path} {width}"
        if path == "/events":
            assert page.locator('.everywhere a[href="/events"]').get_attribute("aria-current")
            row = page.locator("[data-position-of]").first
            when, data = (row.locator(f'[data-label="{one}"]') for one in ("When", "Data"))
            assert when.evaluate("cell => cell.querySelector('time').getClientRects().length") == 1
            assert data.evaluate("cell => cell.scrollWidth <= cell.clientWidth")
            share = data.evaluate("cell => cell.clientWidth / cell.parentElement.clientWidth")
            assert share > 0.8 or width == 1400


def test_nobody_sees_events_of_what_they_may_not_read(site: Scene) -> None:
    mine, other = site.project("Mine"), site.project("Not mine")
    account = site.post("/accounts", {"name": "narrow"})["id"]
    assert account == account_id("narrow")
    site.post(f"/accounts/{account}/roles", {"role": "viewer", "project_id": mine})
    key = site.post("/keys", {"label": "test", "account_id": account})["key"]
    with site.client(key) as ada:
        told = ada.get("/events").raise_for_status().text
        assert ada.get("/events", params={"project": other}).status_code == 422
        assert "/audit" not in told  # nor does she audit
    assert f"project-{mine}" in told
    assert "Not mine" not in told
    assert "account." not in told.partition("<main")[2].split("</form>")[1]
