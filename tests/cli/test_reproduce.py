import math

import pytest

from cli.training.reproduce import distance


def test_figures_are_compared_as_numbers() -> None:
    assert distance(0.5, 0.25) == 0.25


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_figure_that_is_no_number_is_within_no_tolerance(value: float | None) -> None:
    assert not distance(value, 0.5) <= 1
    assert not distance(0.5, value) <= 1
