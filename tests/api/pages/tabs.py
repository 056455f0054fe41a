"""Tabs of a browser that must have nothing to complain about."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import BrowserContext, Page


@contextmanager
def opened_tab(profile: BrowserContext, excused: re.Pattern[str]) -> Iterator[Page]:
    """A tab without errors or warnings at its end, but for those whose text is `excused`."""
    tab = profile.new_page()
    complaints: list[str] = []
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on(
        "console",
        lambda message: (
            complaints.append(message.text)
            if message.type in {"error", "warning"} and not excused.match(message.text)
            else None
        ),
    )
    yield tab
    tab.close()
    assert not complaints, complaints
