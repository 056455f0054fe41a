"""Comparison of the whole log with a signed checkpoint, page by page, beside the signer's work."""

import logging
import threading
import time
from collections.abc import Iterator

from adapters.audit.stored import (
    END,
    Connection,
    Row,
    leaf_of,
    leaf_tiles_after,
    lock_tree,
    page_of_events,
)
from adapters.audit.tree_comparison import TreeComparison
from domain.audit.tiles import WIDTH
from domain.audit.transparency import Checkpoint

STEP = 20 * WIDTH

log = logging.getLogger(__name__)


def dense_leaves(pages: Iterator[list[Row]], after: int = 0) -> Iterator[bytes]:
    """The leaves of pages, up to the first event that is missing or cannot have a leaf."""
    expected = after + 1
    for page in pages:
        leaves: list[bytes] = []
        for row in page:
            if row[0] != expected or "\n" in row[1] or "\n" in row[3]:
                yield b"".join(leaves)
                return
            leaves.append(leaf_of(row))
            expected += 1
        yield b"".join(leaves)


def compare_whole_log(
    connection: Connection, signed: Checkpoint, stop: threading.Event
) -> TreeComparison | None:
    """Both trees up to a checkpoint's size; None if `stop` was set meanwhile.

    It takes half of a core's time, and holds no transaction open.
    """
    trees = TreeComparison(dense_leaves(_pages(connection)), _stored_leaves(connection))
    reached = 0
    while reached < signed.size:
        began = time.monotonic()
        reached = min(reached + STEP, signed.size)
        trees.advance(reached)
        if stop.wait(time.monotonic() - began):
            return None
    return trees


def delete_tiles(connection: Connection) -> None:
    """Let the stored hashes be computed again from the events."""
    log.warning("the stored hashes of the log do not fit its events; recomputing them")
    with connection.transaction():
        lock_tree(connection)
        connection.execute("DELETE FROM log.tiles")


def _pages(connection: Connection) -> Iterator[list[Row]]:
    after = 0
    while page := page_of_events(connection, after, END):
        yield page
        after = page[-1][0]


def _stored_leaves(connection: Connection) -> Iterator[bytes]:
    after = -1
    while tiles := leaf_tiles_after(connection, after):
        yield b"".join(tiles)
        after += len(tiles)
