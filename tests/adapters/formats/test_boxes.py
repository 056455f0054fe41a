"""Boxes are inside the image and on the grid, or a flaw."""

import math

import pytest

from adapters.formats.boxes import GRID, pixel_box, pixels
from adapters.formats.sources import Flaw
from domain.dataset.image import Box


def test_edges_in_pixels_become_shares() -> None:
    assert pixel_box(10, 20, 110, 70, 200, 100) == Box(0.05, 0.2, 0.5, 0.5)
    assert pixel_box(0, 0, 3, 1, 3, 3) == Box(0, 0, 1, 0.333333333)


def test_a_box_of_thirds_does_not_reach_beyond_the_image() -> None:
    box = pixel_box(1, 1, 3, 3, 3, 3)
    assert box == Box(0.333333333, 0.333333333, 0.666666667, 0.666666667)
    assert box.x + box.width <= 1


def test_overshoot_by_rounding_is_cut() -> None:
    assert pixel_box(-GRID / 2, 0, 1 + GRID / 2, 1, 1, 1) == Box(0, 0, 1, 1)
    assert math.copysign(1, pixel_box(-0.0, 0, 1, 1, 1, 1).x) == 1


@pytest.mark.parametrize(
    "edges", [(-1, 0, 10, 10), (0, -1, 10, 10), (0, 0, 11, 10), (0, 0, 10, 11), (11, 2, 12, 3)]
)
def test_a_box_beyond_the_image_is_a_flaw(edges: tuple[float, float, float, float]) -> None:
    with pytest.raises(Flaw, match="beyond"):
        pixel_box(*edges, 10, 10)


def test_clipping_keeps_what_is_inside() -> None:
    assert pixel_box(-5, -5, 5, 50, 10, 10, clip=True) == Box(0, 0, 0.5, 1)
    with pytest.raises(Flaw, match="no area"):
        pixel_box(11, 2, 12, 3, 10, 10, clip=True)


@pytest.mark.parametrize("edges", [(5, 0, 5, 5), (5, 0, 4, 5), (0, 5, 5, 5), (0, 0, 1e-9, 5)])
def test_a_box_of_no_area_is_a_flaw(edges: tuple[float, float, float, float]) -> None:
    with pytest.raises(Flaw, match="no area"):
        pixel_box(*edges, 10, 10)


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_box_that_is_not_finite_is_a_flaw(value: float, clip: bool) -> None:
    for place in range(4):
        edges = [0.0, 0.0, 5.0, 5.0]
        edges[place] = value
        left, top, right, bottom = edges
        with pytest.raises(Flaw, match="finite"):
            pixel_box(left, top, right, bottom, 10, 10, clip=clip)


def test_pixels_have_no_more_decimals_than_needed() -> None:
    assert pixels(round(64 / 640, 9), 640) == 64
    assert isinstance(pixels(round(1 / 3, 9), 3), int)
    assert pixels(0.5 + GRID, 100) == 50.0000001
