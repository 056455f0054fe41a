"""Dependencies and query parameters that many routes share."""

from collections.abc import Callable
from typing import Annotated, Any

from litestar import Litestar, Request
from litestar.di import NamedDependency, Provide
from litestar.openapi.spec import Example
from litestar.params import QueryParameter
from litestar.routes import HTTPRoute

from api.backend import Backend
from domain.errors import Invalid

HttpRequest = Request[Any, Any, Any]


class JsonRequest(HttpRequest):
    """A request whose JSON must be UTF-8; the decoder's error for other bytes has no handler."""

    async def json(self) -> Any:
        try:
            return await super().json()
        except UnicodeDecodeError as error:
            raise Invalid(f"the body must be JSON in UTF-8: {error}") from error


Served = NamedDependency[Backend]

AtLeast = Annotated[
    int | None,
    QueryParameter(
        name="at_least",
        ge=0,
        description="Wait until this position of the log is visible, such as that in a command's"
        " answer",
    ),
]
AsOf = Annotated[
    str | None,
    QueryParameter(
        name="as_of",
        description="The state at this position of the log, or at this time (RFC 3339), which"
        " stands for the last position recorded by then",
        examples=[
            Example(summary="A position", value="300"),
            Example(summary="A time", value="2026-03-04T05:06:07Z"),
        ],
    ),
]
PAGE = 500
"""The most items on a page of JSON."""

Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=PAGE, description="Items per page")]
Cursor = Annotated[
    str | None,
    QueryParameter(name="cursor", description="The `next` of the previous page"),
]

Wait = Annotated[
    float,
    QueryParameter(
        name="wait",
        ge=0,
        le=30,
        description="Seconds to wait for its end; the response is sent as soon as it has ended",
    ),
]


def provided(**makers: Callable[..., Any]) -> dict[str, Provide]:
    """Dependencies by name, created for each request that uses them."""
    return {name: Provide(make, sync_to_thread=False) for name, make in makers.items()}


def position_in(cursor: str | None) -> int | None:
    """The position of the log in a cursor. Raises `Invalid`."""
    if cursor is None:
        return None
    if not cursor.isdecimal() or len(cursor) > 18:
        raise Invalid("cursor must be the `next` of the previous page, unchanged", field="cursor")
    return int(cursor)


def keep_signatures(app: Litestar) -> None:
    """What a handler takes stays what it is while the OpenAPI document is made.

    The framework adds the parts of the path that no handler takes to what it describes, which is
    what it checks requests by: refusals of a body would name these fields, too.
    """
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                handler.signature_model._fields = dict(handler.signature_model._fields)
