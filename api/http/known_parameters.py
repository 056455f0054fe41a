"""A query parameter that an operation does not have is refused: a filter that is misspelt would
leave all in."""

from typing import Any, cast

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.openapi.spec import Operation, Parameter
from litestar.types import HTTPScope

from domain.errors import Invalid


async def known_parameters(
    connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
) -> None:
    """Raises `Invalid`. Known is what the OpenAPI document says, so pages take anything, and
    so do health and metrics, which monitors ask in ways of their own."""
    asked = connection.query_params
    known = (
        _parameters_of(connection) if asked and connection.url.path.startswith("/api/") else None
    )
    if known is None:
        return
    for name in asked:
        if name not in known:
            there = f"it has {', '.join(known)}" if known else "it has none"
            raise Invalid(f"this operation has no such parameter; {there}", field=name)


def _parameters_of(connection: ASGIConnection[Any, Any, Any, Any]) -> list[str] | None:
    """Their names; None for what is no operation of the document."""
    scope = cast(HTTPScope, connection.scope)
    path = (connection.app.openapi_schema.paths or {}).get(scope["path_template"])
    operation: Operation | None = getattr(path, scope["method"].lower(), None)
    if operation is None:
        return None
    return [
        one.name
        for one in operation.parameters or ()
        if isinstance(one, Parameter) and one.param_in == "query"
    ]
