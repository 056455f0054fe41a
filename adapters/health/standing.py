"""How far each part is along the log, and whether it moves: for people, metrics and health."""

from contextlib import suppress

import msgspec
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from sqlalchemy import Connection, text

from adapters.dataset.eraser import FEED as ERASURES
from adapters.health.heartbeats import Sign, signs_of_life
from adapters.nats.jetstream import CONTROL_STREAM, EVENTS, JOBS, REPORTS, stream_incarnation
from adapters.subscriptions.relay import NotFromTheLog, forgotten_up_to, last_published, surplus_of
from projections.engine.failing import Failing, failing_among
from projections.engine.follow import positions_of
from projections.registry import READ_MODELS

_HEAD = text("SELECT coalesce(max(notification_id), 0) FROM log.stemma_events")
_SIGNED = text("SELECT coalesce(max(size), 0) FROM log.checkpoints")
_TRACKED = text("SELECT application_name, notification_id FROM log.stemma_tracking")


class Standing(msgspec.Struct, frozen=True):
    """A part's position, and how many events, or reports, it is behind."""

    part: str
    position: int
    behind: int


class DatabaseStandings(msgspec.Struct, frozen=True):
    """What the database knows, of one moment."""

    head: int
    read_models: list[Standing]
    parts: list[Standing]
    failing: list[Failing]
    signs: list[Sign]
    tracked: dict[str, int]

    @property
    def not_built(self) -> list[str]:
        """The read models that this program needs and the database does not have."""
        built = {one.part for one in self.read_models}
        return [one.name for one in READ_MODELS if one.name not in built]


def from_database(connection: Connection) -> DatabaseStandings:
    head = int(connection.scalar(_HEAD) or 0)

    def standing(part: str, position: int) -> Standing:
        return Standing(part, position, max(head - position, 0))

    tracked = {name: int(position) for name, position in connection.execute(_TRACKED)}
    return DatabaseStandings(
        head,
        [standing(name, at) for name, at in positions_of(connection, READ_MODELS)],
        [
            standing("checkpoints", int(connection.scalar(_SIGNED) or 0)),
            standing("eraser", tracked.get(ERASURES, 0)),
        ],
        failing_among(connection, READ_MODELS),
        signs_of_life(connection),
        tracked,
    )


async def from_streams(js: JetStreamContext, known: DatabaseStandings) -> list[Standing]:
    """How far those parts are that work with NATS; nothing before any has made the streams.

    The last counts reports: the sequence taken in, and those that wait.
    """
    try:
        found = []
        # Where nobody knows how far it is, its failures say what the matter is.
        with suppress(NotFromTheLog):
            relayed = await _relayed(js, known)
            found.append(Standing("relay", relayed, max(known.head - relayed, 0)))
        for part, stream in (("policies", JOBS), ("control", CONTROL_STREAM)):
            at = known.tracked.get(f"{part} for {await stream_incarnation(js, stream)}", 0)
            found.append(Standing(part, at, max(known.head - at, 0)))
        reports = (await js.stream_info(REPORTS)).state.last_seq
        at = known.tracked.get(await stream_incarnation(js, REPORTS), 0)
        return [*found, Standing("ingest", at, max(reports - at, 0))]
    except NotFoundError:
        return []


async def _relayed(js: JetStreamContext, known: DatabaseStandings) -> int:
    last = await last_published(js)
    info = await js.stream_info(EVENTS)
    surplus = known.tracked.get(surplus_of(info), 0)
    return last.position if last.event_id else forgotten_up_to(info, surplus)


class Movement:
    """Remembers positions from one look to the next, to tell who stands still with work to do."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, float]] = {}

    def still_for(self, standing: Standing, now: float) -> float:
        """Seconds for which this part has been behind at one position, at the least."""
        position, since = self._seen.get(standing.part, (None, now))
        if standing.behind == 0 or position != standing.position:
            since = now
        self._seen[standing.part] = standing.position, since
        return now - since
