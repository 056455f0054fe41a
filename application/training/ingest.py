"""Ingest of reports: each becomes its events, if any, in the order of the report stream."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

import msgspec

from application.handle import new_metadata
from application.log.store import Store
from application.training.job_tokens import JobTokens
from application.training.seeds import is_revoked
from domain.aggregates import VERSION
from domain.errors import Conflict, Invalid, Refusal
from domain.event import Event, Recorded
from domain.training import version as versions
from domain.training import version_reports
from domain.training.messages import Failed, Purpose, Report
from domain.training.onnx import VersionOnnxRequested
from domain.training.predictions import (
    VersionSuggestionsRequested,
    VersionTestEvaluationRequested,
)
from domain.training.version import Version, VersionCreated, VersionRetried

REQUESTS: Mapping[type[Event], Purpose] = {
    VersionCreated: Purpose.TRAINING,
    VersionRetried: Purpose.TRAINING,
    VersionTestEvaluationRequested: Purpose.TEST,
    VersionSuggestionsRequested: Purpose.SUGGESTIONS,
    VersionOnnxRequested: Purpose.ONNX,
}
"""The events that request a job, and what it is for."""

IsUploaded = Callable[[str, str], bool]
"""Whether a file was uploaded for a stream, by its sha256."""

log = logging.getLogger(__name__)


class Delivered(msgspec.Struct, frozen=True):
    """A message of the report stream with its sequence, not yet decoded.

    `worker` is the only one that may publish on its subject; None if anyone may.
    """

    sequence: int
    payload: bytes
    worker: str | None = None


class _CachedVersion(msgspec.Struct, frozen=True):
    """A version at a revision of its stream, and the jobs on which reports must show a token."""

    version: Version | None
    revision: int
    guarded: frozenset[Purpose]


class Ingest:
    """Ingests one feed of reports. It caches the versions it works on between batches.

    With `tokens`, a report counts only if its worker received the job. With `is_uploaded`, a
    trainer's report may name only files that were uploaded with the token of its job.
    """

    def __init__(
        self,
        store: Store,
        feed: str,
        tokens: JobTokens | None = None,
        is_uploaded: IsUploaded | None = None,
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._is_uploaded = is_uploaded
        self.feed = feed
        self._versions: dict[str, _CachedVersion] = {}
        self._revoked: dict[tuple[str, str], bool] = {}

    def position(self) -> int:
        """The sequence up to which the feed has been ingested."""
        return self._store.tracked(self.feed)

    def take(self, messages: Sequence[Delivered]) -> int:
        """Record what the messages report, in one transaction with the feed's sequence.

        Repeats and reports of superseded runs change nothing. An invalid report of the worker that
        has the job is recorded as refused; others are logged and skipped. Returns the log's
        position, 0 if there was nothing to record. Raises `AppendRefused` if another process
        ingested them, or if a user's command changed a version meanwhile; then nothing is saved:
        try again.
        """
        reports = [decoded for message in messages if (decoded := _decode(message)) is not None]
        streams = {VERSION.stream(decoded.report.version_id) for decoded in reports}
        kept = streams & self._versions.keys()
        self._revoked.clear()
        self._load(streams)
        try:
            events = [event for decoded in reports for event in self._record(decoded, kept)]
            # A batch that begins with reports which another process has ingested is refused:
            # decided on versions loaded afterwards, it would record the same events again.
            first, last = messages[0].sequence, messages[-1].sequence
            position = self._store.append(events, tracking=(self.feed, last), tracked_first=first)
        except BaseException:
            self._versions.clear()  # it holds states that were not saved
            raise
        for stream, cached in list(self._versions.items()):
            if cached.version is None or cached.version.status in versions.ENDED:
                del self._versions[stream]
        return position

    def _load(self, streams: set[str]) -> None:
        missing = sorted(streams - self._versions.keys())
        unguarded = self._store.streams(missing, upto=self._tokens.since) if self._tokens else {}
        for stream, events in self._store.streams(missing).items():
            version = VERSION.fold(recorded.event for recorded in events)
            requested = {
                REQUESTS[type(recorded.event)]: revision
                for revision, recorded in enumerate(events, start=1)
                if type(recorded.event) in REQUESTS
            }
            guarded = frozenset(
                purpose
                for purpose, revision in requested.items()
                if self._tokens is not None and revision > len(unguarded[stream])
            )
            self._versions[stream] = _CachedVersion(version, len(events), guarded)

    def _record(self, decoded: "_Decoded", kept: set[str]) -> Iterator[Recorded]:
        report = decoded.report
        stream = VERSION.stream(report.version_id)
        try:
            events = self._decide_anew(decoded, kept)
        except Refusal as refusal:
            log.warning("report %s is skipped: %s", report.message_id, refusal.detail)
            return
        cached = self._versions[stream]
        version, revision = cached.version, cached.revision
        actor = f"worker:{report.worker}"
        for event in events:
            version, revision = versions.evolve(version, event), revision + 1
            metadata = new_metadata(actor, report.message_id, report.correlation_id, None)
            yield Recorded(stream, revision, event, metadata)
        self._versions[stream] = _CachedVersion(version, revision, cached.guarded)

    def _decide_anew(self, decoded: "_Decoded", kept: set[str]) -> Sequence[Event]:
        """The events of a report. A report that changes nothing of a version in `kept` is decided
        on again with the version as it is now: nothing is appended that would be refused if others
        have changed it since, by a request to test it, for one. Raises `Refusal`."""
        stream = VERSION.stream(decoded.report.version_id)
        if stream in kept:
            kept.discard(stream)
            with suppress(Refusal):
                if events := self._decide(decoded):
                    return events
            del self._versions[stream]
            self._load({stream})
        return self._decide(decoded)

    def _decide(self, decoded: "_Decoded") -> Sequence[Event]:
        cached = self._versions[VERSION.stream(decoded.report.version_id)]
        decoded = msgspec.structs.replace(decoded, report=self._of_its_job(decoded.report, cached))
        self._check(decoded.report, cached)
        return self._events_of(decoded, cached.version)

    def _of_its_job(self, report: Report, cached: _CachedVersion) -> Report:
        """The report with the purpose of its job. A trainer's worker that supports only
        trainings names none when it reports that it cannot carry out another job: the purpose is
        the one that the token was issued for."""
        version = cached.version
        is_of_training = report.purpose == Purpose.TRAINING
        if self._tokens is None or version is None or not is_of_training:
            return report
        if not isinstance(report.body, Failed) or self._tokens.fits(report):
            return report
        for purpose, prediction in version.predictions.items():
            other = msgspec.structs.replace(report, purpose=purpose)
            if prediction.by_trainer and self._tokens.fits(other):
                return other
        return report

    def _check(self, report: Report, cached: _CachedVersion) -> None:
        """Raises `Conflict` for a report by a worker that did not receive the job, or has no seed
        any more."""
        guarded = report.purpose in cached.guarded
        if self._tokens is not None and guarded and not self._tokens.fits(report):
            raise Conflict(
                f"worker {report.worker} did not prove that it was given the job; update it if it"
                " runs an older version"
            )
        version = cached.version
        trainer = version.created.trainer if version else None
        if version is None or trainer is None or _is_of_own_worker(report.purpose, version):
            return
        if self._is_revoked(trainer.trainer_id, report.worker):
            raise Conflict(f"the seed of worker {report.worker} was revoked")

    def _is_revoked(self, trainer_id: str, worker: str) -> bool:
        key = trainer_id, worker
        if key not in self._revoked:
            self._revoked[key] = is_revoked(self._store, trainer_id, worker)
        return self._revoked[key]

    def _events_of(self, decoded: "_Decoded", version: Version | None) -> list[Event]:
        """Raises `Conflict` or `NotFound` for a report that is to be skipped."""
        report, problem = decoded.report, decoded.problem
        if problem is None:
            try:
                events = version_reports.record(report, version)
                self._check_files(report, version, events)
                return events
            except Invalid as invalid:
                problem = invalid.detail
        log.warning("report %s is refused: %s", report.message_id, problem)
        tag = decoded.tag or str(report.body.__struct_config__.tag)
        return version_reports.refuse(report, tag, problem, version)

    def _check_files(
        self, report: Report, version: Version | None, events: Sequence[Event]
    ) -> None:
        """Raises `Invalid` for a file that the trainer of a version did not upload: it may be
        another project's, which the version would then show."""
        if self._is_uploaded is None or version is None or version.created.trainer is None:
            return
        for event in events:
            for field, digest in version_reports.files_named_by(event).items():
                if not self._is_uploaded(VERSION.stream(report.version_id), digest):
                    raise Invalid(
                        f"{field}: no file {digest} was uploaded with the token of this job; upload"
                        " it before the report that names it",
                        field=field,
                    )


