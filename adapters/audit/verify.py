"""The whole log against the checkpoints that were signed over it.

Everything is computed from the table of events. What else is stored is only used to say where a
difference is, once a checkpoint shows that there is one.
"""

import heapq
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import psycopg

from adapters.audit.checked_events import (
    CheckedEvents,
    events_out_of_order,
    streams_with_holes,
)
from adapters.audit.locate import what_happened
from adapters.audit.signing import Unsigned, open_checkpoint
from adapters.audit.stored import END, Connection, checkpoints_by_size, leaf_tiles
from adapters.audit.tree_comparison import TreeComparison
from application.log.store import GIVES_UP
from domain.audit.signed_note import Malformed, VerifierKey
from domain.audit.transparency import Checkpoint


class Signed(msgspec.Struct, frozen=True):
    """A checkpoint whose signature holds, and where it is from."""

    checkpoint: Checkpoint
    source: str


class VerificationReport(msgspec.Struct, frozen=True):
    """What was looked at, and what was found; without findings, all is as it was signed."""

    events: int
    root: bytes
    stored: int
    covered: int
    findings: list[str]


class _Judged:
    """The checkpoints passed so far: up to where the log agrees, and the first it contradicts."""

    def __init__(self) -> None:
        self.agreed = 0
        self.contradicted: Signed | None = None
        self.kept_agree = False
        self.contradictions = 0

    def add(self, signed: Signed, walk: TreeComparison) -> None:
        size, root = signed.checkpoint.size, signed.checkpoint.root
        walk.to(size)
        if walk.now.size == size and walk.now.root() == root:
            self.agreed = max(self.agreed, size)
            return
        self.contradictions += 1
        if self.contradicted is None:
            self.contradicted = signed
            self.kept_agree = walk.then.size == size and walk.then.root() == root


def verify(url: str, known: Collection[VerifierKey], given: Sequence[Signed]) -> VerificationReport:
    """Look at every event, every stored checkpoint, and those given, as of one moment."""
    with (
        psycopg.connect(url, **GIVES_UP) as connection,
        psycopg.connect(url, **GIVES_UP) as beside,
        ThreadPoolExecutor(1) as thread,
    ):
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        [[snapshot]] = connection.execute("SELECT pg_export_snapshot()").fetchall()
        beside.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        beside.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        streams = thread.submit(streams_with_holes, beside)
        events, findings = CheckedEvents(connection), list[str]()
        walk, judged = TreeComparison(iter(events), leaf_tiles(connection)), _Judged()
        stored = _Stored(connection, known, findings)
        for signed in heapq.merge(sorted(given, key=_size), stored, key=_size):
            judged.add(signed, walk)
        walk.to(END)
        findings = [*_first_difference(connection, walk, judged, events), *findings]
        findings += _wrong_events(events)
        findings += [f"the revisions of {stream} have a hole" for stream in streams.result()]
        findings += [
            f"event {position} stands before an earlier one of {stream}"
            for position, stream in events_out_of_order(connection, judged.agreed)
        ]
        return VerificationReport(
            walk.now.size, walk.now.root(), stored.count, judged.agreed, findings
        )


class _Stored:
    """The database's checkpoints by size; those that are not signed as they should be are noted."""

    def __init__(
        self, connection: Connection, known: Collection[VerifierKey], findings: list[str]
    ) -> None:
        self._connection = connection
        self._known = known
        self._findings = findings
        self.count = 0

    def __iter__(self) -> Iterator[Signed]:
        for stored in checkpoints_by_size(self._connection):
            source = f"stored checkpoint {stored.checkpoint_id}"
            self.count += 1
            try:
                checkpoint, _ = open_checkpoint(stored.note, self._known)
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
    connection: Connection, walk: TreeComparison, judged: _Judged, events: CheckedEvents
) -> Iterator[str]:
    """The first event that is not as a checkpoint was signed over it, or what is known of it."""
    if judged.contradicted is not None:
        size = judged.contradicted.checkpoint.size
        yield (
            f"{judged.contradicted.source} was signed over {size} events that are not these;"
            f" the log agrees with checkpoints up to {judged.agreed} events, and contradicts"
            f" {judged.contradictions}"
        )
        yield _located(connection, walk, judged, size)
    elif events.broken_at is not None:
        yield f"event {events.broken_at} is missing, and no checkpoint says what it was"
    elif walk.parted_at is not None and walk.parted_at <= judged.agreed:
        yield (
            f"the stored hash of event {walk.parted_at} is not its own; the event is as it was"
            " signed for, so it is the hash that was changed"
        )
    elif walk.parted_at is not None and walk.parted_at > walk.now.size:
        yield (
            f"the log ends with event {walk.now.size}, and hashes of {walk.then.size} are stored:"
            " its end was cut off"
        )
    elif walk.parted_at is not None:
        yield (
            f"the stored hash of event {walk.parted_at} is not its own, and no checkpoint says"
            " which of the two was changed"
        )


def _located(connection: Connection, walk: TreeComparison, judged: _Judged, size: int) -> str:
    if judged.kept_agree and walk.parted_at is not None:
        if walk.parted_at > walk.now.size and not _goes_on(connection, walk.now.size):
            return f"the end was cut off: events {walk.parted_at} to {size} were removed"
        return what_happened(connection, walk.parted_at)
    if walk.now.size < size:
        return (
            f"event {walk.now.size + 1} is missing; whether one before it was changed cannot be"
            " said, as the stored hashes were changed too"
        )
    return (
        f"the first one that was changed is among events {judged.agreed + 1} to {size}: which one"
        " cannot be said, as the stored hashes were changed too. More checkpoints kept between"
        " would narrow it down"
    )


def _goes_on(connection: Connection, size: int) -> bool:
    query = "SELECT FROM log.stemma_events WHERE notification_id > %s LIMIT 1"
    return connection.execute(query, (size,)).fetchone() is not None


def _wrong_events(events: CheckedEvents) -> Iterator[str]:
    for position, what in events.wrong:
        yield f"event {position} {what}"
    if more := events.wrong_count - len(events.wrong):
        yield f"{more} more events are not as Stemma writes them"
