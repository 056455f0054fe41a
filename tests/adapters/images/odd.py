"""Images of every odd kind in a few hundred bytes, and the pixels that they must become."""

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

SIDE = 24
WIDTH, HEIGHT = 24, 16
Pixels = NDArray[Any]


class Odd(NamedTuple):
    """A file, and its upright RGB pixels; `grey_bits` is the depth that its project chooses."""

    data: bytes
    pixels: Pixels
    grey_bits: int | None = None
    tolerance: int = 0


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def ramp() -> Pixels:
    """Colours that differ in every corner; shape (16, 24, 3)."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([x * 10, y * 15, 255 - x * 5 - y * 7], axis=-1).astype(np.uint8)


def _rgb(grey: Pixels) -> Pixels:
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=-1)


def _composited(colours: Pixels, alpha: Pixels) -> Pixels:
    share = alpha[..., None] / 255
    return np.round(colours * share + 255 * (1 - share)).astype(np.uint8)


def _grey16(highest: int, bits: int, kind: str) -> Odd:
    values = np.linspace(0, highest, WIDTH * HEIGHT).astype(np.uint16).reshape(HEIGHT, WIDTH)
    return Odd(encoded(Image.fromarray(values), kind), _rgb(values >> (bits - 8)), bits)


def _alpha() -> Pixels:
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[:, 8:] = 128
    alpha[:, 16:] = 255
    return alpha


def _rgba(kind: str, **options: Any) -> Odd:
    """Under alpha 0 there are colours, which nobody must see."""
    image = Image.fromarray(np.dstack([ramp(), _alpha()]))
    return Odd(encoded(image, kind, **options), _composited(ramp(), _alpha()), tolerance=1)


def _grey_alpha() -> Odd:
    grey = ramp()[..., 0]
    image = Image.merge("LA", (Image.fromarray(grey), Image.fromarray(_alpha())))
    return Odd(encoded(image), _composited(_rgb(grey), _alpha()), tolerance=1)


def _palette() -> Odd:
    """Index 0 is red and transparent, 1 half transparent, 2 opaque."""
    indices = np.zeros((HEIGHT, WIDTH), np.uint8)
    indices[:, 8:], indices[:, 16:] = 1, 2
    image = Image.fromarray(indices, "P")
    colours = np.array([[255, 0, 0], [0, 200, 0], [0, 0, 250]], np.uint8)
    image.putpalette(colours.tobytes())
    alphas = np.array([0, 100, 255], np.uint8)
    data = encoded(image, transparency=alphas.tobytes())
    return Odd(data, _composited(colours[indices], alphas[indices]), tolerance=1)


def _colour_key() -> Odd:
    pixels = ramp()
    pixels[:4] = (1, 2, 3)
    data = encoded(Image.fromarray(pixels), transparency=(1, 2, 3))
    pixels[:4] = 255
    return Odd(data, pixels)


def _gif() -> Odd:
    indices = np.zeros((HEIGHT, WIDTH), np.uint8)
    indices[:, 12:] = 1
    image = Image.fromarray(indices, "P")
    image.putpalette(bytes([255, 0, 0, 0, 0, 250]))
    expected = np.where(indices[..., None] == 0, 255, np.array([0, 0, 250])).astype(np.uint8)
    return Odd(encoded(image, "GIF", transparency=0), expected)


def _cmyk(kind: str, **options: Any) -> Odd:
    inks = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    inks[..., 0], inks[:, 12:, 3] = 200, 100
    paper = 255 - inks[..., :3].astype(int)
    black = 255 - inks[..., 3:].astype(int)
    image = Image.fromarray(inks, "CMYK")
    return Odd(encoded(image, kind, **options), np.round(paper * black / 255), tolerance=3)


def _profiled(kind: str, **options: Any) -> Odd:
    """A profile that swaps much: its numbers are read as they are."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    return Odd(
        encoded(Image.fromarray(ramp()), kind, icc_profile=profile, **options),
        ramp(),
        tolerance=8 if kind == "JPEG" else 0,
    )


def _oriented(kind: str, orientation: int, **options: Any) -> Odd:
    """What is stored so that, turned as its orientation says, the ramp comes out."""
    undo: dict[int, Callable[[Pixels], Pixels]] = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: p.transpose(1, 0, 2)[::-1],
        7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
        8: lambda p: p.transpose(1, 0, 2)[:, ::-1],
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](ramp())))
    data = encoded(stored, kind, exif=exif, **options)
    return Odd(data, ramp(), tolerance=8 if kind == "JPEG" else 0)


def _one_bit() -> Odd:
    bits = np.indices((HEIGHT, WIDTH)).sum(axis=0) // 4 % 2 * 255
    return Odd(encoded(Image.fromarray(bits.astype(np.uint8)).convert("1")), _rgb(bits))


FINE = {"quality": 100, "subsampling": 0}
ODD: dict[str, Odd] = {
    "grey 16 bits, full range": _grey16(65535, 16, "PNG"),
    "grey 16 bits, full range, TIFF": _grey16(65535, 16, "TIFF"),
    "grey 16 bits, 12 used": _grey16(4095, 12, "PNG"),
    "grey 16 bits, 12 used, TIFF": _grey16(4000, 12, "TIFF"),
    "grey 16 bits, 8 used": _grey16(255, 8, "PNG"),
    "grey and alpha": _grey_alpha(),
    "RGBA, hidden colours": _rgba("PNG"),
    "RGBA, hidden colours, WebP": _rgba("WEBP", lossless=True, exact=True),
    "RGBA, hidden colours, TIFF": _rgba("TIFF"),
    "palette with transparency": _palette(),
    "colour key": _colour_key(),
    "GIF with transparency": _gif(),
    "CMYK JPEG": _cmyk("JPEG", quality=100, subsampling=0),
    "CMYK TIFF": _cmyk("TIFF"),
    "ICC profile, PNG": _profiled("PNG"),
    "ICC profile, JPEG": _profiled("JPEG", **FINE),
    "ICC profile, WebP": _profiled("WEBP", lossless=True),
    "one bit": _one_bit(),
} | {
    f"orientation {number}, {kind}": _oriented(kind, number, **options)
    for number in range(1, 9)
    for kind, options in (("JPEG", FINE), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}))
}

REFUSED = {
    "float TIFF": encoded(Image.new("F", (8, 8), 0.5), "TIFF"),
    "32-bit TIFF": encoded(Image.new("I", (8, 8), 70_000), "TIFF"),
    "LAB TIFF": encoded(Image.new("LAB", (8, 8)), "TIFF"),
    "HEIC": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(60),
    "JPEG 2000": b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(60),
}
"""Files that neither gate takes."""
