"""The event log, the source of truth: appends to streams, reads of streams, and reads in order."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, cast

import psycopg
import psycopg.conninfo
from eventsourcing.application import Application
from eventsourcing.persistence import (
    InfrastructureFactory,
    IntegrityError,
    InterfaceError,
    OperationalError,
    StoredEvent,
    Tracking,
)
from eventsourcing.postgres import PostgresFactory
from eventsourcing.utils import Environment
from psycopg.rows import DictRow, dict_row

from application.log import arrays
from application.log.connections import DirectPool
from application.log.mapper import EventMapper
from application.log.recorder import CommandRow, LogRecorder, NoAdditions, Rows
from application.log.recorder_pages import PageReads
from application.log.recorder_trail import TrailReads
from application.log.sealing import new_key
from application.log.turns import Turns
from domain.event import Event, Recorded, StreamName
from domain.personal import erased_values, shreds

SCHEMA = "log"
TABLE = "stemma_events"
CHANNEL = TABLE
PAGE = 1000
STREAMS = 5000
END = 2**63 - 1

KEEPALIVE_OPTIONS: dict[str, Any] = {
    "keepalives_idle": 3,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 9_000,
}
"""libpq options that detect a server that is cut off within ten seconds."""

CONNECT_OPTIONS: dict[str, Any] = {"connect_timeout": 5, **KEEPALIVE_OPTIONS}

LogUnreachable = (OperationalError, InterfaceError)
"""The errors of the log's reads and writes while PostgreSQL does not answer."""


class AppendRefused(Exception):
    """The append conflicts: a stream has moved on, or the command or report is already recorded."""


class _Log(Application[str]):
    name = "Stemma"

    def __init__(self, env: dict[str, str], connection: dict[str, Any], pool_size: int) -> None:
        self._connection, self._pool_size = connection, pool_size
        super().__init__(env)

    def construct_factory(self, env: Environment) -> InfrastructureFactory:
        """The library's factory knows five parts of an URL, and its pool lets all wait for a server
        that is away. The pool is replaced by one that does neither."""
        factory = cast(PostgresFactory, super().construct_factory(env))
        datastore = factory.datastore
        set_up = datastore.after_connect_func()

        def connect() -> psycopg.Connection[DictRow]:
            made = psycopg.connect(**self._connection, row_factory=dict_row)
            set_up(made)
            arrays.register(made)
            return made

        datastore.pool = DirectPool(connect, self._pool_size)  # type: ignore[assignment]
        return cast(InfrastructureFactory, factory)

    def construct_mapper(self) -> EventMapper:
        return EventMapper()

    def construct_recorder(self) -> LogRecorder:
        return cast(LogRecorder, self.factory.process_recorder())


