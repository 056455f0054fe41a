"""The registry of all benchmarks, by name; each runs at its usual or at tiny size."""

from collections.abc import Callable, Sequence

from benchmarks import append, growth
from benchmarks.audit import bundle, trail, verify
from benchmarks.dataset import freezing, grid, importing
from benchmarks.experiments import search
from benchmarks.flip_book import scrub
from benchmarks.measurements import Measurement
from benchmarks.operations import busy, commands, crowd, pages, start, tracing
from benchmarks.peers import client, side_by_side
from benchmarks.projections import as_of, library, projection, replay
from benchmarks.subscriptions import delivery, relaying, sse
from benchmarks.training import (
    labelling,
    live,
    loading,
    presets,
    recording,
    suspects,
    trainer,
    training,
    two_levels,
)

BENCHMARKS: dict[str, Callable[[bool], Sequence[Measurement]]] = {
    "projection": projection.run,
    "replay": replay.run,
    "append": append.run,
    "growth": growth.run,
    "importing": importing.run,
    "freezing": freezing.run,
    "grid": grid.run,
    "training": training.run,
    "trainer": trainer.run,
    "flip_book": recording.run,
    "scrub": scrub.run,
    "suspects": suspects.run,
    "suspects-boxes": suspects.run_boxes,
    "two-levels": two_levels.run,
    "labelling": labelling.run,
    "loading": loading.run,
    "presets": presets.run,
    "library": library.run,
    "as-of": as_of.run,
    "search": search.run,
    "live": live.run,
    "sse": sse.run,
    "start": start.run,
    "commands": commands.run,
    "verify": verify.run,
    "trail": trail.run,
    "bundle": bundle.run,
    "relay": relaying.run,
    "delivery": delivery.run,
    "tracing": tracing.run,
    "crowd": crowd.run,
    "busy": busy.run,
    "peers": side_by_side.run,
    "client": client.run,
    "pages": pages.run,
}

LONG = frozenset(
    {
        "training",
        "flip_book",
        "suspects",
        "suspects-boxes",
        "two-levels",
        "labelling",
        "loading",
        "presets",
        "search",
    }
)
"""Those that train for long: only with `--full`, or by their names."""
