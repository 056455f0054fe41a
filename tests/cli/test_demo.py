"""What a demo has to reach, and its exit status if it does not."""

import io
import math

import pytest
from rich.console import Console

from cli.demo.demo import DemoResult, ExperimentResult, _found, _least, _succeeded
from cli.demo.plans import PLANS

LEAST = 0.95


def test_only_the_default_demo_has_to_be_good_enough() -> None:
    assert _least(LEAST, None, None, None) == LEAST
    for chosen in ((2, None), (None, 300), (0.1, None, None)):
        assert _least(LEAST, *chosen) is None


@pytest.mark.parametrize(
    ("value", "least", "is_enough"),
    [
        (LEAST, LEAST, True),
        (LEAST - 0.001, LEAST, False),
        (math.nan, LEAST, False),
        (None, LEAST, False),
        (0.3, None, True),
    ],
)
def test_what_is_not_good_enough_fails(
    value: float | None, least: float | None, is_enough: bool
) -> None:
    text = io.StringIO()
    printed = Console(file=text, width=200)
    version = {"status": "ready", "reason": None}
    plan = PLANS["classification"]
    result = DemoResult("v", plan.kind, "ready", value, None, None, 4, 100, 9.5)
    assert _succeeded(printed, version, plan, result, least) is is_enough
    best = {"best": {"number": 1, "value": value or 0.0}, "objective": "validation_accuracy"}
    found = ExperimentResult("e", "v", value, 2, 0, 8, 8, 9.5)
    assert _found(printed, best, found, least) is is_enough
    assert (f"below {LEAST}" in text.getvalue()) is not is_enough


def test_a_version_that_is_not_ready_fails() -> None:
    text = io.StringIO()
    printed = Console(file=text, width=200)
    plan = PLANS["classification"]
    result = DemoResult("v", plan.kind, "failed", None, None, None, 4, 100, 9.5)
    version = {"status": "failed", "reason": "the disk is full"}
    assert not _succeeded(printed, version, plan, result, None)
    assert "the disk is full" in text.getvalue()
