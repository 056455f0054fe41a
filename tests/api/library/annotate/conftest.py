"""A browser that annotates."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.api.pages.tabs import opened_tab
from tests.api.scene import Scene
from tests.waiting import HANG_MS

EXPECTED = re.compile(r"Failed to load resource: (net::ERR_FAILED|.* status of 4(01|03|04|12|22))")


@pytest.fixture(scope="module")
def profile(site: Scene, chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(**site.browsing, viewport={"width": 1300, "height": 900})
    context.set_default_timeout(HANG_MS)
    yield context
    context.close()


@pytest.fixture
def page(profile: BrowserContext) -> Iterator[Page]:
    """A tab that must have nothing to complain about, conflicts and lost connections aside."""
    with opened_tab(profile, EXPECTED) as tab:
        yield tab
