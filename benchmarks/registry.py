"""The registry of all benchmarks, by name; each runs at full or at tiny size."""

from collections.abc import Callable, Sequence

from benchmarks import (
    append,
    as_of,
    bundle,
    delivery,
    freezing,
    grid,
    importing,
    library,
    live,
    loading,
    projection,
    relaying,
    replay,
    sse,
    start,
    tracing,
    trail,
    training,
    verify,
)
from benchmarks.measurements import Measurement

BENCHMARKS: dict[str, Callable[[bool], Sequence[Measurement]]] = {
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
    "sse": sse.run,
    "start": start.run,
    "verify": verify.run,
    "trail": trail.run,
    "bundle": bundle.run,
    "relay": relaying.run,
    "delivery": delivery.run,
    "tracing": tracing.run,
}
