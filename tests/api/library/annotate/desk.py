"""A view of few images, what is said of them, and what the annotator shows."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, expect

from tests.api.pages.test_pages import show
from tests.api.scene import Scene


class Desk:
    """A view of three images, and what is said of them by way of the API."""

    def __init__(self, site: Scene, kind: str, images: int = 3) -> None:
        self.site, self.project = site, site.project(kind)
        body = {"name": f"A {kind}", "kind": kind}
        self.view = str(site.post(f"/projects/{self.project}/views", body)["id"])
        self.cat, self.dog = site.concepts(self.view, "cat", "dog")
        self.images = site.images(self.project, images)
        self.path = f"/views/{self.view}/annotate"

    def said(self, image: str) -> dict[str, Any]:
        query = f"view_id={self.view}&at_least={self.site.store.head()}"
        found: dict[str, Any] = self.site.http.get(f"/api/v1/images/{image}?{query}").json()[
            "image"
        ]
        return found

    def concepts(self, image: str) -> list[str]:
        return [one["concept_id"] for one in self.said(image)["annotations"]]

    def say(self, image: str, *annotations: object, actor: str = "ada") -> None:
        url = f"/api/v1/images/{image}/annotations/{self.view}"
        body = {"annotations": list(annotations)}
        answer = self.site.person(actor).put(url, json=body)
        assert answer.is_success, answer.text


def shown_image(page: Page) -> str | None:
    return next(iter(parse_qs(urlsplit(page.url).query).get("image", [])), None)


def expect_state(page: Page, text: str) -> None:
    expect(page.locator("[data-annotate] [data-state]")).to_have_text(text)


def begin(page: Page, site: Scene, path: str) -> None:
    """Open the annotator; its first image is shown, so that keys are about it."""
    show(page, site, path)
    annotator = page.locator("[data-annotate]")
    expect(annotator).to_have_attribute("data-state", re.compile("saved|changed"))
    expect(annotator.locator("[data-state]")).not_to_contain_text("loading")


def expect_ready(page: Page, text: str) -> None:
    """The script runs and shows an image: keys are about it."""
    expect(page.locator("[data-annotate]")).to_have_attribute("data-state", "saved")
    expect_state(page, text)


def expect_count(page: Page, name: str, train: int) -> None:
    expect(page.locator(f'[data-count-of="{name}"] td').first).to_have_text(str(train))


def place_of(page: Page, x: float, y: float) -> tuple[float, float]:
    """A place of the picture, in shares of it, as one of the page."""
    frame = page.locator("[data-frame] svg").bounding_box()
    assert frame is not None
    return frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]


def drag(page: Page, *places: tuple[float, float]) -> None:
    """Drag from one place of the picture to another, in shares of it."""
    for index, (x, y) in enumerate(places):
        page.mouse.move(*place_of(page, x, y), steps=4)
        if index == 0:
            page.mouse.down()
    page.mouse.up()


def near(box: dict[str, float], *sides: float) -> bool:
    return all(abs(a - b) < 0.01 for a, b in zip(box.values(), sides, strict=True))
