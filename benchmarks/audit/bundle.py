"""The hashes that prove a bundle's events, against an inclusion proof for each of them."""

from benchmarks.measurements import Expected, Measurement
from benchmarks.quiet import repeat
from domain.audit.merkle import HASH_BYTES, inclusion_proof
from domain.audit.pruned_tree import Pruning

EVENTS, QUICK_EVENTS = 1_000_000, 10_000
RUN, OF = 20, 200
"""In the bundle are the first `RUN` of every `OF` events in the log."""


def run(quick: bool) -> list[Measurement]:
    """Hashes, for a log in which ten things are written in turns, and a bundle of one of them."""
    size = QUICK_EVENTS if quick else EVENTS
    done = repeat(1, lambda: (_shared(size), _one_by_one(size)), spare=0)
    ours, theirs = zip(*done.results, strict=True)
    return [
        Measurement(
            what=f"hashes to prove {size // OF * RUN:,} of {size:,} events",
            unit="hashes",
            ours=ours,
            alternative="an inclusion proof for each",
            theirs=theirs,
            expected=Expected(0.1),
            others=done.others,
        )
    ]


def _in_bundle(index: int) -> bool:
    return index % OF < RUN


def _shared(size: int) -> float:
    pruning, hashes = Pruning(), 0
    for index in range(size):
        if _in_bundle(index):
            hashes += sum(1 for _ in pruning.cut())
            pruning.keep()
        else:
            pruning.leave_out(bytes(HASH_BYTES))
    return hashes + sum(1 for _ in pruning.cut())


def _one_by_one(size: int) -> float:
    def subtrees(_height: int, _index: int) -> bytes:
        return bytes(HASH_BYTES)

    bundled = filter(_in_bundle, range(size))
    return sum(len(inclusion_proof(index, size, subtrees)) for index in bundled)
