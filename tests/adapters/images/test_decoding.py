"""Every image becomes the pixels that the rule says, and what cannot is refused at the gate."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from adapters.images.decoding import (
    Undecodable,
    decode,
    depends_on_depth,
    inspect,
    is_shown_alike,
)
from adapters.uploads.image_files import ImageLimits, accept_image
from domain.dataset.pixels import grey_depth
from domain.errors import Invalid
from tests.adapters.images.odd import HEIGHT, ODD, REFUSED, WIDTH, encoded, ramp

MAX = 10_000
LIMITS = ImageLimits(100_000, MAX)
each_odd = pytest.mark.parametrize("name", ODD)


@each_odd
def test_an_image_becomes_the_pixels_of_the_rule(name: str) -> None:
    odd = ODD[name]
    pixels = np.asarray(decode(odd.data, MAX, grey_bits=odd.grey_bits)).astype(int)
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(pixels - odd.pixels).max() <= odd.tolerance


@each_odd
def test_the_gate_takes_it_and_finds_its_size_and_depth(name: str) -> None:
    odd = ODD[name]
    taken = accept_image("a.bin", odd.data, LIMITS)
    assert (taken.width, taken.height) == (WIDTH, HEIGHT)
    bits = None if taken.highest_grey is None else grey_depth(taken.highest_grey)
    assert bits == odd.grey_bits
    assert depends_on_depth(odd.data, MAX) == (odd.grey_bits is not None)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_by_name_with_what_to_do(name: str) -> None:
    with pytest.raises(Invalid, match=r"^x\.img: .*(convert it to|store it|use RGB)") as refused:
        accept_image("x.img", REFUSED[name], LIMITS)
    assert "BytesIO" not in refused.value.detail
    with pytest.raises(Undecodable):
        decode(REFUSED[name], MAX)


def test_heic_is_named() -> None:
    with pytest.raises(
        Undecodable, match="this is HEIC, which is not supported; convert it to JPEG"
    ):
        inspect(REFUSED["HEIC"], MAX)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_ordinary_images_are_read_as_by_the_first_rule(kind: str) -> None:
    for mode in ("RGB", "L"):
        data = encoded(Image.fromarray(ramp()).convert(mode), kind)
        with Image.open(io.BytesIO(data)) as image:
            expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        assert np.array_equal(np.asarray(decode(data, MAX)), expected)
        assert is_shown_alike(data, MAX)


def test_an_opaque_image_with_alpha_keeps_its_colours() -> None:
    opaque = np.dstack([ramp(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    assert np.array_equal(np.asarray(decode(encoded(Image.fromarray(opaque)), MAX)), ramp())


def test_values_beyond_the_depth_are_white() -> None:
    deep = encoded(Image.fromarray(np.full((4, 4), 60_000, np.uint16)))
    assert np.asarray(decode(deep, MAX, grey_bits=12)).min() == 255


def test_colours_of_16_bits_that_would_be_read_as_black_are_refused() -> None:
    data = _deep_colours(4095)
    with pytest.raises(Undecodable, match="upper 8"):
        inspect(data, MAX)
    assert inspect(_deep_colours(65535), MAX).highest_grey is None


def _deep_colours(highest: int) -> bytes:
    """A PNG of 16-bit RGB, which Pillow does not write: two pixels, black and the highest."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    row = b"\0" + struct.pack(">6H", 0, 0, 0, highest, highest, highest)
    header = struct.pack(">2I5B", 2, 1, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(row))
        + chunk(b"IEND", b"")
    )


def test_a_browser_gets_the_file_only_where_it_shows_it_alike() -> None:
    alike = {name for name, odd in ODD.items() if is_shown_alike(odd.data, MAX)}
    oriented = {f"orientation {number}, JPEG" for number in range(1, 9)}
    assert alike == oriented | {"one bit", "orientation 1, PNG", "orientation 1, WEBP"}


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (4, 100), (100, 4)])
def test_a_jpeg_of_a_few_pixels_is_no_damaged_one(size: tuple[int, int]) -> None:
    data = io.BytesIO()
    Image.new("RGB", size).save(data, "JPEG")
    found = inspect(data.getvalue(), 10_000)
    assert (found.width, found.height) == size