def _is_of_own_worker(purpose: Purpose, version: Version) -> bool:
    """Whether the job of this purpose is that of a worker of Stemma's, by a trainer's version."""
    prediction = version.predictions.get(purpose)
    return prediction is not None and not prediction.by_trainer


class _Decoded(msgspec.Struct, frozen=True):
    """A report; with `problem`, only its envelope is valid, `body` stands for nothing, and `tag` is
    the one that the body has."""

    report: Report
    tag: str
    problem: str | None = None


def _decode(message: Delivered) -> _Decoded | None:
    try:
        report = msgspec.json.decode(message.payload, type=Report)
        decoded: _Decoded | None = _Decoded(report, "")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        decoded = _with_invalid_body(message.payload, str(error))
        if decoded is None:
            log.warning("report %d cannot be decoded: %s", message.sequence, error)
            return None
    assert decoded is not None
    if message.worker not in {None, decoded.report.worker}:
        log.warning(
            "report %d was published by %s in the name of another worker",
            message.sequence,
            message.worker,
        )
        return None
    return decoded


def _with_invalid_body(payload: bytes, problem: str) -> _Decoded | None:
    """A report whose body is invalid, such as one with a NaN, which Python's own JSON has; None if
    the envelope is invalid, too."""
    constants: list[str] = []
    try:
        whole = json.loads(payload, parse_constant=constants.append)
        report = msgspec.convert(whole | {"body": _PLACEHOLDER}, Report)
    except (ValueError, TypeError, RecursionError):
        return None
    body = whole.get("body")
    tag = body.get("report") if isinstance(body, dict) else None
    if constants:
        problem = f"{constants[0]} is not a JSON number: metrics must be finite"
    return _Decoded(report, tag if isinstance(tag, str) else "", problem)


_PLACEHOLDER = {"report": "failed", "reason": ""}
