"""Garbage collection of blobs that no event names, through a trash; verification of the others.

docs/decisions/0010-blobs-are-collected-by-way-of-a-trash.md explains why no blob is lost.
"""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

import msgspec
import psycopg

from adapters.blobs.blobs import BlobCorrupt, BlobMissing, BlobStore
from adapters.blobs.uploaded import forget_uploads
from application.dataset.erasure import orders
from application.log.store import KEEPALIVE_OPTIONS, Store
from application.training.item_retention import discard_items, versions_to_discard
from domain.errors import Conflict, Invalid
from domain.event import Event, Recorded, name_of
from domain.training.results import VersionResultMeasured, VersionResultReported
from domain.training.version import (
    BestCheckpointSaved,
    EpochItemsDiscarded,
    EpochItemsRecorded,
    VersionCreated,
    VersionEvaluated,
    VersionTrainingCancelled,
)

SHORTEST = timedelta(days=1)
"""The shortest age of a blob to discard. It is twice the age at which a put does not renew a blob,
which an event may name later."""

NEVER_STORED = frozenset(
    {"digest", "environment", "final_weights", "metadata", "trainer", "validation_set"}
)
"""Fields of events with the sha256 of something else, such as a form, or any text of a user."""

_RESULTS = (BestCheckpointSaved, VersionEvaluated, VersionResultReported, VersionResultMeasured)
"""The events that name the weights and the predictions of a training."""

_ANYWHERE = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_WHOLE_STRING = re.compile(rb'"([0-9a-f]{64})"')

_LOCK = "stemma blobs collect"


class CollectionReport(msgspec.Struct):
    """The result of a collection or dry run: counts of blobs, and their stored bytes.

    `versions_without_items` are the versions whose recorded items are given up by it.
    """

    kept: int = 0
    discarded: int = 0
    discarded_bytes: int = 0
    restored: int = 0
    purged: int = 0
    purged_bytes: int = 0
    erased: int = 0
    versions_without_items: int = 0


class BlobProblem(msgspec.Struct, frozen=True):
    """A blob that cannot be read, or an erased blob that still exists, and an event that names
    it."""

    digest: str
    problem: str
    event_name: str
    position: int


def collect(
    store: Store,
    blobs: BlobStore,
    *,
    older_than: timedelta,
    now: datetime,
    dry_run: bool,
    kept_flip_books: int = 0,
) -> CollectionReport:
    """Move blobs that no event names to the trash, and delete blobs from the trash.

    `now` is a time before the call. Blobs are moved if they are older than `older_than` then, and
    deleted if they have been in the trash for longer. Erased blobs are deleted immediately. Blobs
    in the trash that an event now names are restored. The recorded items of all but the newest
    `kept_flip_books` versions of each view are given up; 0 keeps all. Raises `Invalid` if
    `older_than` is less than a day, and `Conflict` while another collection runs.
    """
    if older_than < SHORTEST:
        raise Invalid("blobs must be kept for at least a day", field="older_than")
    with _exclusive(store) as connection:
        report = CollectionReport()
        if dry_run:
            report.versions_without_items = len(versions_to_discard(store, kept_flip_books))
        else:
            report.versions_without_items = discard_items(store, kept_flip_books)
        events = (recorded.event for recorded in _events_in_use(store))
        named = {digest for event in events for digest in digests_in(event)}
        before = now - older_than
        for order in orders(store):
            named.discard(order.entity_id)
            report.erased += bool(blobs.copies(order.entity_id))
            if not dry_run:
                blobs.erase(order.entity_id)
        _empty_trash(blobs, named, before, report, dry_run)
        _discard(blobs, named, before, report, dry_run)
        if not dry_run:
            forget_uploads(connection, before)
    return report


