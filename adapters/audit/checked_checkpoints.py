"""The stored checkpoints, checked one by one and compared with the records outside the database."""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import islice
from time import monotonic, sleep

import msgspec
import psycopg

from adapters.audit.records import Record
from adapters.audit.signing import Unsigned, open_checkpoint
from adapters.audit.stored import Connection
from adapters.uploads.disk_set import DiskSet
from application.log.store import KEEPALIVE_OPTIONS
from domain.audit.signed_note import Malformed, VerifierKey
from domain.audit.transparency import Checkpoint

TABLE = "the table log.checkpoints"
MOST_NAMED, PAGE = 20, 1000
CLOCKS = timedelta(minutes=5)
"""The largest difference between the clocks of two machines that is no finding."""
COMMIT_SECONDS = 3.0
"""The time within which the signer commits a checkpoint that is in its file."""

_STORED = """
    SELECT checkpoint_id, origin, size, root, note, note_sha256, signed_at,
           (SELECT state FROM log.stemma_events WHERE notification_id = size)
    FROM log.checkpoints ORDER BY size, checkpoint_id
"""


class Signed(msgspec.Struct, frozen=True):
    """A checkpoint with a valid signature, and its source."""

    checkpoint: Checkpoint
    source: str


class _Covered(msgspec.Struct, frozen=True):
    occurred_at: datetime


class _Comparison:
    """A record with the digests of its notes."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.digests = DiskSet()
        self.missing = Missing(record.name)

    def expect(self, checkpoint_id: int, size: int, digest: bytes) -> None:
        """Note a stored checkpoint if this record should have it and does not."""
        last = self.record.last_id
        if (last is None or checkpoint_id <= last) and digest not in self.digests:
            self.missing.add(f"stored checkpoint {checkpoint_id}", size)


class Missing:
    """Checkpoints that were signed and are missing somewhere; the first ones are named."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._named: list[str] = []
        self._count = 0

    def add(self, source: str, size: int) -> None:
        self._count += 1
        if self._count <= MOST_NAMED:
            self._named.append(
                f"{source}, over {size} events, was signed and is missing from {self._where}"
            )

    def findings(self) -> Iterator[str]:
        yield from self._named
        if more := self._count - len(self._named):
            yield f"{more} more signed checkpoints are missing from {self._where}"


