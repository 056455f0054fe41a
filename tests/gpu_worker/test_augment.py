"""Augmentations and balancing: what they do to pixels, to boxes and to what is drawn."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy
from torch import Tensor

from domain.training.augmentations import OPERATIONS
from domain.training.form_controls import resolve
from domain.training.options import Augmentation
from gpu_worker.augment import _FUNCTIONS, _LEAST_OVERLAP, Sample, augment
from gpu_worker.balance import balanced

HEIGHT, WIDTH = 24, 40
IMAGE = torch.arange(3 * HEIGHT * WIDTH).reshape(3, HEIGHT, WIDTH).remainder(251).to(torch.uint8)
BOXES = torch.tensor([[4.0, 5.0, 12.0, 20.0], [20.0, 2.0, 39.0, 9.0]])


def applied(op: str, seed: int = 0, boxes: Tensor = BOXES, **given: float) -> Sample:
    """One operation for certain, on an image that is not square."""
    sample = Sample(IMAGE.clone(), boxes.clone())
    parameters = resolve(iter(OPERATIONS[op].parameters), given)
    _FUNCTIONS[op](sample, parameters, np.random.default_rng(seed))
    return sample


@pytest.mark.parametrize("op", OPERATIONS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_every_operation_keeps_size_type_and_boxes_within(op: str, seed: int) -> None:
    sample = applied(op, seed)
    assert sample.image.shape == IMAGE.shape
    assert sample.image.dtype == torch.uint8
    boxes = sample.boxes.numpy()
    assert len(boxes) == len(sample.kept) > 0
    assert (boxes >= 0).all()
    assert (boxes[:, 2:] <= (WIDTH, HEIGHT)).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    again = applied(op, seed)
    assert torch.equal(again.image, sample.image)
    assert torch.equal(again.boxes, sample.boxes)


def test_flips_and_rotations_move_pixels_and_boxes_alike() -> None:
    """A box that is painted into the image is found where its corners say."""
    black = torch.zeros_like(IMAGE)
    left, top, right, bottom = (int(corner) for corner in BOXES[0])
    black[:, top:bottom, left:right] = 255
    for op in ("horizontal_flip", "vertical_flip", "rotation_90"):
        for seed in range(4):
            sample = Sample(black.clone(), BOXES[:1].clone())
            _FUNCTIONS[op](sample, {}, np.random.default_rng(seed))
            rows, columns = np.nonzero(sample.image[0].numpy() > 127)
            found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert np.abs(np.array(found) - sample.boxes[0].numpy()).max() <= 1.5, op


def test_brightness_adds_one_delta() -> None:
    grey = torch.full((3, 8, 8), 100, dtype=torch.uint8)
    found = set()
    for seed in range(20):
        sample = Sample(grey, BOXES[:0])
        _FUNCTIONS["brightness"](sample, {"max_delta": 0.1}, np.random.default_rng(seed))
        (value,) = set(sample.image.flatten().tolist())
        found.add(value)
    assert min(found) >= 100 - 26
    assert max(found) <= 100 + 26
    assert len(found) > 5


def test_contrast_stretches_about_the_mean_of_each_channel() -> None:
    sample = applied("contrast", minimum=1.0, maximum=2.0)
    mean = IMAGE.float().mean((1, 2), keepdim=True)
    factor = np.random.default_rng(0).uniform(1.0, 2.0)
    expected = ((IMAGE.float() - mean) * factor + mean).clamp(0, 255).round()
    assert (sample.image.float() - expected).abs().max() <= 1


def test_noise_stays_within_a_square() -> None:
    sample = applied("patch_noise", max_deviation=2.0)
    rows, columns = np.nonzero((sample.image != IMAGE).any(0).numpy())
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert abs(height - width) <= 3
    assert height < HEIGHT or width < WIDTH


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_a_crop_keeps_boxes_by_how_much_of_them_is_left(seed: int) -> None:
    sample = applied("random_crop", seed, min_area=0.2, max_area=0.3)
    whole = (BOXES[:, 2:] - BOXES[:, :2]).prod(1)
    assert len(sample.kept) >= 1
    if torch.equal(sample.boxes, BOXES):
        return
    # Areas grow by what the crop is stretched by, at most by 1 / 0.2 and rounding.
    areas = (sample.boxes[:, 2:] - sample.boxes[:, :2]).prod(1)
    assert (areas >= _LEAST_OVERLAP * whole[sample.kept] * 0.9).all()


def test_operations_come_by_chance_and_in_order() -> None:
    listed = (Augmentation("horizontal_flip", {}), Augmentation("brightness", {"max_delta": 1.0}))
    flipped = brightened = 0
    for seed in range(200):
        sample = Sample(IMAGE, BOXES)
        augment(sample, listed, np.random.default_rng(seed))
        flipped += not torch.equal(sample.boxes, BOXES)
        brightened += int(sample.image.float().mean() != IMAGE.float().mean())
    assert 75 <= flipped <= 125
    assert 20 <= brightened <= 60


@given(
    st.lists(st.lists(st.integers(0, 4), max_size=3), min_size=1, max_size=60),
    st.floats(1.1, 10),
)
def test_balancing_draws_each_once_and_raises_the_entropy(
    labels: list[list[int]], expansion: float
) -> None:
    drawn = balanced(labels, expansion)
    assert set(drawn.tolist()) == set(range(len(labels)))
    assert len(drawn) <= max(len(labels) * expansion, len(labels))
    before, after = (
        entropy(list(Counter(label for place in places for label in set(labels[place])).values()))
        for places in (range(len(labels)), drawn.tolist())
    )
    assert after >= before or np.isnan(before)


def test_balancing_spreads_what_it_repeats() -> None:
    drawn = Counter(balanced([[0]] * 12 + [[1]] * 3, 10.0).tolist())
    assert [drawn[place] for place in range(12)] == [1] * 12
    assert [drawn[place] for place in range(12, 15)] == [4, 4, 4]
    assert len(balanced([[0]] * 100 + [[1]], 1.5)) == 151
