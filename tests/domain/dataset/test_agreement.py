"""Agreement of two people: Cohen's kappa beside scikit-learn's, boxes by IoU, crops and tags."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from domain.dataset.agreement import TwoAnnotations, cohen_kappa, measure
from domain.dataset.annotation import Annotation, Box
from domain.library.view import CLASSIFICATION, DETECTION, TAGGING

LABELS = ("cat", "dog", "owl")


def both(first: str, second: str) -> TwoAnnotations:
    """An image whose concepts, a letter each, two people named."""
    return TwoAnnotations(*(tuple(Annotation(each) for each in said) for said in (first, second)))


def boxes(*drawn: tuple[str, float]) -> tuple[Annotation, ...]:
    """Squares a fifth wide, each of a concept and with its left side."""
    return tuple(Annotation(concept, Box(left, 0, 0.2, 0.2)) for concept, left in drawn)


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1))
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
def test_kappa_is_that_of_scikit_learn(labels: list[tuple[str, str]]) -> None:
    first, second = zip(*labels, strict=True)
    expected = cohen_kappa_score(first, second, labels=LABELS)
    kappa = cohen_kappa(labels)
    if math.isnan(expected):
        assert kappa is None
    else:
        assert kappa == pytest.approx(expected)


def test_a_classification_is_compared_image_by_image() -> None:
    pairs = [both("c", "c"), both("c", "d"), both("d", "d"), both("d", "d")]
    found = measure(CLASSIFICATION, ["c", "d"], pairs)
    assert (found.images, found.equal, found.boxes) == (4, 3, None)
    assert found.kappa == pytest.approx(0.5)
    cat, dog = found.concepts
    assert (cat.both, cat.first_only, cat.second_only) == (1, 1, 0)
    assert (dog.both, dog.first_only, dog.second_only) == (2, 0, 1)
    assert measure(CLASSIFICATION, ["c", "d"], []).kappa is None
    assert measure(CLASSIFICATION, ["c", "d"], [both("c", "c")]).kappa is None


def test_tags_are_compared_one_by_one() -> None:
    pairs = [both("cd", "c"), both("", ""), both("d", "d"), both("c", "cd")]
    found = measure(TAGGING, ["c", "d", "o"], pairs)
    assert found.equal == 2
    kappas = [each.kappa for each in found.concepts]
    assert kappas == [pytest.approx(1), pytest.approx(0), None]  # nobody said the third
    assert found.kappa == pytest.approx(0.5)


def test_boxes_are_the_same_by_their_overlap() -> None:
    first = boxes(("c", 0.0), ("d", 0.3), ("d", 0.7))
    moved = boxes(("c", 0.05), ("c", 0.3), ("d", 0.45))
    found = measure(DETECTION, ["c", "d"], [TwoAnnotations(first, moved)])
    assert found.boxes is not None
    # The third ones do not overlap by half; the second ones do, with another concept.
    assert (found.boxes.matched, found.boxes.first_only, found.boxes.second_only) == (2, 1, 1)
    assert found.boxes.f1 == pytest.approx(4 / 6)
    assert found.boxes.mean_iou == pytest.approx((0.15 / 0.25 + 1) / 2)
    assert found.equal == 0
    same = measure(DETECTION, ["c", "d"], [TwoAnnotations(first, first[::-1])])
    assert same.equal == 1
    assert same.kappa == pytest.approx(1)
    empty = measure(DETECTION, ["c"], [TwoAnnotations((), ())])
    assert empty.equal == 1
    assert empty.boxes is not None
    assert empty.boxes.f1 is None


def test_each_box_is_matched_once_with_the_nearest() -> None:
    near = TwoAnnotations(boxes(("c", 0.0), ("c", 0.04)), boxes(("c", 0.05)))
    found = measure(DETECTION, ["c"], [near])
    assert found.boxes is not None
    assert (found.boxes.matched, found.boxes.first_only) == (1, 1)
    assert found.boxes.mean_iou == pytest.approx(0.19 / 0.21)


def test_crops_are_compared_crop_by_crop() -> None:
    first = boxes(("c", 0.0), ("d", 0.3))
    second = boxes(("c", 0.0), ("c", 0.3), ("c", 0.6))
    pair = TwoAnnotations(first, second)
    named = measure(CLASSIFICATION, ["c", "d"], [pair], crops=True)
    assert (named.equal, named.concepts[0].both, named.concepts[0].second_only) == (0, 1, 1)
    tagged = measure(TAGGING, ["c", "d"], [pair], crops=True)
    assert (tagged.concepts[0].both, tagged.concepts[0].second_only) == (1, 2)
