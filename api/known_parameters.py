"""A query parameter that an operation does not have is refused: a filter that is misspelt would
leave all in."""

from typing import Any, cast

from litestar.connection import ASGIConnection
from litestar.handlers import HTTPRouteHandler
from litestar.handlers.base import BaseRouteHandler
from litestar.openapi.spec import Operation, Parameter
from litestar.types import HTTPScope

from domain.errors import Invalid


async def known_parameters(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """Raises `Invalid`. What is known is what the OpenAPI document says, so pages take anything."""
    asked = connection.query_params
    if not asked or not isinstance(handler, HTTPRouteHandler) or not handler.include_in_schema:
        return
    known = _parameters_of(connection)
    for name in asked:
        if name not in known:
            there = f"it has {', '.join(known)}" if known else "it has none"
            raise Invalid(f"this operation has no such parameter; {there}", field=name)


def _parameters_of(connection: ASGIConnection[Any, Any, Any, Any]) -> list[str]:
    scope = cast(HTTPScope, connection.scope)
    path = (connection.app.openapi_schema.paths or {})[scope["path_template"]]
    operation: Operation = getattr(path, scope["method"].lower())
    return [
        one.name
        for one in operation.parameters or ()
        if isinstance(one, Parameter) and one.param_in == "query"
    ]
