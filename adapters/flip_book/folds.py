"""Metrics of items as folds over the epochs: pure functions of arrays (epochs, items)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]

EASY, AMBIGUOUS, HARD = "easy", "ambiguous", "hard"
REGIONS = (EASY, AMBIGUOUS, HARD)

NEVER = 0
"""The first epoch in which an item was correct, if there is none: epochs count from 1."""

_AMBIGUOUS_FROM, _EASY_FROM = 0.2, 0.5


class Dynamics(NamedTuple):
    """What an item's epochs come to, an array of the items for each metric.

    `confidence`, `variability` and `correctness` are those of Swayamdipta et al. 2020 (arXiv
    2009.10795), `aum` is that of Pleiss et al. 2020 (arXiv 2001.10528), `forgotten` counts the
    forgetting events of Toneva et al. 2019 (arXiv 1812.05159). `region` is an index in `REGIONS`.
    """

    confidence: Floats
    variability: Floats
    correctness: Floats
    aum: Floats
    forgotten: Counts
    first_learnt: Counts
    region: Counts


def dynamics(
    probability: NDArray[np.floating],
    margin: NDArray[np.floating],
    correct: Bools,
    epochs: NDArray[np.integer],
) -> Dynamics:
    """The metrics over all epochs given: one or more, numbered by `epochs`, in order."""
    confidence = probability.mean(axis=0, dtype=np.float64)
    variability = probability.std(axis=0, dtype=np.float64)
    first = np.where(correct.any(axis=0), epochs[correct.argmax(axis=0)], NEVER)
    region = np.where(confidence >= _EASY_FROM, REGIONS.index(EASY), REGIONS.index(HARD))
    region[variability >= _AMBIGUOUS_FROM] = REGIONS.index(AMBIGUOUS)
    return Dynamics(
        confidence,
        variability,
        correct.mean(axis=0, dtype=np.float64),
        margin.mean(axis=0, dtype=np.float64),
        (correct[:-1] & ~correct[1:]).sum(axis=0),
        first,
        region,
    )
