"""The documentation as a site: every page and link is there, and nothing loads from elsewhere."""

import json
import re
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from playwright.sync_api import expect, sync_playwright

from scripts.docs_reference import IFRAME_WORKER
from scripts.pictures import CHROMIUM

ROOT = Path(__file__).parents[1]
LOADED = re.compile(r"<(?:script|img|iframe)[^>]* src=\"([^\"]*)\"|<link[^>]* href=\"([^\"]*)\"")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True))
    return folder


def test_it_is_built_without_a_warning_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 60
    for page in pages:
        for found in LOADED.findall(page.read_text(encoding="utf-8")):
            address = "".join(found)
            assert not re.match(r"(https?:)?//", address), f"{page.name}: {address}"


def test_every_event_and_operation_has_an_entry(site: Path) -> None:
    events = (site / "reference" / "events.html").read_text(encoding="utf-8")
    assert 'id="versioncreated"' in events
    assert re.search(r"Version \d+\.", events)
    operations = (site / "reference" / "api.html").read_text(encoding="utf-8")
    assert "POST /api/v1/views/{view_id}/versions" in operations


def test_every_class_of_the_package_has_an_entry(site: Path) -> None:
    reference = (site / "reference" / "python.html").read_text(encoding="utf-8")
    for name in ("client.Stemma", "versions.Version", "prediction.OnnxModel", "errors.NotProven"):
        assert f'id="stemma_client.{name}"' in reference
    assert 'id="stemma_client.versions.Version.predict"' in reference
    assert "_repr_html_" not in reference


def test_code_that_the_site_lacks_is_named_by_its_path(site: Path) -> None:
    guide = (site / "contributor.html").read_text(encoding="utf-8")
    assert "domain/library/model_rule.py" in guide
    assert "../domain/" not in guide


def test_decisions_rank_below_guides_in_the_search(site: Path) -> None:
    entries = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))[
        "docs"
    ]
    boosts = {entry["location"].partition("/")[0]: entry.get("boost", 1) for entry in entries}
    assert boosts["decisions"] < boosts["operator"] == 1


@pytest.mark.skipif(
    CHROMIUM is None or not IFRAME_WORKER.exists(), reason="needs Chromium and iframe-worker of npm"
)
def test_the_search_works_in_pages_that_are_opened_as_files(site: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = browser.new_page()
            page.goto((site / "tutorials" / "operator.html").as_uri())
            page.locator("input[name=query]").fill("near-duplicates")
            found = page.locator(".md-search-result__link").first
            expect(found).to_have_attribute("href", re.compile(r"groups\.html"))
        finally:
            browser.close()
