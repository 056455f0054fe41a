"""Images as the network gets them, and the order of batches."""

import io

import numpy as np
import pytest
from PIL import Image

from domain.training.options import resolve_options
from gpu_worker.data import epoch_order, iterations_per_epoch
from gpu_worker.images import ImageUnreadable, Pixels, decode

SMALL = resolve_options("classification", {"width": 32, "height": 32})


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decoded(image: Image.Image, kind: str = "PNG", **options: object) -> Pixels:
    return decode(encoded(image, kind, **options), SMALL, 1_000_000).pixels


def test_an_image_is_turned_as_its_exif_says() -> None:
    image = Image.new("RGB", (64, 64))
    image.paste((255, 255, 255), (0, 0, 64, 16))
    exif = Image.Exif()
    exif[0x0112] = 3
    pixels = decoded(image, "JPEG", exif=exif)
    assert pixels[:20].mean() < 20
    assert pixels[-4:].mean() > 230


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "RGB"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert decoded(Image.new("RGB", (40, 20), "white").convert(mode), kind).shape == (32, 32, 3)


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    grey = Image.fromarray(np.full((32, 32), 0x4000, np.uint16))
    assert np.unique(decoded(grey)).tolist() == [0x40]


def test_resizing_is_antialiased() -> None:
    board = np.indices((256, 256)).sum(axis=0) % 2 * 255
    pixels = decoded(Image.fromarray(board.astype(np.uint8)))
    assert np.abs(pixels.astype(int) - 127).max() < 8


@pytest.mark.parametrize("data", [b"", b"not an image", encoded(Image.new("L", (64, 64)))[:-30]])
def test_what_is_no_whole_image_is_refused(data: bytes) -> None:
    with pytest.raises(ImageUnreadable):
        decode(data, SMALL, 1_000_000)


@pytest.mark.parametrize(
    ("images", "batch", "iterations"), [(48, 8, 6), (50, 8, 7), (49, 8, 6), (1, 8, 1), (3, 1, 3)]
)
def test_a_last_batch_of_one_is_left_out(images: int, batch: int, iterations: int) -> None:
    assert iterations_per_epoch(images, batch) == iterations


def test_epochs_shuffle_by_seed_and_number() -> None:
    orders = [epoch_order(50, seed, epoch).tolist() for seed in (1, 2) for epoch in (0, 1)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert epoch_order(50, 1, 0).tolist() == orders[0]
