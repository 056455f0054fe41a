"""What `run.step` of a trainer's own code costs: to be kept, encoded and written to its parent."""

import os
import threading
import time
from typing import Any

import msgspec

from benchmarks.measurements import Expected, Measurement
from benchmarks.quiet import repeat
from stemma_trainer.steps import StepBuffer

STEPS, QUICK_STEPS = 200_000, 2_000
MOST_MICROSECONDS = 20.0
_PIECE = 1 << 20


def run(quick: bool) -> list[Measurement]:
    """Microseconds a step, on average over many."""
    steps = QUICK_STEPS if quick else STEPS
    done = repeat(1 if quick else 5, lambda: _microseconds(steps), spare=0 if quick else 3)
    return [
        Measurement(
            what="run.step of a trainer's own code",
            unit="us",
            ours=tuple(done.results),
            expected=Expected(MOST_MICROSECONDS, absolute=True),
            others=done.others,
        )
    ]


def _microseconds(steps: int) -> float:
    reading, writing = os.pipe()
    parent = threading.Thread(target=_drain, args=(reading,))
    parent.start()
    with os.fdopen(writing, "wb") as reports:

        def report(body: dict[str, Any]) -> None:
            reports.write(msgspec.json.encode(body) + b"\n")
            reports.flush()

        buffer = StepBuffer(report, 0)
        began = time.perf_counter()
        for number in range(steps):
            buffer.add(1 / (number + 1), 0.05)
        buffer.flush()
        spent = time.perf_counter() - began
    parent.join()
    return spent / steps * 1e6


def _drain(reading: int) -> None:
    with os.fdopen(reading, "rb") as pipe:
        while pipe.read(_PIECE):
            pass
