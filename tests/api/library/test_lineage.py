"""The family tree of a view: forks, trainings from others' weights, experiments folded."""

from xml.etree import ElementTree

from playwright.sync_api import Page, expect

from tests.api.pages.test_pages import CHECKS, SCHEMES
from tests.api.scene import Scene

SVG = "{http://www.w3.org/2000/svg}"


def test_forks_and_starts_are_drawn_and_lead_to_versions(site: Scene, page: Page) -> None:
    _, view_id = site.trainable("Tree")
    first = site.version(view_id, architecture="resnet18")
    site.begin(first)
    site.epoch(first, 1)
    site.finish(first)
    before = site.visible()
    site.concepts(view_id, "two")
    second = site.version(view_id, architecture="resnet18", start_from=first)
    head = site.visible()
    page.goto(f"/views/{view_id}")
    tree = page.get_by_role("group", name="Family tree")
    expect(tree.get_by_role("link")).to_have_count(2)
    expect(tree.locator("[data-lane]")).to_have_text(
        ["Model 1", "Model 2 added 'two'"], use_inner_text=False
    )
    expect(tree.locator("path.fork")).to_have_count(1)
    expect(tree.locator("path.start-from")).to_have_count(1)
    expect(tree.locator(".best")).to_have_count(1)
    page.get_by_role("link", name="Lineage").first.click()
    page.wait_for_url(f"**/views/{view_id}/lineage")
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(CHECKS) == [], scheme
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download SVG").click()
    drawing = ElementTree.parse(saved.value.path()).getroot()
    assert drawing.tag == f"{SVG}svg"
    assert len(drawing.findall(f".//{SVG}circle")) == 4
    page.goto(f"/views/{view_id}/lineage?as_of={before}")
    expect(tree.get_by_role("link")).to_have_count(1)
    page.goto(f"/views/{view_id}/lineage?at_least={head}")
    tree.get_by_role("link").last.click()
    page.wait_for_url(f"**/versions/{second}")
