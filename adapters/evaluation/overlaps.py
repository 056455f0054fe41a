"""Overlaps of boxes, which are left, top, width and height in any unit."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def intersection_over_union(first: Floats, second: Floats) -> Floats:
    """The IoU of each box of the first with each of the second, 0 for boxes without area."""
    start = np.maximum(first[:, None, :2], second[None, :, :2])
    end = np.minimum((first[:, :2] + first[:, 2:])[:, None], (second[:, :2] + second[:, 2:])[None])
    shared = np.maximum(end - start, 0).prod(axis=2)
    union = first[:, 2:].prod(axis=1)[:, None] + second[:, 2:].prod(axis=1)[None] - shared
    overlap: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap
