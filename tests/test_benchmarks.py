"""Each benchmark runs and finds figures; how good they are is for `make bench` to say."""

import math

import pytest

from benchmarks.figures import Expected, Figure, quantile
from benchmarks.registry import BENCHMARKS
from benchmarks.table import as_markdown


@pytest.mark.parametrize("name", BENCHMARKS)
def test_it_finds_figures(name: str) -> None:
    figures = BENCHMARKS[name](True)
    assert figures
    for figure in figures:
        assert all(math.isfinite(value) for value in (*figure.ours, *figure.theirs, figure.others))
        assert len(figure.theirs) in {0, len(figure.ours)}


def test_a_ratio_is_that_of_the_median_pair() -> None:
    figure = Figure(what="", unit="s", ours=(1, 9, 4), theirs=(1, 3, 2), others=0)
    assert figure.ratio == 2


@pytest.mark.parametrize(
    ("expected", "met"), [(Expected(2), True), (Expected(2, at_least=True), False)]
)
def test_without_an_alternative_the_median_is_what_counts(expected: Expected, met: bool) -> None:
    figure = Figure(what="", unit="s", ours=(1, 9, 1), expected=expected, others=0)
    assert figure.met is met


def test_a_quantile_is_a_value_that_was_measured() -> None:
    assert quantile([3, 1, 2, 4], 0.5) == 2
    assert quantile([3, 1, 2, 4], 0.99) == 4
    assert quantile([5], 0.5) == 5


def test_the_table_says_what_was_expected() -> None:
    figure = Figure(
        what="single events",
        unit="events/s",
        ours=(90,),
        alternative="raw saves",
        theirs=(100,),
        expected=Expected(0.9, at_least=True),
        others=0.01,
    )
    row = as_markdown({"append": [figure]}, "a machine").splitlines()[2]
    assert row == (
        "| append | single events | 90 events/s | 100 events/s: raw saves | 0.90x"
        " | ≥ 0.9x: met | 1% |"
    )