def check(store: Store, blobs: BlobStore) -> Iterator[BlobProblem]:
    """Read every blob that an event names, and yield the missing and corrupt ones, and erased ones
    that still exist or exist again."""
    seen: set[str] = set()
    for order in orders(store):
        seen.add(order.entity_id)
        if blobs.copies(order.entity_id):
            yield BlobProblem(
                order.entity_id,
                "erased, but still stored",
                order.event.event_name,
                order.position,
            )
    for recorded in _events_in_use(store):
        for digest in blobs_named_by(recorded.event):
            if digest in seen:
                continue
            seen.add(digest)
            if problem := _problem(blobs, digest):
                yield BlobProblem(digest, problem, recorded.event.event_name, recorded.position)


def _events_in_use(store: Store) -> Iterator[Recorded]:
    """The events of the log, without those that name the weights and predictions of cancelled
    versions, and items that are given up: these blobs are discarded, unless another event names
    them too."""
    cancelled = _streams_with(VersionTrainingCancelled, store)
    without_items = _streams_with(EpochItemsDiscarded, store)
    for recorded in store.read_all():
        names_result = isinstance(recorded.event, _RESULTS)
        names_result |= isinstance(recorded.event, VersionCreated) and bool(recorded.event.adopted)
        if names_result and recorded.stream in cancelled:
            continue
        if isinstance(recorded.event, EpochItemsRecorded) and recorded.stream in without_items:
            continue
        yield recorded


def _streams_with(event: type[Event], store: Store) -> set[str]:
    return {recorded.stream for recorded in store.read_all(names=[name_of(event)])}


def digests_in(event: Event) -> set[str]:
    """Every text of an event that has the form of a sha256, so that no blob is missed."""
    return {match.decode() for match in _ANYWHERE.findall(msgspec.json.encode(event))}


def blobs_named_by(event: Event) -> set[str]:
    """The digests in an event that name blobs: whole strings, in fields not in `NEVER_STORED`."""
    names = [name for name in event.__struct_fields__ if name not in NEVER_STORED]
    fields = msgspec.json.encode([getattr(event, name) for name in names])
    return {match.decode() for match in _WHOLE_STRING.findall(fields)}


def _empty_trash(
    blobs: BlobStore,
    named: Collection[str],
    before: datetime,
    report: CollectionReport,
    dry_run: bool,
) -> None:
    for trashed in blobs.list_trash():
        if trashed.digest in named and not blobs.is_stored_anew(trashed):
            report.restored += 1
            if not dry_run:
                blobs.restore(trashed)
        elif trashed.modified < before:
            report.purged += 1
            report.purged_bytes += trashed.size
            if not dry_run:
                blobs.purge(trashed)


def _discard(
    blobs: BlobStore,
    named: Collection[str],
    before: datetime,
    report: CollectionReport,
    dry_run: bool,
) -> None:
    for blob in blobs.list_blobs():
        if blob.digest in named or blob.modified >= before:
            report.kept += 1
            continue
        report.discarded += 1
        report.discarded_bytes += blob.size
        if not dry_run:
            blobs.discard(blob)


@contextmanager
def _exclusive(store: Store) -> Iterator[psycopg.Connection]:
    """Hold the lock of collections, which is released with the connection if this process dies."""
    with psycopg.connect(store.database_url, autocommit=True, **KEEPALIVE_OPTIONS) as connection:
        row = connection.execute(
            "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [_LOCK]
        ).fetchone()
        if row != (True,):
            raise Conflict("another collection of blobs is running; wait until it has ended")
        try:
            yield connection
        finally:
            # The server notices a closed connection with a delay, and the next process may try
            # before. A broken connection releases the lock when it ends.
            with suppress(psycopg.OperationalError):
                connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [_LOCK])


def _problem(blobs: BlobStore, digest: str) -> str | None:
    problem: str | None = "missing"
    for read in (blobs.chunks, blobs.read_compressed):
        try:
            for _ in read(digest):
                pass
        except BlobMissing:
            continue
        except BlobCorrupt:
            return "corrupt"
        problem = None
    return problem
