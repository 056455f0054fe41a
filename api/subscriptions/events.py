"""The feed of all events over HTTP, for services that do not speak NATS."""

from collections.abc import Collection
from typing import Annotated, Any

import msgspec
from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, PathParameter, QueryParameter
from litestar.response import Stream

from adapters.subscriptions.feed.feed import Again, Page
from adapters.subscriptions.feed.wanted import Chosen, Wanted
from api.access.guard import who_still
from api.access.limits import hold_open
from api.access.rights import needs
from api.backend import Backend
from api.http.parameters import HttpRequest, Served, provided
from application.access.access import Caller
from domain.access.roles import Right
from domain.errors import Invalid, NotFound
from domain.subscriptions.cloud_events import Attributes, binary_headers, cloud_event

After = Annotated[
    int, QueryParameter(ge=0, le=2**62, description="Only events behind this position")
]

Position = Annotated[int, PathParameter(ge=1, le=2**62, description="The event's position")]


class EventItem(Attributes, frozen=True, kw_only=True):
    """A CloudEvent; what its `data` hold, `dataschema` says."""

    data: dict[str, Any]


class EventPage(msgspec.Struct, frozen=True):
    """Events in the order of the log; ask for those after `next` next time.

    `position` is how far the log is: where `next` is less, there is more to look through.
    """

    items: list[EventItem]
    next: int
    position: int


def chosen_in(
    name: Annotated[
        list[str] | None,
        QueryParameter(description="An event's name, or all of a kind, such as `version.*`"),
    ] = None,
    subject: Annotated[
        list[str] | None,
        QueryParameter(description="What the event is about, such as `version-…`"),
    ] = None,
    project: Annotated[
        list[str] | None, QueryParameter(description="All of a project, by its id")
    ] = None,
    view: Annotated[
        list[str] | None, QueryParameter(description="All of a view, by its id")
    ] = None,
    model: Annotated[
        list[str] | None, QueryParameter(description="All of a model, by its id")
    ] = None,
    version: Annotated[
        list[str] | None, QueryParameter(description="All of a version, by its id")
    ] = None,
) -> Chosen:
    return Chosen(
        name=name or (),
        subject=subject or (),
        project=project or (),
        view=view or (),
        model=model or (),
        version=version or (),
    )


class EventController(Controller):
    """The feed of all events.

    An event is sent where each filter that is given has a value that fits it.
    """

    path = "/events"
    tags = ("Events",)
    dependencies = provided(chosen=chosen_in)

    @get(
        summary="Events by page",
        opt=needs(Right.READ, anywhere=True),
        responses={200: ResponseSpec(EventPage, description="A page of events")},
    )
    async def list_events(
        self,
        backend: Served,
        request: HttpRequest,
        chosen: NamedDependency[Chosen],
        after: After = 0,
        limit: Annotated[int, QueryParameter(ge=1, le=1000, description="Items a page")] = 100,
        wait: Annotated[
            float,
            QueryParameter(ge=0, le=30, description="Seconds to wait where there is nothing yet"),
        ] = 0,
    ) -> Response[bytes]:
        """CloudEvents, in the order of the log and without a gap.

        With `wait` the answer comes as soon as there is an event that fits, or without one when
        the time is over.
        """
        if wait:
            hold_open(request)
        await backend.feed.begin(after, "after")
        wanted, again = await _wanted(backend, request, chosen)
        page = await backend.feed.page(wanted, after, limit, wait, again)
        return Response(_encoded(page), media_type="application/json")

    @get(
        "/stream",
        summary="Follow events live",
        opt=needs(Right.READ, anywhere=True),
        media_type="text/event-stream",
    )
    async def follow_events(
        self,
        backend: Served,
        request: HttpRequest,
        chosen: NamedDependency[Chosen],
        after: After = 0,
        last_event_id: Annotated[
            str | None,
            HeaderParameter(
                name="Last-Event-ID", description="The last id seen; goes before `after`"
            ),
        ] = None,
    ) -> Stream:
        """Server-sent events, in the order of the log and without a gap.

        `id` is the position, `event` the name, `data` a CloudEvent. An `id` that comes alone says
        how far the log was looked through. Every 15 seconds of silence there is a line.
        """
        field = "after"
        if last_event_id is not None:
            if not last_event_id.isdecimal() or len(last_event_id) > 18:
                raise Invalid("Last-Event-ID is the id of an event seen", field="Last-Event-ID")
            field, after = "Last-Event-ID", int(last_event_id)
        hold_open(request)
        await backend.feed.begin(after, field)
        wanted, again = await _wanted(backend, request, chosen)
        return Stream(
            backend.feed.stream(wanted, after, again),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )

    @get(
        "/{position:int}/data",
        summary="Read an event's data",
        opt=needs(Right.READ, anywhere=True),
        sync_to_thread=True,
        responses={200: ResponseSpec(dict[str, Any], description="What `ce-dataschema` says")},
    )
    def read_data(
        self, backend: Served, request: HttpRequest, position: Position
    ) -> Response[bytes]:
        """The event at a position, as a CloudEvent in binary mode.

        It is where `ce-dataref` of a message on NATS leads, if the event is larger than a message
        may be. The headers `ce-…` are those of the message, with the form that the data have here.
        """
        found = backend.store.read(position - 1, limit=1, upto=position)
        if not found or not request.user.grants.may(
            Right.READ, backend.scopes.project_of(found[0].stream)
        ):
            raise NotFound(f"there is no event at {position} that you may read", field="position")
        event = cloud_event(found[0])
        headers = binary_headers(event)
        media_type = headers.pop("ce-datacontenttype")
        return Response(msgspec.json.encode(event.data), headers=headers, media_type=media_type)


def _readable(caller: Caller) -> Collection[str] | None:
    """The projects whose events the caller may read; None is all, and what is in none."""
    return caller.grants.projects(Right.READ)


async def _wanted(backend: Backend, request: HttpRequest, chosen: Chosen) -> tuple[Wanted, Again]:
    """What filters come to for the caller of a request, and how to ask for that again."""
    projects = _readable(request.user)
    wanted = await backend.feed.wanted(chosen, projects)

    async def again() -> Wanted | None:
        caller = await who_still(request)
        readable = frozenset[str]() if caller is None else _readable(caller)
        return wanted.within(readable) if readable is None or readable else None

    return wanted.within(projects), again


def _encoded(page: Page) -> bytes:
    items = b",".join([event.cloud_event for event in page.events])
    return b'{"items":[%b],"next":%d,"position":%d}' % (items, page.following, page.position)
