"""Verification of the whole log against its signed checkpoints.

Everything is computed from the table of events. Stored hashes are only used to locate a difference
that a checkpoint has shown.
"""

import heapq
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import psycopg

from adapters.audit.checked_events import (
    CheckedEvents,
    events_out_of_order,
    events_outside,
    streams_with_holes,
)
from adapters.audit.locate import describe_change
from adapters.audit.signing import Unsigned, open_checkpoint
from adapters.audit.stored import END, Connection, checkpoints_by_size, leaf_tiles
from adapters.audit.tree_comparison import TreeComparison
from application.log.store import KEEPALIVE_OPTIONS
from domain.audit.signed_note import Malformed, VerifierKey
from domain.audit.transparency import Checkpoint


class Signed(msgspec.Struct, frozen=True):
    """A checkpoint with a valid signature, and its source."""

    checkpoint: Checkpoint
    source: str


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
    url: str, verifiers: Collection[VerifierKey], checkpoints: Sequence[Signed]
) -> VerificationReport:
    """Verify every event against every stored and given checkpoint, in one snapshot."""
    with (
        psycopg.connect(url, **KEEPALIVE_OPTIONS) as connection,
        psycopg.connect(url, **KEEPALIVE_OPTIONS) as beside,
        ThreadPoolExecutor(1) as thread,
    ):
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        [[snapshot]] = connection.execute("SELECT pg_export_snapshot()").fetchall()
        beside.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        beside.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        streams = thread.submit(streams_with_holes, beside)
        events, findings = CheckedEvents(connection), list[str]()
        trees, agreement = TreeComparison(iter(events), leaf_tiles(connection)), _Agreement()
        stored = _StoredCheckpoints(connection, verifiers, findings)
        for signed in heapq.merge(sorted(checkpoints, key=_size), stored, key=_size):
            agreement.add(signed, trees)
        trees.advance(END)
        findings = [*_first_difference(connection, trees, agreement, events), *findings]
        findings += _wrong_events(events)
        findings += [
            f"an event of {stream} stands at position {position}: the log begins at 1"
            for position, stream in events_outside(connection)
        ]
        findings += [f"the revisions of {stream} have a hole" for stream in streams.result()]
        findings += [
            f"event {position} stands before an earlier one of {stream}"
            for position, stream in events_out_of_order(connection, agreement.size)
        ]
        return VerificationReport(
            trees.current.size, trees.current.root(), stored.count, agreement.size, findings
        )


class _StoredCheckpoints:
    """The stored checkpoints by size; those without a valid signature are added to the findings."""

    def __init__(
        self, connection: Connection, verifiers: Collection[VerifierKey], findings: list[str]
    ) -> None:
        self._connection = connection
        self._verifiers = verifiers
        self._findings = findings
        self.count = 0

    def __iter__(self) -> Iterator[Signed]:
        for stored in checkpoints_by_size(self._connection):
            source = f"stored checkpoint {stored.checkpoint_id}"
            self.count += 1
            try:
                checkpoint, _ = open_checkpoint(stored.note, self._verifiers)
            except (Malformed, Unsigned) as error:
                self._findings.append(f"{source} is not signed as it should be: {error}")
                continue
            if (stored.size, stored.root) == (checkpoint.size, checkpoint.root):
                yield Signed(checkpoint, source)
            else:
                self._findings.append(f"{source} is stored as over another log than its note says")


def _size(signed: Signed) -> int:
    return signed.checkpoint.size


def _first_difference(
    connection: Connection, trees: TreeComparison, agreement: _Agreement, events: CheckedEvents
) -> Iterator[str]:
    """The first event that differs from the signed log, or the range in which it is."""
    if agreement.contradicted is not None:
        size = agreement.contradicted.checkpoint.size
        yield (
            f"{agreement.contradicted.source} was signed over {size} events that are not these;"
            f" the log agrees with checkpoints up to {agreement.size} events, and contradicts"
            f" {agreement.contradictions}"
        )
        yield _located(connection, trees, agreement, size)
    elif events.broken_at is not None:
        yield f"event {events.broken_at} is missing, and no checkpoint says what it was"
    elif trees.diverged_at is not None and trees.diverged_at <= agreement.size:
        yield (
            f"the stored hash of event {trees.diverged_at} is not its own; the event is as it was"
            " signed for, so it is the hash that was changed"
        )
    elif trees.diverged_at is not None and trees.diverged_at > trees.current.size:
        yield (
            f"the log ends with event {trees.current.size}, and hashes of {trees.stored.size} are"
            " stored: its end was cut off"
        )
    elif trees.diverged_at is not None:
        yield (
            f"the stored hash of event {trees.diverged_at} is not its own, and no checkpoint says"
            " which of the two was changed"
        )


def _located(
    connection: Connection, trees: TreeComparison, agreement: _Agreement, size: int
) -> str:
    if agreement.stored_agree and trees.diverged_at is not None:
        if trees.diverged_at > trees.current.size and not _goes_on(connection, trees.current.size):
            return f"the end was cut off: events {trees.diverged_at} to {size} were removed"
        return describe_change(connection, trees.diverged_at)
    if trees.current.size < size:
        return (
            f"event {trees.current.size + 1} is missing; whether one before it was changed cannot"
            " be determined, as the stored hashes were changed too"
        )
    return (
        f"the first one that was changed is among events {agreement.size + 1} to {size}: which one"
        " cannot be determined, as the stored hashes were changed too. Checkpoints kept in between"
        " would narrow it down"
    )


def _goes_on(connection: Connection, size: int) -> bool:
    query = "SELECT FROM log.stemma_events WHERE notification_id > %s LIMIT 1"
    return connection.execute(query, (size,)).fetchone() is not None


def _wrong_events(events: CheckedEvents) -> Iterator[str]:
    for position, error in events.wrong:
        yield f"event {position} {error}"
    if more := events.wrong_count - len(events.wrong):
        yield f"{more} more events are not as Stemma writes them"
