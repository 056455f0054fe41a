"""What the handlers work with: the log, the read models, the blobs, and news of progress."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
from eventsourcing.persistence import ProgrammingError
from sqlalchemy import Connection, Engine

from adapters.access.refusals import Refusals
from adapters.access.sessions import Sessions
from adapters.access.sign_in_attempts import Attempts
from adapters.access.sign_in_codes import SignInCodes
from adapters.blobs.blobs import BlobStore
from adapters.blobs.uploaded import UploadedFiles
from adapters.evaluation.crops import Crops
from adapters.evaluation.predictions_cache import Predictions
from adapters.flip_book.loading import Books
from adapters.flip_book.rankings import Rankings
from adapters.health.overview import Overview
from adapters.images.decoders import Decoders
from adapters.observability.event_spans import TracedStore
from adapters.postgres.news import News
from adapters.postgres.postgres import engine_for, one_at_a_time
from adapters.settings import Settings
from adapters.subscriptions.feed.feed import Feed
from adapters.subscriptions.webhooks.addresses import Gate, allowed_in
from adapters.training.job_access import JobAccess
from adapters.training.weights import WeightsFolder
from adapters.training.worker_pool import QueueMonitor
from adapters.uploads.image_files import ImageLimits
from api.caller_proof import PROOF, CallerChanged, Proof, open_proof
from api.encoded_versions import EncodedVersions
from api.lookups import look_up
from api.moments import moment_in
from api.own_writes import SEEN_FROM, OwnWrites
from api.sampled_charts import SampledCharts
from application.access.access import Access
from application.log.recorder import Rows
from application.log.store import AppendRefused
from application.scopes import Scopes
from application.training.limit import TrainingLimit
from domain.errors import Invalid, Refusal
from domain.event import Recorded
from projections.audit.timeline import TIMELINE, position_at
from projections.engine.failing import failing_among
from projections.engine.follow import positions_of
from projections.engine.read_model import ReadModel, Write

THREADS = 16
"""Handler threads. Each may hold one connection of either pool."""

WAIT_SECONDS = 5.0
"""For read models that are behind the position that a query wants to see."""


class ApiStore(TracedStore):
    """Notes who writes, and lets what a caller writes rest on the proof of who it is."""

    def __init__(self, url: str, own_writes: OwnWrites) -> None:
        super().__init__(url, pool_size=THREADS)
        self._own_writes = own_writes
        self.scopes = Scopes(self)
        self.known_head = 0
        """A position that the log has reached."""

    def append(self, events: Sequence[Recorded], **conditions: Any) -> int:
        """Raises `CallerChanged`, too."""
        proof = PROOF.get()
        if proof is not None:
            unchanged = conditions.get("unchanged") or {}
            conditions["unchanged"] = {**unchanged, **proof.revisions}
        try:
            position = super().append(events, **conditions)
        except AppendRefused:
            if proof is not None:
                self.compare(proof)
            raise
        if proof is not None:
            proof.holds = True
        self._own_writes.note(events, position)
        self.scopes.note(events)
        self.known_head = max(self.known_head, position)
        return position

    def compare(self, proof: Proof) -> None:
        """Compare a proof with the log. Raises `CallerChanged`."""
        condition, parameters = proof.condition()
        if self.query(f"SELECT {condition}".encode(), parameters) != [(True,)]:
            raise CallerChanged
        proof.holds = True


class NotYet(Refusal):
    """The read models have not come as far as the caller wants to see."""


class Behind(NotYet):
    """Read models are behind a position, and advance: the query may wait, and be tried again."""

    def __init__(self, position: int, read_models: Sequence[ReadModel]) -> None:
        names = ", ".join(read_model.name for read_model in read_models)
        super().__init__(
            f"position {position} is not visible after {WAIT_SECONDS:.0f} s in {names}; is the"
            " projection running? See `stemma status`"
        )
        self.position = position
        self.read_models = read_models


class BehindOwnWrite(Behind):
    """Read models are behind what the caller has just written. If they stay so, what is there is
    shown."""


class Backend:
    """Made once for the process; safe to use from all handler threads."""

    def __init__(self, settings: Settings) -> None:
        url = settings.require("database_url")
        self.own_writes = OwnWrites()
        self.store = ApiStore(url, self.own_writes)
        self.access = Access(self.store)
        self.scopes = self.store.scopes
        self.committed: Engine = engine_for(url, THREADS)
        self.engine: Engine = self.committed.execution_options(isolation_level="REPEATABLE READ")
        self.refusals = Refusals(self.committed)
        self.sessions = Sessions(self.committed)
        self.attempts = Attempts(self.committed)
        self.sign_in_codes = SignInCodes(self.committed)
        blobs_url = settings.require("blobs_url")
        self.blobs = BlobStore.from_url(blobs_url)
        self.uploaded = UploadedFiles(self.committed)
        self.weights = WeightsFolder(settings.weights_folder, self.blobs)
        self.predictions = Predictions(self.blobs, blobs_url)
        self.crops = Crops(self.blobs)
        self.jobs = JobAccess(self.store, url, self.blobs)
        self.books = Books(self.blobs)
        self.rankings = Rankings(self.blobs, blobs_url)
        self.versions = EncodedVersions()
        self.charts = SampledCharts()
        self.news = News(url, self.engine)
        self.feed = Feed(self.store, self.scopes)
        self.import_roots = settings.roots()
        self.max_import_bytes = settings.max_import_bytes
        self.queue_monitor = QueueMonitor(settings)
        one_training = partial(one_at_a_time, self.committed)
        self.trainings = TrainingLimit(self.store, settings.max_trainings, one_training)
        self.gate = Gate(allowed_in(settings.webhook_allow))
        self.data = settings.data
        self.webhook_timeout = settings.webhook_timeout_seconds
        self.overview = Overview(url, self.queue_monitor, self.blobs, self.store)
        self.limits = ImageLimits(settings.max_upload_bytes, settings.max_image_pixels)
        self.decoders = Decoders(settings.max_image_pixels)

    def close(self) -> None:
        self.decoders.close()
        self.news.close()
        self.feed.close()
        self.refusals.close()
        self.overview.close()
        self.predictions.close()
        self.rankings.close()
        self.store.close()
        self.engine.dispose()

    def require(self, position: int, *read_models: ReadModel) -> None:
        """Raise `Behind` if these read models are not there yet, `NotYet` if one of them fails,
        and `Invalid` for a position that the log has not reached.

        It does not wait, because that would keep a thread from other queries.
        """
        if self.news.has_reached(position, read_models):
            return
        if position > self.store.known_head and position > (head := self.store.head()):
            raise Invalid(f"at_least is {position}, and the log ends at {head}", field="at_least")
        if self.news.is_missing(read_models) or self.news.is_failing(read_models):
            self._refuse_failing(position, read_models)
        raise Behind(position, read_models)

    def _refuse_failing(self, position: int, read_models: Sequence[ReadModel]) -> None:
        with self.engine.connect() as connection:
            reached(connection, read_models)
            at = dict(positions_of(connection, read_models))
            failing = [
                read_model.read_model for read_model in failing_among(connection, read_models)
            ]
        stuck = [f"{name}, at {at[name]}" for name in failing if at[name] < position]
        if stuck:
            raise NotYet(
                f"position {position} is not visible: the read model {' and '.join(stuck)}, fails"
                " and is retried; `stemma status` shows why"
            )

    def _require_shown(self, at_least: int | None, read_models: Sequence[ReadModel]) -> None:
        if at_least is not None:
            self.require(at_least, *read_models)
        elif (own := SEEN_FROM.get()) and not (
            self.news.has_reached(own, read_models) or self.news.is_failing(read_models)
        ):
            raise BehindOwnWrite(own, read_models)

    def look_up(
        self, at_least: int | None, query: Write, *read_models: ReadModel
    ) -> tuple[Rows, int]:
        """The rows of one query, whose first column is never null, and the position that they
        reflect, as for `reading`: in one statement, where that needs a transaction."""
        [rows], position = self.look_up_each(at_least, [query], *read_models)
        return rows, position

    def look_up_each(
        self, at_least: int | None, queries: Sequence[Write], *read_models: ReadModel
    ) -> tuple[Sequence[Rows], int]:
        """The rows of several queries, in a transaction of one round trip."""
        self._require_shown(at_least, read_models)
        try:
            found = look_up(self.store, self.engine.dialect, queries, read_models, open_proof())
        except ProgrammingError:
            self._require_built(read_models)
            raise
        if found.position is None:
            self._require_built(read_models)
        return found.rows, found.position or 0

    def _require_built(self, read_models: Sequence[ReadModel]) -> None:
        """Raise `NotYet` if the database lacks one of these read models."""
        with self.engine.begin() as connection:
            reached(connection, read_models)

    @contextmanager
    def reading(
        self, at_least: int | None, *read_models: ReadModel
    ) -> Iterator[tuple[Connection, int]]:
        """A snapshot for queries of these read models, and the position that it reflects.

        That is how far along the log all of them are; how far others are plays no part. `at_least`
        raises `Behind` until they have come that far, for which `api/access/waiting.py` waits.
        Without it, they show at least what the caller has just written.
        """
        self._require_shown(at_least, read_models)
        # Ended by a commit: a rollback would drop the connection's prepared statements.
        with self.engine.begin() as connection:
            yield connection, _begin(connection, read_models)

    @contextmanager
    def reading_as_of(
        self, as_of: str | None, at_least: int | None, *read_models: ReadModel
    ) -> Iterator[tuple[Connection, int, int | None]]:
        """The same, as of a moment of the past: a position of the log, or a time.

        The third is the position to query as of; None is now. Raises `Invalid` for a position
        that the log has not reached.
        """
        if as_of is None:
            with self.reading(at_least, *read_models) as (connection, position):
                yield connection, position, None
            return
        moment, head = moment_in(as_of), self.store.head()
        if isinstance(moment, int) and moment > head:
            raise Invalid(f"as_of is {moment}, and the log ends at {head}", field="as_of")
        if isinstance(moment, int):
            needed = max(moment, at_least or 0)
        else:
            # A time is looked up once all is visible that may have been recorded by then.
            needed, read_models = max(head, at_least or 0), (*read_models, TIMELINE)
        with self.reading(needed, *read_models) as (connection, latest):
            if not isinstance(moment, int):
                moment = position_at(connection, self.store, moment, upto=latest)
            yield connection, moment, moment


_REACHED = """
    SELECT min(position), count(*) FROM read.positions WHERE read_model = ANY(%s)
"""


def _begin(connection: Connection, read_models: Sequence[ReadModel]) -> int:
    """As `reached`, in one round trip with the begin of the transaction and the comparison of the
    caller's proof. Raises `CallerChanged`, too."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    proof, names = open_proof(), [read_model.name for read_model in read_models]
    with driver.pipeline():
        found = driver.execute(_REACHED, (names,), prepare=True)
        if proof is not None:
            condition, parameters = proof.condition()
            stands = driver.execute(f"SELECT {condition}".encode(), parameters, prepare=True)
    if proof is not None:
        if stands.fetchone() != (True,):
            raise CallerChanged
        proof.holds = True
    position, count = found.fetchone() or (0, 0)
    return reached(connection, read_models) if count < len(set(names)) else int(position or 0)


def reached(connection: Connection, read_models: Sequence[ReadModel]) -> int:
    """How far along the log all of these are. Raises `NotYet` where one is not built."""
    position_by_name = dict(positions_of(connection, read_models))
    missing = [
        read_model.name for read_model in read_models if read_model.name not in position_by_name
    ]
    if missing:
        raise NotYet(f"{', '.join(missing)}: not built in this database; run `stemma migrate`")
    return min(position_by_name.values(), default=0)
