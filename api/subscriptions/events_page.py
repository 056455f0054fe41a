"""The page of events: the log as subscribers receive it, newest first."""

from datetime import datetime
from urllib.parse import urlencode

import msgspec
from litestar import Controller, get
from litestar.params import FromQuery
from litestar.response import Template

from adapters.subscriptions.feed.before import newest
from adapters.subscriptions.feed.wanted import Chosen
from api.access.rights import needs
from api.http.parameters import Cursor, HttpRequest, Served, position_in
from api.pages.html import Page, render
from domain.access.roles import Right
from domain.event import registry
from domain.subscriptions.cloud_events import CloudEvent, cloud_event
from projections.dataset.catalog import CATALOG, ProjectRow, list_projects

EVENTS_A_PAGE = 50
PROJECTS_OFFERED = 200
SHOWN_CHARACTERS = 240
"""The most characters of an event's data that the page shows."""

_FILTERS = ("name", "subject", "project", "view", "model", "version")


class EventsPage(Page, frozen=True, kw_only=True):
    """Events that match the filters `chosen`; there are no others above position `down_to`."""

    events: list[CloudEvent]
    chosen: dict[str, str]
    projects: list[ProjectRow]
    first: bool
    down_to: int

    @property
    def names(self) -> list[str]:
        """The values of the name filter: all events of a kind, and each event."""
        kinds = {f"{name.split('.', 1)[0]}.*" for name in registry()}
        return sorted(kinds | set(registry()))

    @property
    def more_open(self) -> bool:
        return any(self.chosen[name] for name in ("view", "model", "version"))

    @property
    def narrowed(self) -> bool:
        return any(self.chosen.values())

    def address(self, **others: str) -> str:
        """The address of this page with its filters and other values."""
        query = {name: value for name, value in (self.chosen | others).items() if value}
        return f"/events?{urlencode(query)}" if query else "/events"

    def at(self, event: CloudEvent) -> datetime:
        """The time of an event."""
        return datetime.fromisoformat(event.time)

    def data_text(self, event: CloudEvent) -> str:
        """The event's data, cut to `SHOWN_CHARACTERS`."""
        text = msgspec.json.encode(event.data).decode()
        return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


class EventPages(Controller):
    """Events."""

    @get("/events", sync_to_thread=True, opt=needs(Right.READ, anywhere=True))
    def events(
        self,
        backend: Served,
        request: HttpRequest,
        name: FromQuery[str] = "",
        subject: FromQuery[str] = "",
        project: FromQuery[str] = "",
        view: FromQuery[str] = "",
        model: FromQuery[str] = "",
        version: FromQuery[str] = "",
        cursor: Cursor = None,
    ) -> Template:
        readable = request.user.grants.projects(Right.READ)
        values = dict(zip(_FILTERS, (name, subject, project, view, model, version), strict=True))
        chosen = Chosen(**{key: [value] for key, value in values.items() if value})
        head, before = backend.store.head(), position_in(cursor)
        start = head + 1 if before is None else min(before, head + 1)
        matches = newest(backend.store, backend.scopes, chosen, readable, start, EVENTS_A_PAGE)
        with backend.reading(None, CATALOG) as (connection, _):
            projects = list_projects(connection, limit=PROJECTS_OFFERED, among=readable)
        query = urlencode({key: value for key, value in values.items() if value})
        page = EventsPage(
            position=head,
            api=f"/api/v1/events?after={matches.down_to}{'&' if query else ''}{query}",
            events=[cloud_event(event) for event in matches.events],
            chosen=values,
            projects=projects,
            first=before is None,
            down_to=matches.down_to,
        )
        return render("subscriptions/events.html", page)
