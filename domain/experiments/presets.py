"""Sizes of experiments to choose from."""

from enum import StrEnum
from typing import NamedTuple


class Preset(StrEnum):
    QUICK = "quick"
    THOROUGH = "thorough"


class Size(NamedTuple):
    trials: int
    epochs: int


SIZES = {Preset.QUICK: Size(8, 6), Preset.THOROUGH: Size(24, 9)}
LEAST_AT_ONCE = 4


def concurrency_for(workers: int | None) -> int:
    """How many trials are queued or train at once: enough that no worker waits for a proposal."""
    return max(LEAST_AT_ONCE, 2 * (workers or 0))
