"""Uploaded files are accepted only whole, within limits, and under a bare name."""

import io

import pytest
from PIL import Image

from adapters.images.file_format import READABLE as FORMATS
from adapters.uploads.image_files import ImageLimits, accept_image
from domain.errors import Invalid

LIMITS = ImageLimits(max_bytes=100_000, max_pixels=100 * 100)


def encoded(form: str, width: int = 40, height: int = 30) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((width, height), 50).save(file, form)
    return file.getvalue()


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_accepted_with_its_size(form: str) -> None:
    accepted = accept_image("a.bin", encoded(form), LIMITS)
    assert (accepted.width, accepted.height) == (40, 30)


@pytest.mark.parametrize("form", FORMATS)
def test_a_truncated_file_is_refused(form: str) -> None:
    whole = encoded(form)
    with pytest.raises(Invalid):
        accept_image("a.bin", whole[: len(whole) * 2 // 3], LIMITS)


def test_limits_hold_to_the_pixel_and_the_byte() -> None:
    accept_image("a.png", encoded("PNG", 100, 100), LIMITS)
    with pytest.raises(Invalid, match="pixels"):
        accept_image("a.png", encoded("PNG", 101, 100), LIMITS)
    exact = encoded("PNG")
    accept_image("a.png", exact, ImageLimits(len(exact), 10**6))
    with pytest.raises(Invalid, match="bytes"):
        accept_image("a.png", exact, ImageLimits(len(exact) - 1, 10**6))


@pytest.mark.parametrize("name", ["../a.png", "a/b.png", "..\\a.png", "..", ".", "", "a\n.png"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="file name"):
        accept_image(name, encoded("PNG"), LIMITS)
