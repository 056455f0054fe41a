"""Crops: what is cut out of an image, and a training on crops."""

import io
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from adapters.blobs.blobs import BlobStore
from adapters.images import decoding
from adapters.images.crops import crop_edges
from adapters.settings import Settings
from domain.training.messages import Evaluated, ManifestLine, Sides
from domain.training.options import resolve_options
from gpu_worker import images
from gpu_worker.images import decode
from tests.gpu_worker.at_hand import prepare, train_version
from tests.gpu_worker.samples import COLOURS, coloured_job, of_type

ON_CROPS = resolve_options("classification", {"width": 32, "height": 32}, crops=True)
RESNET = {"architecture": "resnet18"}
HALVES: dict[str, Sides] = {"left": (0.0, 0.0, 0.5, 1.0), "right": (0.5, 0.0, 0.5, 1.0)}


@pytest.fixture
def nats_url() -> str:
    return ""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, nats_url=None)


@pytest.mark.parametrize(
    ("crop", "margin", "edges"),
    [
        ((0.25, 0.5, 0.5, 0.25), 0.0, (25, 20, 75, 30)),
        ((0.25, 0.5, 0.5, 0.25), 0.2, (23, 18, 77, 32)),
        ((0.25, 0.5, 0.5, 0.25), 1.0, (15, 10, 85, 40)),
        ((0.0, 0.0, 0.5, 1.0), 0.5, (0, 0, 70, 40)),
        ((0.333333333, 0.0, 0.333333333, 1.0), 0.0, (33, 0, 67, 40)),
        ((1.0, 1.0, 1e-9, 1e-9), 0.0, (99, 39, 100, 40)),
        ((0.5, 0.5, 1e-9, 1e-9), 0.0, (50, 20, 51, 21)),
    ],
)
def test_a_crop_has_a_margin_and_stays_in_the_image(
    crop: Sides, margin: float, edges: tuple[int, int, int, int]
) -> None:
    assert crop_edges((100, 40), crop, margin) == edges


def encoded(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def halves(left: str, right: str, *, turned: bool = False) -> bytes:
    """An image of two colours side by side; `turned` is stored on its side, with an orientation."""
    image = Image.new("RGB", (64, 32), COLOURS[left])
    image.paste(COLOURS[right], (32, 0, 64, 32))
    exif = Image.Exif()
    if turned:
        image = image.transpose(Image.Transpose.ROTATE_90)
        exif[0x0112] = 6
    return encoded(image, exif=exif)


@pytest.mark.parametrize("turned", [False, True])
def test_a_crop_is_of_the_upright_image(turned: bool) -> None:
    data = halves("red", "blue", turned=turned)
    for side, colour in (("left", "red"), ("right", "blue")):
        pixels = decode(data, ON_CROPS, 10_000, crop=HALVES[side]).pixels
        assert (pixels == COLOURS[colour]).all()


def test_the_margin_is_added_around_the_crop() -> None:
    data = halves("red", "blue")
    with_margin = msgspec.structs.replace(ON_CROPS, margin_crop=0.25)
    pixels = decode(data, with_margin, 10_000, crop=HALVES["left"]).pixels
    cut = Image.open(io.BytesIO(data)).crop((0, 0, 40, 32))
    assert (pixels == np.asarray(cut.resize((32, 32), Image.Resampling.BILINEAR))).all()


def test_versions_of_images_keep_the_margin_that_they_cut_off() -> None:
    """Those of earlier releases have an option of this name with another meaning."""
    data = halves("red", "blue")
    stored = msgspec.structs.replace(
        resolve_options("classification", {"width": 32, "height": 32}), margin_crop=0.25
    )
    pixels = decode(data, stored, 10_000).pixels
    cut = Image.open(io.BytesIO(data)).crop((4, 4, 60, 28))
    assert (pixels == np.asarray(cut.resize((32, 32), Image.Resampling.BILINEAR))).all()
    # A crop's image that is asked for as a whole loses nothing.
    margin = msgspec.structs.replace(ON_CROPS, margin_crop=0.25)
    assert (decode(data, margin, 10_000).pixels == decode(data, ON_CROPS, 10_000).pixels).all()


def noisy(data: bytes, seed: int) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        pixels = np.asarray(image) + np.random.default_rng(seed).integers(-40, 40, (32, 64, 3))
    return encoded(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)))


def crops(blobs: BlobStore, *, noise: bool = False) -> list[ManifestLine]:
    """Two crops each of 18 images; the colour of each crop is its concept."""
    names = list(COLOURS)
    lines = []
    for number in range(18):
        left, right = names[number % 3], names[(number + 1 + number // 3 % 2) % 3]
        data = halves(left, right, turned=number % 2 == 1 and not noise)
        blob = blobs.put(noisy(data, number) if noise else data)
        split = "train" if number < 12 else "validation"
        for place, (side, colour) in enumerate((("left", left), ("right", right))):
            key = f"image-{number:02}:{place}"
            lines.append(ManifestLine(key, blob, split, (colour,), crop=HALVES[side]))
    return lines


def test_an_image_is_decoded_once_for_its_crops(
    settings: Settings, blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []

    def counting(*arguments: Any, **more: Any) -> Image.Image:
        decoded.append(arguments)
        return decoding.decode(*arguments, **more)

    monkeypatch.setattr(images, "decode_rgb", counting)
    lines = crops(blobs)
    data = prepare(coloured_job(blobs, lines=lines, crops=True), blobs, settings, lambda _: None)
    assert len(decoded) == 18
    pixels = [image for split in (data.train, data.validation) for image in split.decoded[0]]
    for line, image in zip(lines, pixels, strict=True):
        assert (image == COLOURS[line.concepts[0]]).all()


def test_a_training_on_crops_tells_them_apart(settings: Settings, blobs: BlobStore) -> None:
    said: list[Any] = []
    lines = crops(blobs, noise=True)
    job = coloured_job(blobs, lines=lines, crops=True, epochs=4.0, margin_crop=0.1, **RESNET)
    train_version(job, 1, settings, blobs, said.append)
    (evaluated,) = of_type(Evaluated, said)
    assert (evaluated.train.images, evaluated.validation.images) == (24, 12)
    assert evaluated.validation.accuracy == 1.0
    path = settings.data / "predictions.parquet"
    path.write_bytes(blobs.get(evaluated.predictions))
    keys = pq.read_table(path)["image"].to_pylist()
    assert sorted(keys) == [line.image for line in lines]
