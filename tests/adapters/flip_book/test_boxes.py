"""The outcomes of boxes, case by case."""

import math

import numpy as np
import pytest

from adapters.evaluation.overlaps import intersection_over_union
from adapters.flip_book.boxes import image_loss, judge_boxes

Given = list[tuple[int, tuple[float, float, float, float], float]]

TRUE = (0.0, 0.0, 10.0, 10.0)
HALF = (0.0, 0.0, 10.0, 5.0)
"""Its IoU with `TRUE` is 0.5."""
FAR = (50.0, 50.0, 10.0, 10.0)
ASIDE = (5.0, 0.0, 10.0, 10.0)
"""Its IoU with `TRUE` is 1/3."""


def judged(true: Given, predicted: Given) -> tuple[list[str], list[str], list[int]]:
    truth, boxes = judge_boxes(*_arrays(true)[:2], *_arrays(predicted))
    return truth.outcome, boxes.outcome, boxes.matched.tolist()


def _arrays(boxes: Given) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    concepts = np.array([concept for concept, _, _ in boxes], np.int64)
    sides = np.array([sides for _, sides, _ in boxes], np.float64).reshape(-1, 4)
    return concepts, sides, np.array([score for _, _, score in boxes], np.float64)


@pytest.mark.parametrize(
    ("predicted", "truth", "boxes", "matched"),
    [
        ([], "missed", [], []),
        ([(0, TRUE, 0.5)], "found", ["found"], [0]),
        ([(0, HALF, 0.9)], "found", ["found"], [0]),
        ([(0, TRUE, 0.49)], "missed", ["discarded"], [-1]),
        ([(0, TRUE, 0.9), (0, HALF, 0.8)], "found", ["found", "duplicate"], [0, 0]),
        ([(1, TRUE, 0.9)], "swapped", ["swapped"], [0]),
        ([(0, ASIDE, 0.9)], "shifted", ["shifted"], [0]),
        ([(1, TRUE, 0.9), (0, ASIDE, 0.8)], "swapped", ["swapped", "spurious"], [0, -1]),
        ([(1, ASIDE, 0.9)], "missed", ["spurious"], [-1]),
        ([(0, FAR, 0.9)], "missed", ["spurious"], [-1]),
        ([(1, TRUE, 0.9), (0, TRUE, 0.8)], "found", ["spurious", "found"], [-1, 0]),
    ],
)
def test_outcomes(predicted: Given, truth: str, boxes: list[str], matched: list[int]) -> None:
    assert judged([(0, TRUE, 1.0)], predicted) == ([truth], boxes, matched)


def test_a_box_finds_the_nearest_of_its_concept() -> None:
    true: Given = [(0, HALF, 1.0), (0, TRUE, 1.0)]
    assert judged(true, [(0, TRUE, 0.9)]) == (["missed", "found"], ["found"], [1])
    both = judged(true, [(0, TRUE, 0.9), (0, TRUE, 0.8)])
    assert both == (["found", "found"], ["found", "found"], [1, 0])


def test_an_image_without_a_true_box_has_spurious_ones_only() -> None:
    assert judged([], [(0, TRUE, 0.9)]) == ([], ["spurious"], [-1])
    assert judged([], []) == ([], [], [])


def test_measurements_of_a_true_box() -> None:
    predicted = _arrays([(1, TRUE, 0.9), (0, HALF, 0.8), (0, ASIDE, 0.6)])
    truth, boxes = judge_boxes(*_arrays([(0, TRUE, 1.0)])[:2], *predicted)
    assert truth.probability.tolist() == pytest.approx([0.8 * 0.5])
    assert truth.margin.tolist() == pytest.approx([0.8 * 0.5 - 0.9])
    assert truth.loss.tolist() == pytest.approx([-math.log(0.4)])
    assert truth.predicted.tolist() == [1]
    expected = (-math.log(0.4) - math.log(0.1) - math.log(0.4)) / 3
    assert image_loss(truth, boxes, predicted[2]) == pytest.approx(expected)


def test_a_box_without_area_overlaps_none() -> None:
    flat = np.array([[1.0, 1.0, 0.0, 0.0]])
    assert intersection_over_union(flat, np.array([TRUE])).tolist() == [[0.0]]
    assert intersection_over_union(flat, flat).tolist() == [[0.0]]
