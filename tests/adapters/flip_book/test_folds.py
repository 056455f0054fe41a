"""The metrics of items, against their definitions written out item by item."""

import itertools
import math
import statistics

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adapters.flip_book.folds import NEVER, REGIONS, dynamics

_SHAPES = st.tuples(st.integers(1, 8), st.integers(1, 5))


@st.composite
def measured(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    shape = draw(_SHAPES)
    probability = draw(arrays(np.float32, shape, elements=st.floats(0, 1, width=32)))
    margin = draw(arrays(np.float32, shape, elements=st.floats(-50, 50, width=32)))
    correct = draw(arrays(np.bool_, shape))
    first = draw(st.integers(1, 3))
    return probability, margin, correct, np.arange(first, first + shape[0])


@given(measured())
def test_each_metric_is_what_its_paper_defines(
    columns: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    probability, margin, correct, epochs = columns
    found = dynamics(probability, margin, correct, epochs)
    for item in range(probability.shape[1]):
        own = [float(value) for value in probability[:, item]]
        right = correct[:, item].tolist()
        assert math.isclose(found.confidence[item], statistics.fmean(own), abs_tol=1e-9)
        assert math.isclose(found.variability[item], statistics.pstdev(own), abs_tol=1e-7)
        assert math.isclose(found.correctness[item], right.count(True) / len(right))
        aum = sum(float(value) for value in margin[:, item]) / len(own)
        assert math.isclose(found.aum[item], aum, abs_tol=1e-5)
        forgotten = 0
        for before, after in itertools.pairwise(right):
            forgotten += before and not after
        assert found.forgotten[item] == forgotten
        learnt = [epoch for epoch, is_right in zip(epochs, right, strict=True) if is_right]
        assert found.first_learnt[item] == (learnt[0] if learnt else NEVER)


def test_regions_of_the_map() -> None:
    probability = np.array([[0.9, 0.1, 0.9], [0.8, 0.2, 0.1]])
    found = dynamics(probability, probability, probability > 0.5, np.array([1, 2]))
    assert [REGIONS[region] for region in found.region] == ["easy", "hard", "ambiguous"]
