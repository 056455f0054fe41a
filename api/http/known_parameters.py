"""Refusal of unknown query parameters: a misspelt filter would otherwise filter nothing."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.openapi.spec import Operation, Parameter
from litestar.types import HTTPScope

from domain.errors import Invalid

Parameters = Mapping[tuple[str, str], Sequence[str]]

_DOCUMENTED = "documented_parameters"
_made: dict[tuple[str, ...], Parameters] = {}
_making = threading.Lock()


async def known_parameters(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
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


def _parameters_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Sequence[str] | None:
    """The names of an operation's query parameters; None if it is not in the document."""
    scope = cast(HTTPScope, connection.scope)
    operation = scope["path_template"], scope["method"].lower()
    state = connection.app.state
    if _DOCUMENTED not in state:
        state[_DOCUMENTED] = documented_parameters(connection.app)
    documented: Parameters = state[_DOCUMENTED]
    return documented.get(operation)


def documented_parameters(app: Litestar) -> Parameters:
    """The names of the query parameters of each operation, by its path and method.

    To make the document takes half a second, so it is done once for all applications of a process
    that have the same paths.
    """
    paths = tuple(route.path for route in app.routes)
    with _making:
        if paths not in _made:
            _made[paths] = dict(_documented(app))
        return _made[paths]


def _documented(app: Litestar) -> Iterator[tuple[tuple[str, str], Sequence[str]]]:
    for path, item in (app.openapi_schema.paths or {}).items():
        for method in ("get", "put", "post", "delete", "patch", "head"):
            operation: Operation | None = getattr(item, method)
            if operation is not None:
                yield (
                    (path, method),
                    [
                        parameter.name
                        for parameter in operation.parameters or ()
                        if isinstance(parameter, Parameter) and parameter.param_in == "query"
                    ],
                )
