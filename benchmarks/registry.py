"""All benchmarks there are, by name: each measures, in full or at a tiny size."""

from collections.abc import Callable, Sequence

from benchmarks import (
    append,
    as_of,
    bundle,
    freezing,
    grid,
    importing,
    library,
    live,
    loading,
    projection,
    replay,
    start,
    tracing,
    trail,
    training,
    verify,
)
from benchmarks.figures import Figure

BENCHMARKS: dict[str, Callable[[bool], Sequence[Figure]]] = {
    "projection": projection.run,
    "replay": replay.run,
    "append": append.run,
    "importing": importing.run,
    "freezing": freezing.run,
    "grid": grid.run,
    "training": training.run,
    "loading": loading.run,
    "library": library.run,
    "as-of": as_of.run,
    "live": live.run,
    "start": start.run,
    "verify": verify.run,
    "trail": trail.run,
    "bundle": bundle.run,
    "tracing": tracing.run,
}
