"""ONNX files of others: their scores, and what they may not take, give or do."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from domain.trainers.predicting import MOST_ONNX_BYTES
from gpu_worker.onnx_limits import NotAsAgreed
from gpu_worker.onnx_scores import running_onnx
from tests.gpu_worker.onnx_files import (
    FLOAT,
    SIDES,
    brightness,
    endless,
    huge,
    with_weights_elsewhere,
)


def scores_of(path: Path, content: bytes, shades: list[int], **limits: float) -> list[list[float]]:
    """The scores of images of one colour each."""
    path.write_bytes(content)
    with running_onnx(path, 2, **limits) as network:
        images = [Image.new("RGB", (20, 10), (shade,) * 3) for shade in shades]
        pixels = [network.pixels(image) for image in images]
        found: list[list[float]] = []
        for start in range(0, len(pixels), network.batch):
            found += network.scores(pixels[start : start + network.batch])
        return found


@pytest.mark.parametrize("count", ["n", 1, 3])
def test_every_image_is_scored_in_order(tmp_path: Path, count: str | int) -> None:
    shades = list(range(0, 256, 15))
    found = scores_of(tmp_path / "model.onnx", brightness(count=count), shades)
    expected = [[shade / 255, 1 - shade / 255] for shade in shades]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_crop_is_cut_out_before_it_is_resized(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(brightness())
    image = Image.new("RGB", (20, 10))
    image.paste((255, 255, 255), (10, 0, 20, 10))
    with running_onnx(tmp_path / "model.onnx", 2) as network:
        (left, right) = network.scores(
            [network.pixels(image, crop) for crop in ((0, 0, 0.5, 1), (0.5, 0, 0.5, 1))]
        )
    assert (left, right) == ([0, 1], [1, 0])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no network", "the file cannot be loaded"),
        (b"", "the file cannot be loaded"),
        (brightness(takes=FLOAT), r"the file takes tensor\(float\).*; needed is one input"),
        (brightness(sides=("height", 6)), r"'height', 6, 3\]; needed is .* with fixed sides"),
        (brightness(sides=(8, 5000)), "takes 8 by 5000 pixels; at most 4096 fit"),
        (brightness(count=100), "takes 100 images of 4 by 6 pixels at a time; at most 16 fit"),
        (brightness(scale=2.0), "the score 510; scores are from 0 to 1: put the softmax"),
        (brightness(scale=float("nan")), "a score that is not a finite number"),
    ],
)
def test_what_is_not_as_agreed_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(NotAsAgreed, match=says):
        scores_of(tmp_path / "model.onnx", content, [255])


def test_a_file_for_other_concepts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(brightness())
    with (
        running_onnx(path, 3) as network,
        pytest.raises(NotAsAgreed, match=r"scores of .*\(n, 3\)"),
    ):
        network.scores([np.zeros((*SIDES, 3), np.uint8)])


def test_a_file_reads_no_other_files(tmp_path: Path) -> None:
    weights = tmp_path / "scale.bin"
    weights.write_bytes(np.float32(1 / 255).tobytes())
    for path in ("scale.bin", str(weights), "../scale.bin"):
        with pytest.raises(NotAsAgreed, match="has its weights in other files"):
            scores_of(tmp_path / "model.onnx", with_weights_elsewhere(path), [255])


def test_a_file_that_never_ends_is_ended(tmp_path: Path) -> None:
    with pytest.raises(NotAsAgreed, match="took more than 5 seconds"):
        scores_of(tmp_path / "model.onnx", endless(), [255], seconds=5.0)


def test_a_file_does_not_take_all_memory(tmp_path: Path) -> None:
    with pytest.raises(NotAsAgreed, match=r"the file cannot be run|of memory"):
        scores_of(tmp_path / "model.onnx", huge(), [255])


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(MOST_ONNX_BYTES + 1)
    with (
        pytest.raises(NotAsAgreed, match="at most 2,147,483,648 can be run"),
        running_onnx(path, 2),
    ):
        pass
