"""Photographs and handwritten digits that scikit-learn brings along, and altered copies of them."""

import io
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from PIL import Image, ImageEnhance

from cli.demo.digits import read_digits


@lru_cache(maxsize=1)
def photographs() -> tuple[Image.Image, ...]:
    """Fourteen different pictures: two photographs, and six parts of each."""
    from sklearn.datasets import load_sample_images

    whole = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    corners = [(x, y) for x in (0, 213, 426) for y in (0, 213)]
    parts = [photo.crop((x, y, x + 213, y + 213)) for photo in whole for x, y in corners]
    return (*whole, *parts)


def altered(photo: Image.Image) -> Iterator[tuple[str, bytes]]:
    """Copies that people make of a picture, by what was done."""
    width, height = photo.size
    yield "half as large", encoded(photo.resize((width // 2, height // 2)))
    yield "as JPEG", encoded(photo, "JPEG", quality=40)
    yield "brighter", encoded(ImageEnhance.Brightness(photo).enhance(1.1))
    x, y = width // 200, height // 200
    yield "cropped", encoded(photo.crop((x, y, width - x, height - y)))


def encoded(image: Image.Image, form: str = "PNG", **save: int) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **save)
    return file.getvalue()


@lru_cache(maxsize=1)
def digits() -> tuple[tuple[int, bytes], ...]:
    """Handwritten digits of 8 by 8 pixels, 300 of them, with what they are."""
    found = read_digits()
    return tuple(
        (int(target), encoded(Image.fromarray((pixels * 15).astype(np.uint8))))
        for target, pixels in zip(found.target[:300], found.images[:300], strict=True)
    )
