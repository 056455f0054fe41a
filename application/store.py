"""The event log: the truth. Streams are appended to and read; the log is read in order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, cast

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

from application.mapper import EventMapper
from application.recorder import CommandRow, LogRecorder
from domain.event import Event, Recorded

SCHEMA = "log"
TABLE = "stemma_events"
CHANNEL = TABLE
PAGE = 1000
STREAMS = 5000

LogUnreachable = (OperationalError, InterfaceError)
"""What the log's reads and writes raise while PostgreSQL does not answer."""
END = 2**63 - 1


class AppendRefused(Exception):
    """Someone else was first: a stream moved on, or the command or report was taken in already."""


class _Log(Application[str]):
    name = "Stemma"

    def __init__(self, env: dict[str, str], connection: dict[str, Any]) -> None:
        self._connection = connection
        super().__init__(env)

    def construct_factory(self, env: Environment) -> InfrastructureFactory:
        """The library's factory knows five parts of an URL; the rest, TLS for one, is added."""
        factory = cast(PostgresFactory, super().construct_factory(env))
        kwargs = factory.datastore.pool.kwargs
        assert isinstance(kwargs, dict)
        kwargs.update(self._connection)
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
        self._log = _Log(_environment(info, pool_size), info)
        self._recorder = cast(LogRecorder, self._log.recorder)
        self._mapper = cast(EventMapper, self._log.mapper)
        self._to_recorded: Callable[[StoredEvent], Recorded] = self._mapper.to_domain_event

    def close(self) -> None:
        self._log.close()

    def append(
        self,
        events: Sequence[Recorded],
        *,
        command: CommandRow | None = None,
        unchanged: Mapping[str, int] | None = None,
        tracking: tuple[str, int] | None = None,
    ) -> int:
        """Save events, and what belongs with them, in one transaction; return the last position.

        `unchanged` are the revisions of streams that the decision rests on. `tracking` is a feed's
        name and the sequence it has been taken in up to. Returns 0 if there were no events.
        Raises `AppendRefused`, and then nothing is saved.
        """
        try:
            recordings = self._log.events.put(
                cast(Any, events),
                command=command,
                unchanged=unchanged,
                tracking=Tracking(*tracking) if tracking else None,
            )
        except IntegrityError as error:
            raise AppendRefused(str(error)) from error
        return recordings[-1].notification.id if recordings else 0

    def streams(self, names: Sequence[str], *, upto: int = END) -> dict[str, list[Recorded]]:
        """The events of each stream named, in order; an empty list for one that is not there.

        `upto` is a past position of the log, to see several streams as they were at one moment.
        """
        found: dict[str, list[Recorded]] = {name: [] for name in names}
        for stored in self._recorder.select_streams(names, upto):
            found[str(stored.originator_id)].append(self._to_recorded(stored))
        return found

    def image_streams(self, project_id: str, *, upto: int) -> Iterator[tuple[str, list[Event]]]:
        """The events of each image that a project has had, up to a position, by stream in order."""
        after = ""
        while page := self._recorder.select_image_streams(project_id, after, STREAMS, upto):
            for stream, stored in groupby(page, key=lambda event: str(event.originator_id)):
                yield stream, [self._mapper.to_event(event) for event in stored]
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

        `names` keeps only the events so named, `skip` all but those so named.
        """
        if skip:
            page = self._recorder.select_page(after, END if upto is None else upto, skip, limit)
            return [self._to_recorded(notification) for notification in page]
        notifications = self._recorder.select_notifications(
            after, limit, stop=upto, topics=list(names), inclusive_of_start=False
        )
        return [self._to_recorded(notification) for notification in notifications]

    def read_all(
        self, after: int = 0, *, upto: int | None = None, names: Sequence[str] = ()
    ) -> Iterator[Recorded]:
        """The log in order, page by page."""
        while page := self.read(after, upto=upto, names=names):
            yield from page
            after = page[-1].position

    def head(self) -> int:
        """The position of the last event; 0 for an empty log."""
        return self._recorder.max_notification_id() or 0

    def count(self) -> int:
        """How many events there are: the head, unless someone has tampered with the log."""
        return self._recorder.count_events()

    def find_command(self, command_id: str) -> CommandRow | None:
        return self._recorder.find_command(command_id)

    def tracked(self, feed: str) -> int:
        """The sequence up to which a feed has been taken in."""
        return self._recorder.max_tracking_id(feed) or 0


def _environment(info: Mapping[str, Any], pool_size: int) -> dict[str, str]:
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "PROCESS_RECORDER_TOPIC": "application.recorder:LogRecorder",
        "ORIGINATOR_ID_TYPE": "text",
        "CREATE_TABLE": "no",
        "POSTGRES_SCHEMA": SCHEMA,
        "POSTGRES_DBNAME": str(info.get("dbname", "")),
        "POSTGRES_HOST": str(info.get("host", "")),
        "POSTGRES_PORT": str(info.get("port", "5432")),
        "POSTGRES_USER": str(info.get("user", "")),
        "POSTGRES_PASSWORD": str(info.get("password", "")),
        "POSTGRES_POOL_SIZE": "1",
        "POSTGRES_MAX_OVERFLOW": str(pool_size - 1),
        "POSTGRES_PRE_PING": "yes",
        "POSTGRES_CONNECT_TIMEOUT": "5",
    }
