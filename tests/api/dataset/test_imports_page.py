"""The page of imports: an archive goes in by it, and what becomes of it is seen."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from adapters.dataset.imports.progress import Phase, claimed
from api.dataset import imports_page
from tests.adapters.dataset.importing import png
from tests.adapters.running import running
from tests.api.dataset.import_scene import PETS, ImportScene, with_bad_lines, zipped
from tests.api.pages.tabs import opened_tab
from tests.api.pages.test_html import NASTY, get
from tests.api.pages.test_pages import CHECKS, SCHEMES
from tests.api.scene import KEY, Scene
from tests.waiting import HANG_MS

REFUSED = re.compile(r"Failed to load resource: the server responded with a status of 4(09|22)")


@pytest.fixture(scope="module")
def profile(importing: ImportScene, chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(
        **importing.site.browsing, viewport={"width": 1400, "height": 900}
    )
    context.set_default_timeout(HANG_MS)
    yield context
    context.close()


@pytest.fixture
def page(profile: BrowserContext) -> Iterator[Page]:
    """A tab that must have nothing to complain about."""
    with opened_tab(profile, REFUSED) as tab:
        yield tab


def archive(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def expect_status(page: Page, status: str) -> None:
    expect(page.locator("[data-import]").first.locator("[data-status]")).to_have_text(status)


def test_an_empty_page_names_the_formats_and_shows_a_layout(site: Scene) -> None:
    project_id = site.project()
    page = get(site, f"/projects/{project_id}/imports")
    assert "No imports yet" in page
    for label in imports_page.LABELS.values():
        assert label in page
    assert "├── cat" in page
    assert f"{site.url}/api/v1/projects/{project_id}/imports/upload?name=pets.zip" in page
    assert f'href="/projects/{project_id}/imports"' in get(site, f"/projects/{project_id}")


def test_there_is_no_page_of_no_project(site: Scene) -> None:
    assert "data-problem-page" in get(site, "/projects/none/imports", 404)


def test_names_are_text_and_imports_come_by_pages(
    site: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports_page, "IMPORTS_A_PAGE", 2)
    project_id = site.project()
    site.view(project_id, name=NASTY)
    for number in range(3):
        upload(site, project_id, b"x", name=f"{NASTY}{number}.zip", view=NASTY)
    first = get(site, f"/projects/{project_id}/imports")
    assert "<img src=x" not in first
    assert first.count("data-import=") == 2
    following = first.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0]
    second = get(site, f"/projects/{project_id}/imports{following}")
    assert second.count("data-import=") == 1
    assert "0.zip" in second


def test_an_archive_is_imported_and_its_images_are_in_the_grid(
    importing: ImportScene, page: Page, tmp_path: Path
) -> None:
    project_id = importing.site.project("Pets")
    importing.site.visible()
    page.goto(f"/projects/{project_id}")
    page.get_by_role("link", name="Import or export").click()
    form = page.locator("#import")
    form.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator("#import-body-error")).to_have_text("choose an archive first")
    form.get_by_label("Archive or video", exact=True).set_input_files(
        archive(tmp_path, "pets.zip", zipped(PETS))
    )
    form.get_by_label("View", exact=True).fill("x" * 201)
    form.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator("#import-view-error")).to_contain_text("at most 200 fit")
    form.get_by_label("View", exact=True).fill("species")
    form.get_by_label("Format", exact=True).select_option("folders")
    form.get_by_label("Skip bad lines").check()
    with page.expect_request("**/imports/upload*") as sent:
        form.get_by_role("button", name="Import", exact=True).click()
    assert sent.value.headers["idempotency-key"]
    assert parse_qs(urlsplit(sent.value.url).query) == {
        "name": ["pets.zip"],
        "view": ["species"],
        "format": ["folders"],
        "new_concepts": ["true"],
        "skip_bad": ["true"],
        "clip": ["false"],
        "dry_run": ["false"],
        "unlabelled": ["negative"],
        "scenes": ["false"],
    }
    expect(page.locator("[data-import]")).to_have_count(1)
    page.evaluate("window.theSame = true")
    expect_status(page, "completed")
    for name, count in {"images": 3, "added": 3, "annotated": 3, "concepts": 2}.items():
        expect(page.locator(f'[data-import] [data-count="{name}"]')).to_have_text(str(count))
    expect(page.locator("#export").get_by_label("species")).to_be_visible()
    assert page.evaluate("window.theSame === true")
    expect(page).not_to_have_url(re.compile("at_least"))
    page.get_by_role("link", name="Pets").click()
    expect(page.locator("[data-image]")).to_have_count(3)
    expect(page.locator("[data-view]")).to_contain_text("species")


def test_a_refused_import_names_file_and_line(
    importing: ImportScene, page: Page, tmp_path: Path
) -> None:
    project_id = importing.site.project("Pets")
    importing.site.visible()
    page.goto(f"/projects/{project_id}/imports")
    file = archive(tmp_path, "pets.zip", zipped(with_bad_lines(25)))
    page.get_by_label("Archive or video", exact=True).set_input_files(file)
    page.get_by_role("button", name="Import", exact=True).click()
    expect_status(page, "refused")
    expect(page.locator("[data-reason]")).to_contain_text("25 lines or files cannot be imported")
    expect(page.locator("[data-problem-at]")).to_have_count(20)
    expect(page.locator("[data-problem-at]").first).to_contain_text("annotations.csv:3")
    with page.expect_download() as saved:
        page.get_by_role("link", name="All 25 problems").click()
    assert len(Path(saved.value.path()).read_text(encoding="utf-8").splitlines()) == 25


def test_progress_is_seen_as_it_goes(site: Scene, page: Page) -> None:
    project_id = site.project()
    import_id = upload(site, project_id, zipped(PETS))
    site.visible()
    page.goto(f"{signed_in_at(page, site)}/projects/{project_id}/imports")
    shown = page.locator("[data-import-progress]")
    expect(shown).to_have_text("Queued")
    page.evaluate("window.theSame = true")
    with claimed(site.settings.require("database_url"), import_id) as progress:
        progress.show(Phase.UNPACKING, 0, None)
        expect(shown).to_have_text("unpacking")
        progress.show(Phase.CHECKING, 1_000, 4_000)
        expect(shown).to_have_text("checking: 1,000 of 4,000 images")
        expect(shown.locator("progress")).to_have_attribute("value", "0.25")
    with running(site.settings, "importer"):
        expect_status(page, "completed")
    expect(shown).to_have_count(0)
    assert page.evaluate("window.theSame === true")


def test_the_page_needs_no_script_to_be_read_and_to_export(
    importing: ImportScene, chromium: Browser
) -> None:
    project_id = importing.site.project()
    importing.taken(project_id, zipped(PETS), view="species")
    importing.images(project_id)
    context = chromium.new_context(**importing.site.browsing, java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"/projects/{project_id}/imports")
    expect(tab.locator('[data-count="added"]')).to_have_text("3")
    position = importing.site.store.head()
    tab.get_by_label("Format", exact=True).last.select_option("csv")
    tab.get_by_label("species").check()
    with tab.expect_download() as saved:
        tab.get_by_role("button", name="Export a zip").click()
    assert saved.value.suggested_filename == f"csv-at-{position}.zip"
    context.close()


def test_an_export_is_of_now_unless_a_position_is_named(importing: ImportScene, page: Page) -> None:
    project_id = importing.site.project()
    importing.taken(project_id, zipped(PETS), view="species")
    past = importing.site.visible()
    page.goto(f"/projects/{project_id}/imports")
    importing.taken(project_id, zipped({"cat/7.png": png(7)}), view="species")
    export = page.get_by_role("button", name="Export a zip")
    page.get_by_label("With the image files").check()
    with page.expect_download() as saved:
        export.click()
    assert saved.value.suggested_filename == f"studio-at-{importing.site.store.head()}.zip"
    page.get_by_label("As of position").fill(str(past))
    with page.expect_download() as saved:
        export.click()
    then = importing.export(project_id, format="studio", images=True, as_of=past)
    assert Path(saved.value.path()).read_bytes() == then.content
    page.get_by_label("As of position").fill("999999999")
    export.click()
    expect(page.locator("[data-problem-page]")).to_contain_text("the log ends at")


def test_the_page_can_be_read_and_steered_in_both_schemes(site: Scene, page: Page) -> None:
    project_id = site.project()
    site.visible()
    path = f"{signed_in_at(page, site)}/projects/{project_id}/imports"
    assert_readable(page, path)
    upload(site, project_id, zipped(PETS), view="species")
    upload(site, project_id, zipped(PETS), dry_run=True)
    upload(site, project_id, zipped(with_bad_lines(25)), name="bad.zip")
    site.visible()
    page.goto(path)
    with running(site.settings, "importer"):
        expect_status(page, "refused")
    upload(site, project_id, zipped(PETS), name=f"{'long' * 30}.zip")
    site.visible()
    assert_readable(page, path)


def upload(site: Scene, project_id: str, content: bytes, **asked: Any) -> str:
    """Ask for an import; its id."""
    path = f"/api/v1/projects/{project_id}/imports/upload"
    answer = site.http.post(path, params={"name": "pets.zip"} | asked, content=content)
    assert answer.is_success, answer.text
    return str(answer.json()["id"])


def signed_in_at(page: Page, site: Scene) -> str:
    """The address of a second server for a browser, which has one cookie for a host, whatever the
    port: under another name."""
    address = site.url.replace("127.0.0.1", "localhost")
    cookie = site.session(KEY)
    page.context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": address}])
    return address


def assert_readable(page: Page, path: str) -> None:
    page.goto(path)
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Sign in")
    for width in (1400, 400):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(CHECKS) == [], f"{path} {scheme} {width}"
