"""Refusal of unknown query parameters: a misspelt filter would otherwise filter nothing."""

from typing import Any, cast

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.openapi.spec import Operation, Parameter
from litestar.types import HTTPScope

from domain.errors import Invalid


async def known_parameters(
    connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
) -> None:
    """Raise `Invalid` for a parameter that the OpenAPI document lacks. Pages, health and metrics
    accept any parameter."""
    parameters = connection.query_params
    documented = (
        _parameters_of(connection)
        if parameters and connection.url.path.startswith("/api/")
        else None
    )
    if documented is None:
        return
    for name in parameters:
        if name not in documented:
            there = f"it has {', '.join(documented)}" if documented else "it has none"
            raise Invalid(f"this operation has no such parameter; {there}", field=name)


def _parameters_of(connection: ASGIConnection[Any, Any, Any, Any]) -> list[str] | None:
    """The names of an operation's query parameters; None if it is not in the document."""
    scope = cast(HTTPScope, connection.scope)
    path = (connection.app.openapi_schema.paths or {}).get(scope["path_template"])
    operation: Operation | None = getattr(path, scope["method"].lower(), None)
    if operation is None:
        return None
    return [
        parameter.name
        for parameter in operation.parameters or ()
        if isinstance(parameter, Parameter) and parameter.param_in == "query"
    ]
