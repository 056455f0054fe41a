"""Reports taken in: each becomes at most its events, in the order of the report stream."""

import logging
from collections.abc import Iterator, Sequence

import msgspec

from application.handle import new_metadata
from application.log.store import AppendRefused, Store
from application.training.job_tokens import JobTokens
from domain.aggregates import VERSION
from domain.errors import Conflict, Refusal
from domain.event import Recorded
from domain.training import version as versions
from domain.training import version_reports
from domain.training.messages import Report
from domain.training.version import Version, VersionCreated, VersionRetried

log = logging.getLogger(__name__)


class Delivered(msgspec.Struct, frozen=True):
    """A message of the report stream at its sequence, as yet undecoded.

    `worker` is the only one who may publish on its subject; None where anyone might have.
    """

    sequence: int
    payload: bytes
    worker: str | None = None


class _Known(msgspec.Struct, frozen=True):
    """A version at a revision of its stream, and whether reports on it must show a token."""

    version: Version | None
    revision: int
    guarded: bool


class Ingest:
    """Takes one feed of reports in. It remembers the versions it works on between batches.

    With `tokens`, a report counts only if its worker was given the job.
    """

    def __init__(self, store: Store, feed: str, tokens: JobTokens | None = None) -> None:
        self._store = store
        self._tokens = tokens
        self.feed = feed
        self._known: dict[str, _Known] = {}

    def position(self) -> int:
        """The sequence up to which the feed has been taken in."""
        return self._store.tracked(self.feed)

    def _refuse_overlap(self, first: int) -> None:
        """A batch that begins with what another process has taken in is not merely out of date:
        decided on versions that were loaded afterwards, it would record the same again.

        What another takes in after this look changes revisions that the batch is decided on.
        """
        taken = self.position()
        if taken >= first:
            raise AppendRefused(f"{self.feed} has been taken in up to {taken} already")

    def take(self, messages: Sequence[Delivered]) -> int:
        """Record what the messages report, in one transaction with the feed's sequence.

        Repeats and reports of superseded runs change nothing; what cannot be understood is logged
        and passed over, since no later try would understand it. Returns the log's position, 0 if
        there was nothing to record. Raises `AppendRefused` if another process took them in, or if
        a user's command touched a version meanwhile; then nothing is saved: try again.
        """
        reports = [report for message in messages if (report := _decode(message)) is not None]
        self._load({VERSION.stream(report.version_id) for report in reports})
        try:
            self._refuse_overlap(messages[0].sequence)
            events = [event for report in reports for event in self._record(report)]
            position = self._store.append(events, tracking=(self.feed, messages[-1].sequence))
        except BaseException:
            self._known.clear()  # it holds what was to be saved
            raise
        for stream, known in list(self._known.items()):
            if known.version is None or known.version.status in versions.ENDED:
                del self._known[stream]
        return position

    def _load(self, streams: set[str]) -> None:
        missing = sorted(streams - self._known.keys())
        unguarded = self._store.streams(missing, upto=self._tokens.since) if self._tokens else {}
        for stream, events in self._store.streams(missing).items():
            version = VERSION.fold(recorded.event for recorded in events)
            asked = 0
            for revision, recorded in enumerate(events, start=1):
                if isinstance(recorded.event, VersionCreated | VersionRetried):
                    asked = revision
            guarded = self._tokens is not None and asked > len(unguarded[stream])
            self._known[stream] = _Known(version, len(events), guarded)

    def _record(self, report: Report) -> Iterator[Recorded]:
        stream = VERSION.stream(report.version_id)
        known = self._known[stream]
        version, revision = known.version, known.revision
        try:
            self._check(report, known)
            events = version_reports.record(report, version)
        except Refusal as refusal:
            log.warning("report %s is passed over: %s", report.message_id, refusal.detail)
            return
        actor = f"worker:{report.worker}"
        for event in events:
            version, revision = versions.evolve(version, event), revision + 1
            metadata = new_metadata(actor, report.message_id, report.correlation_id, None)
            yield Recorded(stream, revision, event, metadata)
        self._known[stream] = _Known(version, revision, known.guarded)

    def _check(self, report: Report, known: _Known) -> None:
        """Raises `Conflict` for one from whoever was not given the job."""
        if self._tokens is not None and known.guarded and not self._tokens.fits(report):
            raise Conflict(
                f"worker {report.worker} does not show that it was given the job; update it if it"
                " runs an older Stemma"
            )


def _decode(message: Delivered) -> Report | None:
    try:
        report = msgspec.json.decode(message.payload, type=Report)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        log.warning("report %d is no report: %s", message.sequence, error)
        return None
    if message.worker not in {None, report.worker}:
        log.warning("report %d is %s's in the name of another", message.sequence, message.worker)
        return None
    return report
