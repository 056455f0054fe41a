"""What is done on a page before its scripts have run."""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.api.scene import KEY, Scene
from tests.waiting import HANG_MS

_MODULES = re.compile(r"/static/(?!.*early).*\.js")


def slow_scripts(tab: Page) -> Callable[[], None]:
    """Holds back every module of this tab until what is returned is called."""
    held: list[Route] = []
    released = False

    def hold(route: Route) -> None:
        if released:
            route.continue_()
        else:
            held.append(route)

    def release() -> None:
        nonlocal released
        released = True
        for route in held:
            route.continue_()

    tab.route(_MODULES, hold)

    return release


def test_a_form_sent_before_its_script_has_run_is_sent_by_it(site: Scene, page: Page) -> None:
    project = site.project("Early")
    site.visible()
    address = f"/projects/{project}/imports"
    release = slow_scripts(page)
    page.goto(address, wait_until="commit")
    page.locator("#import").get_by_role("button", name="Import", exact=True).click()
    page.locator("#import").get_by_role("button", name="Import", exact=True).click()
    release()
    expect(page.locator("#import-body-error")).to_have_text("choose an archive first")
    assert urlsplit(page.url)[2:4] == (address, "")


def test_clicks_until_the_next_page_is_there_do_it_once(page: Page) -> None:
    sent: list[str] = []
    page.on("request", lambda made: sent.append(made.url) if made.method == "POST" else None)
    page.goto("/")
    page.get_by_role("button", name="New project").first.click()
    page.get_by_label("Name", exact=True).fill("Clicked twice")
    page.evaluate("""() => {
        const form = document.querySelector("#new-project form");
        setInterval(() => form.requestSubmit(), 1);
    }""")
    expect(page.get_by_role("heading", level=1)).to_have_text("Clicked twice")
    assert len(sent) == 1


def test_buttons_used_before_the_scripts_have_run_work_then(site: Scene, page: Page) -> None:
    site.project("Early")
    site.visible()
    release = slow_scripts(page)
    page.goto("/", wait_until="commit")
    page.get_by_role("button", name="New project").click()
    release()
    expect(page.locator("#new-project")).to_be_visible()


@pytest.fixture
def stranger(site: Scene, chromium: Browser) -> BrowserContext:
    return chromium.new_context(base_url=site.url)


def test_a_key_typed_before_the_script_has_run_signs_in_and_stays_out_of_the_address(
    stranger: BrowserContext,
) -> None:
    stranger.set_default_timeout(HANG_MS)
    tab = stranger.new_page()
    addresses: list[str] = []
    tab.on("request", lambda request: addresses.append(request.url))
    release = slow_scripts(tab)
    tab.goto("/login", wait_until="commit")
    tab.get_by_label("API key").fill(KEY)
    tab.get_by_label("API key").press("Enter")
    release()
    expect(tab.get_by_role("heading", name="Projects", exact=True)).to_be_visible()
    assert not [address for address in addresses if KEY in address]
    stranger.close()
