"""The measurements of a benchmark: repetitions, with or without those of an alternative."""

import statistics
from collections.abc import Sequence

import msgspec


class Expected(msgspec.Struct, frozen=True):
    """A bound on the ratio to the alternative or, without an alternative or if it is `absolute`, on
    the median."""

    bound: float
    at_least: bool = False
    absolute: bool = False

    def met_by(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


class Spent(msgspec.Struct, frozen=True):
    """What a benchmark took: seconds, and seconds of CPU of all its processes, which depend less
    on what else the machine does."""

    seconds: float
    cpu_seconds: float


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table.

    `ours[i]` and `theirs[i]` are from the same repetition. `others` is the share of the machine's
    CPU, in [0, 1], that processes other than the benchmark's used during it.
    """

    what: str
    unit: str
    ours: tuple[float, ...]
    alternative: str = ""
    theirs: tuple[float, ...] = ()
    expected: Expected | None = None
    others: float

    @property
    def ratio(self) -> float | None:
        """The median over repetitions of ours / theirs; None without an alternative."""
        if not self.theirs:
            return None
        pairs = zip(self.ours, self.theirs, strict=True)
        return statistics.median(mine / other for mine, other in pairs)

    @property
    def met(self) -> bool | None:
        """Whether the expectation is met; None if there is none."""
        if self.expected is None:
            return None
        ratio = None if self.expected.absolute else self.ratio
        return self.expected.met_by(statistics.median(self.ours) if ratio is None else ratio)


def quantile(values: Sequence[float], share: float) -> float:
    """The quantile by nearest rank: the smallest value that a share of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(share * 1000) // 1000) - 1)]
