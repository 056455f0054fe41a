"""Edges of crops in pixels."""

Sides = tuple[float, float, float, float]
"""Left, top, width and height, as shares of the image's sides."""


def crop_edges(
    size: tuple[int, int], crop: Sides, margin: float = 0.0
) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a crop in pixels of an image of this size, at least one pixel.

    The margin, a share of the crop's shorter side, is added on each side as far as the image
    reaches.
    """
    width, height = size
    left, top, crop_width, crop_height = (
        share * side for share, side in zip(crop, size * 2, strict=True)
    )
    added = margin * min(crop_width, crop_height)
    first_column = min(max(round(left - added), 0), width - 1)
    first_row = min(max(round(top - added), 0), height - 1)
    return (
        first_column,
        first_row,
        max(min(round(left + crop_width + added), width), first_column + 1),
        max(min(round(top + crop_height + added), height), first_row + 1),
    )
