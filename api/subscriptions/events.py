"""The event feed over HTTP, for services without NATS."""

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
    int, QueryParameter(ge=0, le=2**62, description="Only events after this position")
]

Position = Annotated[int, PathParameter(ge=1, le=2**62, description="The event's position")]


class EventItem(Attributes, frozen=True, kw_only=True):
    """A CloudEvent; `dataschema` is the schema of its `data`."""

    data: dict[str, Any]


class EventPage(msgspec.Struct, frozen=True):
    """Events in the order of the log; the next request has `after=<next>`.

    `position` is the end of the log: where `next` is less, more events may follow.
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
        list[str] | None, QueryParameter(description="Events of a project, by its id")
    ] = None,
    view: Annotated[
        list[str] | None, QueryParameter(description="Events of a view, by its id")
    ] = None,
    model: Annotated[
        list[str] | None, QueryParameter(description="Events of a model, by its id")
    ] = None,
    version: Annotated[
        list[str] | None, QueryParameter(description="Events of a version, by its id")
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

    An event is sent if each given filter has a value that matches it.
    """

    path = "/events"
    tags = ("Events",)
    dependencies = provided(chosen=chosen_in)

    @get(
        summary="Events by page",
        opt=needs(Right.READ, anywhere=True),
        responses={
            200: ResponseSpec(EventPage, generate_examples=False, description="A page of events")
        },
    )
    async def list_events(
        self,
        backend: Served,
        request: HttpRequest,
        chosen: NamedDependency[Chosen],
        after: After = 0,
        limit: Annotated[int, QueryParameter(ge=1, le=1000, description="Items per page")] = 100,
        wait: Annotated[
            float,
            QueryParameter(ge=0, le=30, description="Seconds to wait if there is no event yet"),
        ] = 0,
    ) -> Response[bytes]:
        """CloudEvents in the order of the log, without gaps.

        With `wait` the answer is sent as soon as an event matches, or without events at the end of
        that time.
        """
        if wait:
            hold_open(request)
        await backend.feed.begin(after, "after")
        filters, again = await _resolve(backend, request, chosen)
        page = await backend.feed.page(filters, after, limit, wait, again)
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
                name="Last-Event-ID",
                description="The last received id; takes precedence over `after`",
            ),
        ] = None,
    ) -> Stream:
        """Server-sent events in the order of the log, without gaps.

        `id` is the position, `event` the name, `data` a CloudEvent. An `id` alone is the position
        up to which the log was read. A line is sent after every 15 seconds without an event.
        """
        field = "after"
        if last_event_id is not None:
            if not last_event_id.isdecimal() or len(last_event_id) > 18:
                raise Invalid(
                    "Last-Event-ID must be the id of a received event", field="Last-Event-ID"
                )
            field, after = "Last-Event-ID", int(last_event_id)
        hold_open(request)
        await backend.feed.begin(after, field)
        filters, again = await _resolve(backend, request, chosen)
        return Stream(
            backend.feed.stream(filters, after, again),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )

    @get(
        "/{position:int}/data",
        summary="Read an event's data",
        opt=needs(Right.READ, anywhere=True),
        sync_to_thread=True,
        responses={
            200: ResponseSpec(
                dict[str, Any], generate_examples=False, description="The value of `ce-dataschema`"
            )
        },
    )
    def get_event_data(
        self, backend: Served, request: HttpRequest, position: Position
    ) -> Response[bytes]:
        """The event at a position, as a CloudEvent in binary mode.

        `ce-dataref` of a NATS message links here if the event is larger than a message may be. The
        `ce-…` headers are those of the message, with the schema of the data in this answer.
        """
        events = backend.store.read(position - 1, limit=1, upto=position)
        if not events or not request.user.grants.may(
            Right.READ, backend.scopes.project_of(events[0].stream)
        ):
            raise NotFound(
                f"no event that you may read is at position {position}", field="position"
            )
        event = cloud_event(events[0])
        headers = binary_headers(event)
        media_type = headers.pop("ce-datacontenttype")
        return Response(msgspec.json.encode(event.data), headers=headers, media_type=media_type)


def _readable(caller: Caller) -> Collection[str] | None:
    """The projects whose events the caller may read; None is all, and events of no project."""
    return caller.grants.projects(Right.READ)


async def _resolve(backend: Backend, request: HttpRequest, chosen: Chosen) -> tuple[Wanted, Again]:
    """The resolved filters for a request's caller, and a function that resolves them again."""
    projects = _readable(request.user)
    filters = await backend.feed.wanted(chosen, projects)

    async def again() -> Wanted | None:
        caller = await who_still(request)
        readable = frozenset[str]() if caller is None else _readable(caller)
        return filters.within(readable) if readable is None or readable else None

    return filters.within(projects), again


def _encoded(page: Page) -> bytes:
    items = b",".join([event.cloud_event for event in page.events])
    return b'{"items":[%b],"next":%d,"position":%d}' % (items, page.following, page.position)
