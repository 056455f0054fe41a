"""axe-core over every page: light, dark and on a phone; and the order in which Tab goes."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, BrowserContext, Page

from tests.api.pages.test_pages import SCHEMES
from tests.api.scene import Scene
from tests.waiting import HANG_MS

AXE = """async () => {
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const runOnly = { type: "tag", values: tags };
  const { violations } = await axe.run(document, { runOnly, resultTypes: ["violations"] });
  const told = (nodes) => nodes.slice(0, 3).map(({ html }) => html.slice(0, 160));
  return violations.map(({ id, nodes }) => [id, told(nodes)]);
}"""
ORDER = """() => {
  const { activeElement: at } = document;
  if (at === document.body) return null;
  const { x, y } = at.getBoundingClientRect();
  const label = at.labels?.[0]?.textContent ?? at.getAttribute("aria-labelledby");
  const name = at.ariaLabel || at.textContent.trim() || label || at.querySelector("img")?.alt;
  return { name, outlined: getComputedStyle(at).outlineStyle !== "none", y: y + scrollY, x };
}"""


@pytest.fixture(scope="module")
def profile(site: Scene, chromium: Browser) -> Iterator[BrowserContext]:
    # The script of axe is put into pages, which allow scripts of this server only.
    context = chromium.new_context(**site.browsing, bypass_csp=True)
    context.set_default_timeout(HANG_MS)
    yield context
    context.close()


@pytest.fixture(scope="module")
def paths(site: Scene) -> dict[str, str]:
    """Every page, by its name, with something on it."""
    project, view = site.trainable("Pages")
    version = site.version(view, architecture="resnet18")
    site.begin(version)
    site.epoch(version, 1)
    site.epoch(version, 2)
    site.finish(version)
    other = site.version(view, architecture="resnet18", start_from=version)
    site.concepts(view, "two")
    image = site.images(project, 1)[0]
    detection = site.post(f"/projects/{project}/views", {"name": "Where", "kind": "detection"})
    site.concepts(str(detection["id"]), *(f"part {number}" for number in range(12)))
    site.visible()
    return {
        "home": "/",
        "project": f"/projects/{project}",
        "project images": f"/projects/{project}/images?view={view}",
        "project views": f"/projects/{project}/views",
        "imports": f"/projects/{project}/imports",
        "groups": f"/projects/{project}/groups",
        "near-duplicates": f"/projects/{project}/near-duplicates",
        "snapshots": f"/projects/{project}/snapshots",
        "image": f"/images/{image}",
        "view": f"/views/{view}",
        "concepts": f"/views/{view}/concepts",
        "annotate": f"/views/{view}/annotate",
        "annotate boxes": f"/views/{detection['id']}/annotate",
        "agreement": f"/views/{view}/agreement",
        "lineage": f"/views/{view}/lineage",
        "experiments": f"/views/{view}/experiments",
        "compare": f"/views/{view}/compare?versions={version},{other}",
        "version": f"/versions/{version}",
        "queued version": f"/versions/{other}",
        "evaluation": f"/versions/{version}/evaluation",
        "flip book": f"/versions/{version}/flip-book",
        "suspects": f"/versions/{version}/suspects",
        "compare predictions": f"/versions/{version}/compare",
        "workers": "/workers",
        "audit": "/audit",
        "events": "/events",
        "webhooks": "/webhooks",
        "access": "/access",
        "asyncapi": "/asyncapi",
        "search": "/search?text=a",
        "documentation": "/docs",
        "guide": "/docs/vision-team/annotating",
        "problems": "/problems",
        "notices": "/notices",
        "login": "/login",
        "missing": "/views/nothing",
    }


def violations(page: Page) -> list[Any]:
    found: list[Any] = page.evaluate(AXE)
    return found


def test_axe_finds_nothing(profile: BrowserContext, paths: dict[str, str]) -> None:
    page = profile.new_page()
    found = {}
    for name, path in paths.items():
        page.set_viewport_size({"width": 1360, "height": 900})
        page.emulate_media(color_scheme="light")
        page.goto(path, wait_until="load")
        page.evaluate(AXE_SCRIPT)
        for width in (1360, 390):
            page.set_viewport_size({"width": width, "height": 900})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                if wrong := violations(page):
                    found[f"{name} {width} {scheme}"] = wrong
    page.close()
    assert found == {}


@pytest.mark.parametrize("name", ["home", "project", "view", "version", "annotate"])
def test_tab_goes_down_the_page(profile: BrowserContext, paths: dict[str, str], name: str) -> None:
    """From the skip link through the header to the content; each stop is outlined and named."""
    page = profile.new_page()
    page.set_viewport_size({"width": 1000, "height": 900})
    page.goto(paths[name], wait_until="load")
    stops = []
    for _ in range(40):
        page.keyboard.press("Tab")
        stop = page.evaluate(ORDER)
        if stop is None:
            break
        stops.append(stop)
    page.close()
    assert stops[0]["name"] == "Skip to the content"
    assert all(stop["outlined"] and stop["name"] for stop in stops), stops
    names = [stop["name"] for stop in stops]
    assert re.match("Stemma", names[1])
    # In one column: what comes later stands no higher, but for what stands beside it.
    below = [stop["y"] for stop in stops[1:]]
    assert all(after > before - 60 for before, after in itertools.pairwise(below)), stops
