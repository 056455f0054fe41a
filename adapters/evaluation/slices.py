"""Slices: metrics on the images of each value of a metadata key, the worst one first."""

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapters.evaluation import metrics
from adapters.evaluation.prediction_arrays import Bools, Decided
from domain.dataset.items import image_id_of

MOST = 100
"""The most slices that are listed; the worst ones are."""


class Slice(msgspec.Struct, frozen=True):
    """The images with a `value`, None for those without the key, and how many have an error.

    `metric` is the share of images without an error or, in detection, F1 over all boxes; None where
    it is undefined, such as without any box.
    """

    value: str | None
    images: int
    errors: int
    metric: float | None


def slices(decided: Decided, within: Bools, values: Mapping[str, str]) -> list[Slice]:
    """The slices of the images of `within`, by their values; the worst first."""
    errors = decided.false_positives(None) + decided.false_negatives(None) > 0
    found = [
        Slice(
            value,
            int(members.sum()),
            int((errors & members).sum()),
            metrics.overall(decided, members),
        )
        for value, members in _members(decided.predictions.images.ids, within, values).items()
    ]
    return sorted(found, key=_worst_first)


def _members(
    ids: list[str], within: Bools, values: Mapping[str, str]
) -> dict[str | None, NDArray[np.bool_]]:
    members: dict[str | None, NDArray[np.bool_]] = {}
    for place in np.flatnonzero(within).tolist():
        value = values.get(image_id_of(ids[place]))
        if value not in members:
            members[value] = np.zeros(len(ids), np.bool_)
        members[value][place] = True
    return members


def _worst_first(item: Slice) -> tuple[float, int, str]:
    """Undefined ones last; of equal ones, the one with more images is worse."""
    return 2.0 if item.metric is None else item.metric, -item.images, item.value or ""