class CheckedCheckpoints:
    """All checkpoints that the log signed: stored ones, and those of records that the table lacks.

    Memory grows only with the number of checkpoints that the table lacks.
    """

    def __init__(
        self,
        connection: Connection,
        url: str,
        verifiers: Collection[VerifierKey],
        records: Sequence[Record],
    ) -> None:
        """Reads the records, after the table: the signer writes a checkpoint to its file first.

        `url` is that of the database, for what is stored meanwhile.
        """
        self._connection = connection
        self._cursor = connection.cursor("checkpoints")
        self._cursor.execute(_STORED)
        self._url = url
        self._verifiers = verifiers
        self._origin = [key.name for key in verifiers][-1] if verifiers else ""
        self._findings: list[str] = []
        self._missing = Missing(TABLE)
        self.count = 0
        self._comparisons = [_Comparison(record) for record in records]
        self.lacking = sorted(
            (signed for each in self._comparisons for signed in self._lacking(each)), key=size_of
        )
        """Checkpoints of records that the table lacks, by size."""

    def findings(self) -> Iterator[str]:
        """What is wrong with checkpoints. Complete once `stored` has ended."""
        yield from self._findings
        yield from self._missing.findings()
        for each in self._comparisons:
            yield from each.missing.findings()

    def compare_kept(self, kept: Collection[Signed]) -> None:
        """Note the auditor's own checkpoints that the table lacks."""
        for signed in kept:
            checkpoint = signed.checkpoint
            found = self._connection.execute(
                "SELECT FROM log.checkpoints WHERE origin = %s AND size = %s AND root = %s LIMIT 1",
                (checkpoint.origin, checkpoint.size, checkpoint.root),
            ).fetchone()
            if found is None:
                self._missing.add(signed.source, checkpoint.size)

    def _lacking(self, each: _Comparison) -> Iterator[Signed]:
        record, lacking = each.record, list[tuple[int, str]]()
        numbered = enumerate(record.notes(), start=1)
        while page := list(islice(numbered, PAGE)):
            digests = [_digest(note) for _, note in page]
            for digest in digests:
                each.digests.add(digest)
            stored = _stored(self._connection, digests)
            pairs = zip(page, digests, strict=True)
            lacking += [item for item, digest in pairs if digest not in stored]
        if lacking and record.ahead:
            lacking = self._never_stored(lacking)
        for number, note in lacking:
            source = f"checkpoint {number} of {record.name}"
            try:
                checkpoint, _ = open_checkpoint(note, self._verifiers)
            except (Malformed, Unsigned) as error:
                self._findings.append(f"{source} is not signed correctly: {error}")
                continue
            self._missing.add(source, checkpoint.size)
            yield Signed(checkpoint, source)

    def _never_stored(self, lacking: list[tuple[int, str]]) -> list[tuple[int, str]]:
        """Those that are not stored now either: the signer may just have been storing the last."""
        until = monotonic() + COMMIT_SECONDS
        with psycopg.connect(self._url, autocommit=True, **KEEPALIVE_OPTIONS) as connection:
            while True:
                stored = _stored(connection, [_digest(note) for _, note in lacking])
                lacking = [item for item in lacking if _digest(item[1]) not in stored]
                if not lacking or monotonic() > until:
                    return lacking
                sleep(0.1)

    def stored(self) -> Iterator[Signed]:
        """The stored checkpoints by size; those without a valid signature become findings."""
        with self._cursor as rows:
            for checkpoint_id, origin, size, root, note, note_sha256, signed_at, state in rows:
                source = f"stored checkpoint {checkpoint_id}"
                self.count += 1
                try:
                    checkpoint, _ = open_checkpoint(note, self._verifiers)
                except (Malformed, Unsigned) as error:
                    self._findings.append(f"{source} is not signed correctly: {error}")
                    continue
                columns = Checkpoint(origin, size, root), note_sha256
                if columns != (checkpoint, _digest(note)):
                    self._findings.append(
                        f"{source} is stored for another log than the one in its note"
                    )
                    continue
                if date := _impossible_date(signed_at, state):
                    self._findings.append(f"{source}, over {size} events, {date}")
                if origin == self._origin:
                    for each in self._comparisons:
                        each.expect(checkpoint_id, size, note_sha256)
                yield Signed(checkpoint, source)


def size_of(signed: Signed) -> int:
    return signed.checkpoint.size


def _digest(note: str) -> bytes:
    return sha256(note.encode()).digest()


def _stored(connection: Connection, digests: Sequence[bytes]) -> set[bytes]:
    """The digests of those notes that the table has."""
    rows = connection.execute(
        "SELECT note_sha256 FROM log.checkpoints WHERE note_sha256 = ANY(%s)", (list(digests),)
    )
    return {bytes(digest) for (digest,) in rows}


def _impossible_date(signed_at: datetime, state: bytes | None) -> str:
    """Why a checkpoint whose last event is stored as `state` cannot be of this date, if so."""
    if signed_at > datetime.now(UTC) + CLOCKS:
        return f"is dated {signed_at.astimezone(UTC)}, which is in the future"
    try:
        occurred_at = msgspec.json.decode(state or b"", type=_Covered).occurred_at
    except msgspec.MsgspecError:
        return ""  # the event itself is a finding
    if signed_at >= occurred_at - CLOCKS:
        return ""
    return (
        f"is dated {signed_at.astimezone(UTC)}, before the last of its events"
        f" ({occurred_at.astimezone(UTC)}): it was back-dated, or clocks were set back"
    )
