"""What the framework's OpenAPI document lacks: errors, headers of commands, and authentication.

Each operation lists every status that it may answer with. An error is a problem (RFC 9457).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from litestar import Litestar, Request
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin
from litestar.routes import HTTPRoute

from adapters.formats.registry import FORMATS
from api.access.rights import KEY, Need
from api.access.session_cookies import TOKEN_HEADER
from api.http.arrow import MEDIA_TYPE as ARROW
from api.http.problems import MEDIA_TYPE, Problem
from domain.dataset.imports import AUTO, NEGATIVE, UNANNOTATED
from domain.library.view import KINDS
from projections.experiments import queries as experiments_queries
from projections.training import library_queries

Json = dict[str, Any]

_ERRORS = {
    "400": "The body or a header is malformed",
    "401": "No valid key or session",
    "403": "A right is missing, or the request comes from another site",
    "404": "It does not exist, or the caller may not see it",
    "409": "The current state forbids it",
    "410": "It was permanently erased",
    "412": "Its revision is not the one in `If-Match`",
    "413": "The body is too large",
    "421": "The server has other host names",
    "422": "The input is wrong: `errors` name the fields",
    "429": "Too many requests: try again after `Retry-After` seconds",
    "500": "Internal server error, or damaged data: tell the operator",
    "503": "A service does not answer, or the position is not visible yet: try again",
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
_HEADERS: dict[str, Json] = {
    "401": {
        "WWW-Authenticate": {
            "description": "How to authenticate (RFC 6750)",
            "schema": {"type": "string"},
        }
    },
    "429": _RETRY_AFTER,
    "503": _RETRY_AFTER,
}
_ETAG = {
    "ETag": {
        "description": "The revision, to send as `If-Match`; for files, that of their content",
        "schema": {"type": "string"},
    }
}
_COMMAND_HEADERS = [
    {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "1 to 200 printable characters: a command with the key of an earlier one is"
        " not carried out again, and gets its answer",
        "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    },
    {
        "name": "If-Match",
        "in": "header",
        "description": "The `ETag` of the entity: 412 if it has changed since",
        "schema": {"type": "string"},
    },
]
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "An `ETag`: 304 without a body if it is still current",
    "schema": {"type": "string"},
}

_RANGE = [
    {
        "name": "Range",
        "in": "header",
        "description": "`bytes=FIRST-`: only the bytes from this one on",
        "schema": {"type": "string"},
    },
    {
        "name": "If-Range",
        "in": "header",
        "description": "An `ETag`: the whole file if it is no longer current",
        "schema": {"type": "string"},
    },
]

_NO_COMMANDS = {
    "/api/v1/invitations/accept",
    "/api/v1/sessions",
    "/api/v1/sessions/codes",
    "/api/v1/sessions/current",
    "/api/v1/webhooks/{webhook_id}/test",
}
"""Paths whose methods besides GET change no entity."""

_WITH_ETAG = {
    "/api/v1/projects/{project_id}",
    "/api/v1/views/{view_id}",
    "/api/v1/models/{model_id}",
    "/api/v1/versions/{version_id}",
    "/api/v1/versions/{version_id}/checkpoint",
    "/api/v1/versions/{version_id}/manifest",
    "/api/v1/versions/{version_id}/model.onnx",
    "/api/v1/projects/{project_id}/export",
    "/api/v1/webhooks/{webhook_id}",
    "/api/v1/images/{image_id}",
}
_CONDITIONAL = {
    "/api/v1/images/{image_id}/content",
    "/api/v1/images/{image_id}/picture",
    "/api/v1/images/{image_id}/thumbnail",
    "/api/v1/versions/{version_id}/items/{key}/thumbnail",
}
"""Paths whose GET has an `ETag` and honours `If-None-Match`."""

_RANGES = {
    "/api/v1/versions/{version_id}/checkpoint",
    "/api/v1/versions/{version_id}/model.onnx",
    "/api/v1/projects/{project_id}/export",
}
"""Paths whose GET honours `Range`."""

_ARROW = {"/api/v1/metrics", "/api/v1/projects/{project_id}/images"}
"""Paths whose GET has a table for those who accept Arrow."""

_CLOSED: dict[tuple[str, str], Sequence[str]] = {
    ("list_versions", "status"): library_queries.STATUSES,
    ("list_versions", "sort"): library_queries.SORTS,
    ("list_trials", "status"): experiments_queries.STATUSES,
    ("list_trials", "sort"): experiments_queries.SORTS,
    ("upload_import", "kind"): KINDS,
    ("upload_import", "unlabelled"): (NEGATIVE, UNANNOTATED),
    ("upload_import", "format"): (AUTO, *FORMATS),
    ("export_annotations", "format"): tuple(key for key, each in FORMATS.items() if each.write),
}
"""The values of parameters that take no others: another one is refused with 422. They are told by
`x-values`: an enum that is new in a document counts as a change that breaks clients."""

_MAY_LACK = (
    "/api/v1/versions",
    "/api/v1/events",
    "/api/v1/metrics",
    "/api/v1/webhooks",
    "/api/v1/invitations",
    "/api/v1/keys",
    "/api/v1/audit/",
    "/audit/log/",
)
"""Paths whose query or body may name what is not there, or that have nothing at first."""

_MAY_BE_UNFINISHED = (
    "/api/v1/versions/{version_id}/checkpoint",
    "/api/v1/versions/{version_id}/compare",
    "/api/v1/versions/{version_id}/evaluation",
    "/api/v1/versions/{version_id}/flip-book/epochs/",
    "/api/v1/versions/{version_id}/manifest",
    "/api/v1/versions/{version_id}/flip-book/items",
    "/api/v1/versions/{version_id}/flip-book/points",
    "/api/v1/versions/{version_id}/model",
    "/api/v1/versions/{version_id}/suspects",
    "/api/v1/projects/{project_id}/export",
)
"""Paths of what is there once a version has come so far, or unless it was erased."""

_IMAGES = {
    "/api/v1/images/{image_id}/content": ("image/*", "application/octet-stream"),
    "/api/v1/images/{image_id}/picture": ("image/*",),
}
"""The media types of files that are answered with as they were uploaded."""


class _Operation:
    """An operation, as the document has it, and what its route needs."""

    def __init__(self, path: str, method: str, described: Json, need: Need | None) -> None:
        self.path, self.method, self.described = path, method, described
        self.need = need
        self.reads = method == "get"
        self.is_command = not self.reads and path not in _NO_COMMANDS

    def statuses(self) -> Iterator[str]:
        """The statuses of its errors."""
        is_health = self.path.startswith("/health/")
        takes_body = "requestBody" in self.described or self.path.endswith("/imports/upload")
        if not is_health:
            yield from ("421", "422", "500")
        if self.path != "/metrics" and not is_health:
            yield "503"
        if self.need is not None:
            yield from ("401", "429")
            if not self.reads or self.need.right is not None or self.path == "/api/v1/keys":
                yield "403"
        if "{" in self.path or self.path.startswith(_MAY_LACK):
            yield "404"
        if self.is_command:
            yield from ("400", "409", "412")
        elif self.path.startswith(_MAY_BE_UNFINISHED):
            yield "409"
        if takes_body:
            yield from ("400", "413")
        if self.path.startswith("/api/v1/images/") or "/evaluation" in self.path:
            yield "410"
        if "/flip-book/" in self.path or "/suspects" in self.path:
            yield "410"
        if self.is_command and "images" in self.path:
            yield "410"
        if self.path in {"/api/v1/sessions", "/api/v1/invitations/accept"}:
            yield from ("401", "403", "409", "429")

    def _closed(self, parameter: Json) -> Json:
        values = _CLOSED.get((self.described["operationId"], parameter["name"]))
        if values is None:
            return parameter
        return parameter | {"schema": parameter["schema"] | {"x-values": list(values)}}

    def complete(self) -> Json:
        """The operation with all that it lacks."""
        responses = {
            status: response
            for status, response in self.described["responses"].items()
            if status != "400"  # the framework's own, which is answered as a problem
        }
        with_etag = self.is_command or self.path in _WITH_ETAG | _CONDITIONAL
        if with_etag:
            responses = {
                status: response | {"headers": response.get("headers", {}) | _ETAG}
                for status, response in responses.items()
            }
        if self.path in _IMAGES:
            (schema,) = responses["200"]["content"].values()
            responses["200"] |= {"content": dict.fromkeys(_IMAGES[self.path], schema)}
        if self.path == "/health/ready":
            responses["503"] = responses["200"] | {"description": "The server is not ready"}
        if self.reads and self.path in _ARROW:
            content = {ARROW: {"schema": {"type": "string", "format": "binary"}}}
            responses["200"] |= {"content": responses["200"]["content"] | content}
        parameters = [self._closed(one) for one in self.described.get("parameters", [])]
        if self.is_command:
            parameters += _COMMAND_HEADERS
        if self.reads and self.path in _CONDITIONAL:
            parameters.append(_IF_NONE_MATCH)
            responses["304"] = {"description": "It has not changed", "headers": _ETAG}
        if self.path in _RANGES:
            parameters += _RANGE
            responses["206"] = responses["200"] | {"description": "The requested part"}
        for status in sorted(set(self.statuses())):
            responses[status] = {"$ref": f"#/components/responses/{status}"}
        security: list[Json] = [{"key": []}, {"session": []}] if self.need is not None else []
        return self.described | {
            "parameters": parameters,
            "responses": responses,
            "security": security,
        }


def complete(document: Json, app: Litestar) -> Json:
    """The document with every status, header and way to authenticate."""
    needs = {
        (route.path_format, method.lower()): handler.opt.get(KEY)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method, (handler, _) in route.route_handler_map.items()
    }
    paths = {
        path: {
            method: _Operation(path, method, described, needs[path, method]).complete()
            for method, described in operations.items()
        }
        for path, operations in document["paths"].items()
    }
    (_, schemas) = msgspec.json.schema_components(
        [Problem], ref_template="#/components/schemas/{name}"
    )
    components = document.get("components", {})
    return document | {
        "paths": paths,
        "components": components
        | {
            "schemas": components.get("schemas", {}) | schemas,
            "responses": {status: _error(status) for status in _ERRORS},
            "securitySchemes": _SCHEMES,
        },
    }


def _error(status: str) -> Json:
    error: Json = {
        "description": _ERRORS[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    return error | ({"headers": _HEADERS[status]} if status in _HEADERS else {})


_SCHEMES = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "stemma_…",
        "description": "An API key; `stemma keys issue` issues one",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "stemma_session",
        "description": "The cookie of a browser that signed in, over TLS `__Host-stemma`; a change"
        f" also needs the header `{TOKEN_HEADER}` of a page",
    },
}


class CompleteJson(JsonRenderPlugin):
    """The complete document as JSON, made at the first request."""

    _rendered: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: Json) -> bytes:
        """The document, rendered."""
        if self._rendered is None:
            self._rendered = self.render_json(request, complete(openapi_schema, request.app))
        return self._rendered


class CompleteYaml(YamlRenderPlugin):
    """The complete document as YAML."""

    _rendered: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: Json) -> bytes:
        """The document, rendered."""
        if self._rendered is None:
            as_json = self.render_json(request, complete(openapi_schema, request.app))
            # By way of JSON, which has no tuples: as YAML they would be Python's own.
            self._rendered = super().render(request, msgspec.json.decode(as_json))
        return self._rendered
