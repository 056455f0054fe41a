"""Slices by metadata and the reliability of scores: by calls, and on the pages."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Page, expect
from torchmetrics.classification import BinaryCalibrationError

from application.dataset.projects import add_images
from domain.dataset.image import AddImage
from tests.api.evaluation.scene import Asked, ask, evaluated, row
from tests.api.scene import Scene
from tests.application.scenes import do

CHECKS = (Path(__file__).parents[1] / "pages_checks.js").read_text()
RIGHT, WRONG = [0.9, 0.1], [0.2, 0.8]


@pytest.fixture(scope="module")
def sliced(site: Scene) -> tuple[str, str]:
    """Two versions on images of three cameras and one without: the first fails on `left`."""
    asked = ask(site, "classification", ("zero", "one"))
    cameras = ["left", "left", "left", "right", "right", "rear", "rear", None]
    additions = [
        AddImage(
            asked.project_id,
            hashlib.sha256(b"%d" % number).hexdigest(),
            8,
            8,
            f"{number}.png",
            {"site": "north"} | ({} if camera is None else {"camera": camera}),
        )
        for number, camera in enumerate(cameras)
    ]
    images = do(site.store, lambda s: add_images(s, asked.project_id, additions)).ids

    def version(scores: list[list[float]]) -> str:
        rows = [row(i, "validation", [0], s) for i, s in zip(images, scores, strict=True)]
        rows += [row(asked.images[0], "train", [0], WRONG)]
        return evaluated(site, asked, rows, kind="classification")

    first = version([WRONG, WRONG, RIGHT, RIGHT, WRONG, RIGHT, RIGHT, RIGHT])
    second = version([RIGHT, RIGHT, RIGHT, RIGHT, WRONG, RIGHT, WRONG, RIGHT])
    site.visible()
    return first, second


def get(site: Scene, path: str, **query: str) -> Any:
    return site.http.get(f"/api/v1{path}", params=query).raise_for_status().json()


def test_the_worst_slice_is_first(site: Scene, sliced: tuple[str, str]) -> None:
    first, second = sliced
    path = f"/versions/{first}/evaluation/slices"
    assert get(site, path)["keys"] == ["camera", "site"]
    found = get(site, path, key="camera")
    told = [(one["value"], one["images"], one["errors"]) for one in found["items"]]
    assert told == [("left", 3, 2), ("right", 2, 1), ("rear", 2, 0), (None, 1, 0)]
    assert [one["metric"] for one in found["items"]] == pytest.approx([1 / 3, 0.5, 1, 1])
    assert [one["images"] for one in get(site, path, key="camera", split="train")["items"]] == [1]
    compared = get(site, f"/versions/{first}/compare/{second}/slices", key="camera")["items"]
    deltas = [(one["value"], one["delta"]) for one in compared]
    assert deltas == [("rear", -0.5), ("right", 0), (None, 0), ("left", pytest.approx(2 / 3))]


def test_the_reliability_diagram_agrees_with_torchmetrics(site: Scene) -> None:
    asked: Asked = ask(site, "tagging", ("zero", "one"))
    random = np.random.default_rng(3)
    rows = [
        row(f"image-{n}", "validation", np.flatnonzero(random.random(2) < 0.5).tolist(), scores)
        for n, scores in enumerate(random.random((200, 2)).tolist())
    ]
    version = evaluated(site, asked, rows, kind="tagging")
    site.visible()
    bins = get(site, f"/versions/{version}/evaluation/calibration")["bins"]
    total = sum(one["predictions"] for one in bins)
    ours = sum(one["predictions"] * abs(one["score"] - one["right"]) for one in bins) / total
    truth = [[concept in one["truth"] for concept in (0, 1)] for one in rows]
    metric = BinaryCalibrationError(n_bins=10, norm="l1")
    theirs = metric(torch.tensor([one["scores"] for one in rows]), torch.tensor(truth).int())
    assert total == 400
    assert ours == pytest.approx(float(theirs), abs=1e-5)


def test_slices_are_chosen_on_the_pages(sliced: tuple[str, str], page: Page) -> None:
    first, second = sliced
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(f"/versions/{first}/evaluation")
    page.get_by_label("By metadata").select_option("camera")
    slices = page.locator("[data-slice]")
    expect(slices.first).to_contain_text("left")
    expect(slices).to_have_count(4)
    assert "key=camera" in page.url
    expect(page.locator("[data-bin]").first).to_be_visible()
    assert page.evaluate(CHECKS) == []
    page.goto(f"/versions/{first}/compare/{second}")
    page.get_by_label("By metadata").select_option("camera")
    expect(slices.first).to_contain_text("rear")
    expect(slices.first).to_contain_text("\N{MINUS SIGN}50.0")
