"""The sizes of measurements: those of every day, and with `--full` those of large systems."""

import os

_FULL = "FULL_SIZES_OF_BENCHMARKS"


def use_full_sizes() -> None:
    """From now on, also in processes that are started."""
    os.environ[_FULL] = "1"


def size(usual: int, full: int) -> int:
    return full if _FULL in os.environ else usual
