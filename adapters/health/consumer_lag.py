"""The lag of each part behind the log, and stalls: for `stemma status`, metrics and health."""

from contextlib import suppress
from datetime import datetime

import msgspec
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from sqlalchemy import Connection, text

from adapters.dataset.eraser import FEED as ERASURES
from adapters.health.heartbeats import ServiceHeartbeat, latest_heartbeats
from adapters.nats.jetstream import CONTROL_STREAM, EVENTS, JOBS, REPORTS, stream_incarnation
from adapters.subscriptions.relay import NotFromTheLog, forgotten_up_to, last_published, surplus_of
from application.training.results import FEED as RESULTS
from projections.dataset.near_duplicates import FEED as HASHES
from projections.engine.failing import Failing, failing_among
from projections.engine.follow import positions_of
from projections.registry import READ_MODELS

_HEAD = text("SELECT coalesce(max(notification_id), 0) FROM log.stemma_events")
_SIGNED = text("SELECT coalesce(max(size), 0) FROM log.checkpoints")
_UNSIGNED = text("SELECT state, now() FROM log.stemma_events WHERE notification_id = :position")
_TRACKED = text("SELECT application_name, notification_id FROM log.stemma_tracking")


class ConsumerLag(msgspec.Struct, frozen=True):
    """A part's position, and how many events, or reports, it is behind."""

    part: str
    position: int
    behind: int


class DatabaseStatus(msgspec.Struct, frozen=True):
    """The state that the database holds, read in one snapshot."""

    head: int
    read_models: list[ConsumerLag]
    parts: list[ConsumerLag]
    failing: list[Failing]
    heartbeats: list[ServiceHeartbeat]
    tracked: dict[str, int]
    signed: int
    """The size of the largest stored checkpoint."""
    unsigned_seconds: float | None
    """The age of the first event that is not signed yet; None if its time cannot be read."""

    @property
    def not_built(self) -> list[str]:
        """The read models that this program needs and the database does not have."""
        built = {lag.part for lag in self.read_models}
        return [model.name for model in READ_MODELS if model.name not in built]


def read_database_status(connection: Connection) -> DatabaseStatus:
    head = int(connection.scalar(_HEAD) or 0)

    def lag(part: str, position: int) -> ConsumerLag:
        return ConsumerLag(part, position, max(head - position, 0))

    signed = int(connection.scalar(_SIGNED) or 0)
    tracked = {name: int(position) for name, position in connection.execute(_TRACKED)}
    return DatabaseStatus(
        head,
        [lag(name, at) for name, at in positions_of(connection, READ_MODELS)],
        [
            lag("checkpoints", signed),
            lag("eraser", tracked.get(ERASURES, 0)),
            lag("hashes", tracked.get(HASHES, 0)),
            lag("results", tracked.get(RESULTS, 0)),
        ],
        failing_among(connection, READ_MODELS),
        latest_heartbeats(connection),
        tracked,
        signed,
        _unsigned_seconds(connection, signed + 1),
    )


class _Time(msgspec.Struct, frozen=True):
    occurred_at: datetime


def _unsigned_seconds(connection: Connection, position: int) -> float | None:
    row = connection.execute(_UNSIGNED, {"position": position}).one_or_none()
    if row is None:
        return 0.0
    state, now = row
    assert isinstance(now, datetime)
    try:
        occurred_at = msgspec.json.decode(state, type=_Time).occurred_at
    except msgspec.MsgspecError:
        return None
    return max((now - occurred_at).total_seconds(), 0.0)


async def read_stream_lags(js: JetStreamContext, database: DatabaseStatus) -> list[ConsumerLag]:
    """The lags of the parts that work with NATS; empty before the streams exist.

    That of ingest counts reports: the ingested sequence, and the reports that wait.
    """
    try:
        lags = []
        # Where its position is unknown, its failures show the cause.
        with suppress(NotFromTheLog):
            relayed = await _relayed(js, database)
            lags.append(ConsumerLag("relay", relayed, max(database.head - relayed, 0)))
        for part, stream in (("policies", JOBS), ("control", CONTROL_STREAM)):
            at = database.tracked.get(f"{part} for {await stream_incarnation(js, stream)}", 0)
            lags.append(ConsumerLag(part, at, max(database.head - at, 0)))
        reports = (await js.stream_info(REPORTS)).state.last_seq
        at = database.tracked.get(await stream_incarnation(js, REPORTS), 0)
        return [*lags, ConsumerLag("ingest", at, max(reports - at, 0))]
    except NotFoundError:
        return []


async def _relayed(js: JetStreamContext, database: DatabaseStatus) -> int:
    last = await last_published(js)
    info = await js.stream_info(EVENTS)
    surplus = database.tracked.get(surplus_of(info), 0)
    return last.position if last.event_id else forgotten_up_to(info, surplus)


class StallDetector:
    """Keeps positions between snapshots, to detect parts that do not move with work to do."""

    def __init__(self) -> None:
        self._positions: dict[str, tuple[int, float]] = {}

    def stalled_for(self, lag: ConsumerLag, now: float) -> float:
        """Seconds at least for which this part has been behind at the same position."""
        position, since = self._positions.get(lag.part, (None, now))
        if lag.behind == 0 or position != lag.position:
            since = now
        self._positions[lag.part] = lag.position, since
        return now - since