class Store:
    """The `eventsourcing` application on PostgreSQL, behind the few verbs that Stemma uses.

    `pool_size` connections at most are opened. Safe to use from many threads.
    """

    def __init__(self, database_url: str, *, pool_size: int = 4) -> None:
        self.database_url = database_url
        info = psycopg.conninfo.conninfo_to_dict(database_url)
        self._log = _Log(_environment(info), CONNECT_OPTIONS | info, pool_size)
        self._recorder = cast(LogRecorder, self._log.recorder)
        self._mapper = cast(EventMapper, self._log.mapper)
        self._trail = TrailReads(self._recorder.datastore, TABLE)
        self.turns = Turns()
        self._pages = PageReads(self._recorder.datastore, TABLE)

    def close(self) -> None:
        self._log.close()

    def append(
        self,
        events: Sequence[Recorded],
        *,
        command: CommandRow | None = None,
        unchanged: Mapping[str, int] | None = None,
        tracking: tuple[str, int] | None = None,
        tracked_first: int | None = None,
        no_additions: NoAdditions | None = None,
    ) -> int:
        """Save events, and what belongs with them, in one transaction; return the last position.

        `unchanged` are the revisions of streams that the decision rests on. `tracking` is a feed's
        name and the sequence it has been ingested up to, and `tracked_first` the first of those
        that are ingested now: none of them may be ingested already. All images that the events add
        must be of the project of `no_additions`. Returns 0 if there were no events.
        Raises `AppendRefused`, and then nothing is saved.
        """
        stored, new = self._keys_for(events)
        keys = stored | new
        try:
            positions = self._recorder.insert_events(
                [self._mapper.to_stored_event(event, keys.get(event.stream)) for event in events],
                command=command,
                unchanged=unchanged,
                tracking=Tracking(*tracking) if tracking else None,
                tracked_first=tracked_first,
                keys=new,
                shredded=[event.stream for event in events if shreds(event.event)],
                no_additions=no_additions,
            )
        except IntegrityError as error:
            raise AppendRefused(str(error)) from error
        return positions[-1] if positions else 0

    def streams(self, names: Sequence[str], *, upto: int = END) -> dict[str, list[Recorded]]:
        """The events of each stream named, in order; an empty list for one that is not there.

        `upto` is a past position of the log, to see several streams as they were at one moment.
        """
        events: dict[str, list[Recorded]] = {name: [] for name in names}
        for recorded in self._recorded(self._recorder.select_streams(names, upto)):
            events[recorded.stream].append(recorded)
        return events

    def streams_and_head(self, names: Sequence[str]) -> tuple[int, dict[str, list[Recorded]]]:
        """The log's last position, and the same as of it, in one statement."""
        head, rows = self._recorder.select_streams_and_head(names, END)
        events: dict[str, list[Recorded]] = {name: [] for name in names}
        for recorded in self._recorded(rows):
            events[recorded.stream].append(recorded)
        return head, events

    def revisions(self, names: Sequence[str]) -> dict[str, int]:
        """The current last revision of each existing stream."""
        return self._recorder.select_revisions(names)

    def streams_of(self, kind: str, *, after: str = "", limit: int = STREAMS) -> list[str]:
        """The names of the streams of a kind, in their order, from behind one of them on."""
        first = str(StreamName(kind, ""))
        return self._trail.begun(first, max(first, after), limit)

    def views_of_project(self, project_id: str, *, upto: int = END) -> list[str]:
        """The streams of a project's views as of a position, in the order they were made."""
        return self._recorder.select_views(project_id, upto)

    def image_streams(
        self, project_id: str, *, upto: int, personal: bool = False
    ) -> Iterator[tuple[str, list[Event]]]:
        """The events of each image that a project has had, up to a position, by stream in order.

        Unless `personal`, what is sealed is left so, and reads as erased: opening takes time.
        """
        after = ""
        while page := self._recorder.select_image_streams(project_id, after, STREAMS, upto):
            keys = self._keys_of(page) if personal else {}
            for stream, stored in groupby(page, key=lambda event: str(event.originator_id)):
                key = keys.get(stream)
                yield stream, [self._mapper.to_event(event, key) for event in stored]
                after = stream

    def read(
        self,
        after: int,
        *,
        limit: int = PAGE,
        upto: int | None = None,
        names: Sequence[str] = (),
        skip: Sequence[str] = (),
    ) -> list[Recorded]:
        """A page of the log: events at positions above `after`, in order.

        `names` keeps only the events so named, and `skip` leaves those so named out.
        """
        end = END if upto is None else upto
        if names:
            return self._recorded(self._pages.named(names, after, end, limit))
        return self._recorded(self._recorder.select_page(after, end, skip, limit))

    def read_streams(
        self, streams: Sequence[str], after: int, *, upto: int, limit: int = PAGE
    ) -> list[Recorded]:
        """A page of the events of some streams: above `after` and up to `upto`, in order."""
        return self._recorded(self._pages.of_streams(streams, after, upto, limit))

    def read_all(
        self, after: int = 0, *, upto: int | None = None, names: Sequence[str] = ()
    ) -> Iterator[Recorded]:
        """The log in order, page by page."""
        while page := self.read(after, upto=upto, names=names):
            yield from page
            after = page[-1].position

    def _recorded(self, rows: Sequence[StoredEvent]) -> list[Recorded]:
        keys = self._keys_of(rows)
        return [self._mapper.to_domain_event(row, keys.get(str(row.originator_id))) for row in rows]

    def _keys_of(self, rows: Sequence[StoredEvent]) -> dict[str, bytes]:
        """The keys that open what is sealed in these rows, by stream, where they still exist."""
        personal = self._mapper.personal
        subjects = {str(row.originator_id) for row in rows if row.topic in personal}
        return self._recorder.select_keys(subjects) if subjects else {}

    def _keys_for(self, events: Sequence[Recorded]) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """The keys that seal events: those that their streams have, and new ones."""
        subjects = {event.stream for event in events if erased_values(type(event.event))}
        begun = {event.stream for event in events if event.originator_version == 1}
        older = subjects - begun
        stored = self._recorder.select_keys(older) if older else {}
        return stored, {subject: new_key() for subject in subjects - stored.keys()}

    def head(self) -> int:
        """The position of the last event; 0 for an empty log."""
        return self._recorder.max_notification_id() or 0

    def count(self) -> int:
        """The number of events: equal to the head, unless the log was tampered with."""
        return self._recorder.count_events()

    def at(self, positions: Sequence[int]) -> list[Recorded]:
        """The events at these positions, in order."""
        return self._recorded(self._trail.at(positions))

    def first_events(self, streams: Sequence[str]) -> dict[str, Event]:
        """The first event of each existing stream; personal fields stay sealed."""
        rows = self._trail.first(streams)
        return {str(row.originator_id): self._mapper.to_event(row) for row in rows}

    def of_stream(
        self, stream: str, *, after: int = 0, before: int = END, limit: int = PAGE, newest: bool
    ) -> list[Recorded]:
        """A page of a stream's events, between two positions, both left out."""
        rows = self._trail.of_stream(stream, after, before, limit, newest)
        return self._recorded(rows)

    def histories(
        self, streams: Sequence[str], *, upto: int, without: Sequence[str]
    ) -> list[Recorded]:
        """The events of several streams up to a position, in the log's order, less some by name."""
        rows = self._trail.histories(streams, upto, without)
        return self._recorded(rows)

    def status_steps(self, places: Sequence[tuple[str, int]]) -> list[Recorded]:
        """For streams of versions at positions: the last step before that changed the status."""
        streams, positions = [stream for stream, _ in places], [at for _, at in places]
        rows = self._trail.status_steps(streams, positions)
        return self._recorded(rows)

    def of_correlation(self, correlation_id: str, *, upto: int, limit: int) -> list[Recorded]:
        """The first events of one request, up to a position, in order."""
        rows = self._trail.of_correlation(correlation_id, upto, limit)
        return self._recorded(rows)

    def count_correlation(self, correlation_id: str, *, upto: int) -> int:
        return self._trail.count_correlation(correlation_id, upto)

    def query(self, statement: bytes, parameters: Sequence[Any]) -> Rows:
        """The rows of a query of the log and what is beside it, in a snapshot of its own."""
        return self._recorder.select(statement, parameters)

    def query_each(self, queries: Sequence[tuple[bytes, Sequence[Any]]]) -> list[Rows]:
        """The rows of several such queries, each with its parameters, in one snapshot."""
        return self._recorder.select_each(queries)

    def find_command(self, command_id: str) -> CommandRow | None:
        return self._recorder.find_command(command_id)

    def tracked(self, feed: str) -> int:
        """The sequence up to which a feed has been ingested."""
        return self._recorder.max_tracking_id(feed) or 0


def _environment(info: Mapping[str, Any]) -> dict[str, str]:
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "PROCESS_RECORDER_TOPIC": "application.log.recorder:LogRecorder",
        "ORIGINATOR_ID_TYPE": "text",
        "CREATE_TABLE": "no",
        "POSTGRES_SCHEMA": SCHEMA,
        "POSTGRES_DBNAME": str(info.get("dbname", "")),
        "POSTGRES_HOST": str(info.get("host", "")),
        "POSTGRES_PORT": str(info.get("port", "5432")),
        "POSTGRES_USER": str(info.get("user", "")),
        "POSTGRES_PASSWORD": str(info.get("password", "")),
    }
