"""Conversion of boxes between a format's pixels and shares of the image.

Shares have nine decimals. A box is rounded at its edges, so that a box written with enough
decimals is read back as the same box.
"""

import math
from collections.abc import Callable

from adapters.formats.sources import Flaw
from domain.dataset.image import Box

DECIMALS = 9
GRID = 10.0**-DECIMALS
SLACK = 1e-5
"""The tolerance of a box's edges, as a share: exporters write only five or six decimals."""


def pixel_box(
    left: float,
    top: float,
    right: float,
    bottom: float,
    width: float,
    height: float,
    *,
    clip: bool = False,
    slack: float = SLACK,
) -> Box:
    """The box between these edges of an image of `width` by `height`, in the same unit.

    Edges up to `slack` (in shares) outside the image are clipped; with `clip`, all edges are.
    Raises `Flaw` for a box that reaches further, has no area in the image or is not finite.
    """
    slack = math.inf if clip else slack
    x, wide = _span(left / width, right / width, slack)
    y, high = _span(top / height, bottom / height, slack)
    return Box(x, y, wide, high)


def _span(start: float, end: float, slack: float) -> tuple[float, float]:
    if not (math.isfinite(start) and math.isfinite(end)):
        raise Flaw("the box is not finite; use finite numbers")
    if start < -slack or end > 1 + slack:
        raise Flaw("the box reaches beyond the image; correct it, or import with the option clip")
    first = round(min(max(start, 0.0), 1.0), DECIMALS) + 0.0
    length = round(round(min(max(end, 0.0), 1.0), DECIMALS) - first, DECIMALS)
    if length <= 0:
        raise Flaw("the box has no area inside the image; correct or remove it")
    return first, length


def edges(box: Box) -> tuple[float, float, float, float]:
    """Left, top, right and bottom, in shares."""
    right, bottom = box.x + box.width, box.y + box.height
    return box.x, box.y, round(right, DECIMALS), round(bottom, DECIMALS)


def shortest(value: float, same: Callable[[float], bool]) -> float:
    """The value with the fewest decimals for which `same` holds; whole numbers are integers."""
    for decimals in range(13):
        short = round(value, decimals)
        if same(short):
            return int(short) if short.is_integer() else short
    return value


def pixels(share: float, size: int, *, offset: int = 0) -> float:
    """A share of `size` in pixels, counted from `offset`: the shortest number that reads back as
    the same share."""

    def same(value: float) -> bool:
        return round((value - offset) / size, DECIMALS) == round(share, DECIMALS)

    return shortest(share * size + offset, same)


def number(text: str, what: str) -> float:
    """The number in a text. Raises `Flaw`, which names the field, `what`."""
    try:
        return float(text)
    except ValueError:
        raise Flaw(f"{what} is {text[:60]!r}; give a number such as 12.5") from None


def image_sides(width: object, height: object) -> tuple[int, int]:
    """The size that a source declares. Raises `Flaw` if no image can have it."""
    sides = []
    for name, value in (("width", width), ("height", height)):
        try:
            side = int(value) if isinstance(value, int | str) else 0
        except ValueError:
            side = 0
        if not 1 <= side < 2**31:
            raise Flaw(f"the image's {name} is {str(value)[:20]!r}; it must be pixels")
        sides.append(side)
    return sides[0], sides[1]
