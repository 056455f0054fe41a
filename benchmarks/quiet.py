"""Repetitions on a shared machine: the CPU share of other processes, and the least disturbed
repetitions."""

import statistics
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from benchmarks.processes import tree_of_this_process

Result = TypeVar("Result")

DISTURBED = 0.05
"""The CPU share of other processes above which a repetition is measured again."""


class Repetitions(msgspec.Struct, Generic[Result], frozen=True):
    """The results kept, and the median CPU share of other processes during them."""

    results: list[Result]
    others: float


def repeat(times: int, measure: Callable[[], Result], *, spare: int = 0) -> Repetitions[Result]:
    """Measure `times` times, and at most `spare` times more if repetitions were disturbed.

    Keeps the least disturbed results, in order.
    """
    measured: list[tuple[float, Result]] = []
    while len(measured) < times + spare:
        undisturbed = sum(others <= DISTURBED for others, _ in measured)
        if len(measured) >= times and undisturbed >= times:
            break
        before = _clock()
        result = measure()
        measured.append((_others_share(before, _clock()), result))
    limit = sorted(others for others, _ in measured)[times - 1]
    kept = [(others, result) for others, result in measured if others <= limit][:times]
    return Repetitions([result for _, result in kept], statistics.median(o for o, _ in kept))


class _Clock(msgspec.Struct, frozen=True):
    """Ticks of all CPUs since boot: in total, busy, and used by this benchmark."""

    total: int
    busy: int
    ours: int


def _clock() -> _Clock:
    # proc(5): cpu user nice system idle iowait irq softirq steal guest guest_nice; guests count
    # as users too.
    fields = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:9]
    ticks = [int(field) for field in fields]
    return _Clock(sum(ticks), sum(ticks) - ticks[3] - ticks[4], our_ticks())


def our_ticks() -> int:
    """CPU time of this process and its descendants, including ended children."""
    ticks = 0
    for pid in tree_of_this_process():
        with suppress(OSError):
            # proc(5): `pid (name) state ...`, from the 14th: utime stime cutime cstime.
            _, _, tail = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")
            ticks += sum(int(field) for field in tail.split()[11:15])
    return ticks


def _others_share(before: _Clock, after: _Clock) -> float:
    total = after.total - before.total
    others = (after.busy - before.busy) - (after.ours - before.ours)
    return min(max(others / total, 0.0), 1.0) if total else 0.0
