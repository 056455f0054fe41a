"""Verification of the whole log against its signed checkpoints.

Everything is computed from the table of events. Stored hashes are only used to locate a difference
that a checkpoint has shown.
"""

import heapq
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import psycopg

from adapters.audit.catalogue import TABLES, differences
from adapters.audit.checked_checkpoints import CheckedCheckpoints, Signed, size_of
from adapters.audit.checked_events import (
    CheckedEvents,
    events_out_of_order,
    events_outside,
    streams_with_holes,
)
from adapters.audit.locate import describe_change
from adapters.audit.records import Record
from adapters.audit.stored import END, Connection, head, leaf_tiles
from adapters.audit.tree_comparison import TreeComparison
from application.log.store import KEEPALIVE_OPTIONS
from domain.audit.signed_note import VerifierKey


class VerificationReport(msgspec.Struct, frozen=True):
    """The result of a verification; without findings, the log is as it was signed."""

    events: int
    root: bytes
    stored: int
    covered: int
    findings: list[str]


class _Agreement:
    """The agreement of the log with the checkpoints: its size, and the first contradiction."""

    def __init__(self) -> None:
        self.size = 0
        self.contradicted: Signed | None = None
        self.stored_agree = False
        """Whether the stored hashes agree with the contradicted checkpoint."""
        self.contradictions = 0

    @property
    def is_split(self) -> bool:
        """Whether checkpoints over the same log, or over more of it, contradict each other."""
        contradicted = self.contradicted
        return contradicted is not None and self.size >= contradicted.checkpoint.size

    def add(self, signed: Signed, trees: TreeComparison) -> None:
        size, root = signed.checkpoint.size, signed.checkpoint.root
        trees.advance(size)
        if trees.current.size == size and trees.current.root() == root:
            self.size = max(self.size, size)
            return
        self.contradictions += 1
        if self.contradicted is None:
            self.contradicted = signed
            self.stored_agree = trees.stored.size == size and trees.stored.root() == root


def verify(
    url: str,
    verifiers: Collection[VerifierKey],
    kept: Sequence[Signed],
    records: Sequence[Record] = (),
) -> VerificationReport:
    """Verify every event against every checkpoint that is stored, on record, or kept by the caller.

    It reads at the isolation level of commands, so that nothing can show it another table. What is
    appended meanwhile does not matter: the log's end is read after all that refers to it.
    """
    with (
        psycopg.connect(url, **KEEPALIVE_OPTIONS) as connection,
        psycopg.connect(url, **KEEPALIVE_OPTIONS) as beside,
        ThreadPoolExecutor(1) as thread,
    ):
        # The tables stay as their catalogue says until the end of the transaction.
        connection.execute(f"LOCK TABLE {', '.join(TABLES)} IN ACCESS SHARE MODE")
        findings = differences(beside)
        streams = thread.submit(streams_with_holes, beside)
        checkpoints = CheckedCheckpoints(connection, url, verifiers, records)
        tiles = leaf_tiles(connection)
        events = CheckedEvents(connection, head(connection))
        trees, agreement = TreeComparison(iter(events), tiles), _Agreement()
        own = sorted(kept, key=size_of)
        for signed in heapq.merge(own, checkpoints.lacking, checkpoints.stored(), key=size_of):
            agreement.add(signed, trees)
        trees.advance(END)
        checkpoints.compare_kept(kept)
        findings += _first_difference(connection, trees, agreement, events)
        findings += checkpoints.findings()
        findings += _wrong_events(events)
        findings += [
            f"an event of {stream} is at position {position}: the log begins at 1"
            for position, stream in events_outside(connection)
        ]
        findings += [f"the revisions of {stream} have a gap" for stream in streams.result()]
        findings += [
            f"event {position} comes before an earlier one of {stream}"
            for position, stream in events_out_of_order(connection, agreement.size)
        ]
        return VerificationReport(
            trees.current.size, trees.current.root(), checkpoints.count, agreement.size, findings
        )


def _first_difference(
    connection: Connection, trees: TreeComparison, agreement: _Agreement, events: CheckedEvents
) -> Iterator[str]:
    """The first event that differs from the signed log, or the range in which it is."""
    if agreement.contradicted is not None:
        size = agreement.contradicted.checkpoint.size
        yield (
            f"{agreement.contradicted.source} was signed over {size:,} other events; the log"
            f" agrees with checkpoints up to {agreement.size} events, and contradicts"
            f" {agreement.contradictions}"
        )
        yield _located(connection, trees, agreement, size)
    elif events.broken_at is not None:
        yield f"event {events.broken_at} is missing, and no checkpoint shows what it was"
    elif trees.diverged_at is not None and trees.diverged_at <= agreement.size:
        yield (
            f"the stored hash of event {trees.diverged_at} is not its own; the event equals the"
            " signed one, so the hash was changed"
        )
    elif trees.diverged_at is not None and trees.diverged_at > trees.current.size:
        yield (
            f"the log ends with event {trees.current.size}, and hashes of {trees.stored.size} are"
            " stored: its end was cut off"
        )
    elif trees.diverged_at is not None:
        yield (
            f"the stored hash of event {trees.diverged_at} is not its own, and no checkpoint"
            " shows which of the two was changed"
        )


def _located(
    connection: Connection, trees: TreeComparison, agreement: _Agreement, size: int
) -> str:
    if agreement.is_split:
        return (
            f"the log agrees with a checkpoint over {agreement.size} events: they belong to"
            " different logs, and both are signed. The owner of the key has published two histories"
        )
    if agreement.stored_agree and trees.diverged_at is not None:
        if trees.diverged_at > trees.current.size and not _goes_on(connection, trees.current.size):
            return _removed(trees.diverged_at, size)
        return describe_change(connection, trees.diverged_at)
    if trees.current.size == 0 and not _goes_on(connection, 0):
        return _removed(1, size)
    if trees.current.size < size:
        return (
            f"event {trees.current.size + 1} is missing; whether one before it was changed cannot"
            " be determined, as the stored hashes were changed too"
        )
    first = agreement.size + 1
    if first == size:
        return f"event {size} was changed: how cannot be determined, as its stored hash was too"
    return (
        f"the first one that was changed is among events {first} to {size}: which one cannot be"
        " determined, as the stored hashes were changed too. Checkpoints kept in between would"
        " narrow it down"
    )


def _removed(first: int, last: int) -> str:
    if first == 1:
        return "every event was removed: the log is empty"
    which = f"event {last} was" if first == last else f"events {first} to {last} were"
    return f"the end was cut off: {which} removed"


def _goes_on(connection: Connection, size: int) -> bool:
    query = "SELECT FROM log.stemma_events WHERE notification_id > %s LIMIT 1"
    return connection.execute(query, (size,)).fetchone() is not None


def _wrong_events(events: CheckedEvents) -> Iterator[str]:
    for position, error in events.wrong:
        yield f"event {position} {error}"
    if more := events.wrong_count - len(events.wrong):
        yield f"{more} more events are not in the form that Stemma writes"
