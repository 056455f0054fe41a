"""Timing of single calls, and the execution of commands that prepare data."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from application.handle import Decided, Outcome, Request, Session, handle
from application.log.store import Store
from benchmarks.measurements import Expected, Measurement, quantile

SHARES = {"p50": 0.5, "p99": 0.99}


def milliseconds_each(call: Callable[[], object], calls: int) -> list[float]:
    """Milliseconds of each call, after one call that may open the connection."""
    call()
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1000)
    return times


def quantiles(
    what: str,
    ours: Sequence[Sequence[float]],
    others: float,
    *,
    alternative: str = "",
    theirs: Sequence[Sequence[float]] = (),
    expected: Mapping[str, Expected] | None = None,
) -> Iterator[Measurement]:
    """A measurement for each of `SHARES`, from the milliseconds of the calls of each repetition."""
    for label, share in SHARES.items():
        yield Measurement(
            what=f"{what}: {label}",
            unit="ms",
            ours=tuple(quantile(calls, share) for calls in ours),
            alternative=alternative,
            theirs=tuple(quantile(calls, share) for calls in theirs),
            expected=(expected or {}).get(label),
            others=others,
        )


def do(store: Store, decide: Callable[[Session], Decided[Any]]) -> Outcome:
    """Execute a command with a new id."""
    fresh = str(uuid.uuid4())
    return handle(store, Request(actor="user:ada", command_id=fresh, correlation_id=fresh), decide)
