"""Errors as problem details (RFC 9457): what is wrong, where, and what to do."""

import logging
import re
import uuid
from http import HTTPStatus
from typing import Any

import msgspec
import psycopg
from eventsourcing import persistence
from litestar import Request, Response
from litestar.exceptions import (
    HTTPException,
    ValidationException,
)
from sqlalchemy.exc import DataError, OperationalError

from adapters.blobs.blobs import BlobCorrupt, BlobMissing
from adapters.training.worker_pool import QueueUnreachable
from api.backend import Backend, NotYet
from api.http import problem_types as types
from api.http.problem_types import ProblemType
from api.http.unavailable import reason_of
from application.log.store import LogUnreachable
from domain.errors import (
    Barred,
    Conflict,
    Contention,
    Gone,
    Hidden,
    Invalid,
    KeyReused,
    NotFound,
    Refusal,
    SignInRefused,
    Stale,
    TooMany,
    TooManyFailures,
    TrainingEnded,
    Unauthenticated,
)

CHALLENGE = 'Bearer realm="Stemma"'
"""How to authenticate (RFC 6750, section 3)."""

RETRY_SECONDS = "1"
"""After which to try again what failed for a moment."""
MOST_PARTS = 1000
"""The most parts, so files, of a form. Litestar refuses more, with this text:"""
_TOO_MANY_PARTS = "Request Entity Too Large"

MEDIA_TYPE = "application/problem+json"

log = logging.getLogger(__name__)


class FieldError(msgspec.Struct, frozen=True):
    """An error in the input, at a field or a file."""

    field: str
    detail: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem document. `type` is one of those at `/problems`, and never changes; `detail` is for
    people; `errors` name the wrong fields or files."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    errors: list[FieldError] = []


class Refusals(Exception):
    """Several errors in one request."""

    def __init__(self, detail: str, errors: list[FieldError]) -> None:
        super().__init__(detail)
        self.errors = errors


_TYPES: dict[type[Refusal], ProblemType] = {
    Refusal: types.MALFORMED,
    Barred: types.FORBIDDEN,
    Invalid: types.INVALID,
    NotFound: types.NOT_FOUND,
    Conflict: types.CONFLICT,
    TrainingEnded: types.TRAINING_ENDED,
    KeyReused: types.KEY_REUSED,
    Contention: types.CONTENTION,
    Stale: types.STALE,
    TooMany: types.TOO_MANY_REQUESTS,
    TooManyFailures: types.TOO_MANY_SIGN_INS,
    Gone: types.GONE,
    Unauthenticated: types.UNAUTHENTICATED,
    SignInRefused: types.SIGN_IN_REFUSED,
    Hidden: types.NOT_FOUND,
    NotYet: types.NOT_YET_VISIBLE,
}
"""A class that is not listed is answered as its nearest base class."""


def on_refusal(_: Request[Any, Any, Any], error: Refusal) -> Response[Problem]:
    detail = " ".join([*getattr(error, "__notes__", []), error.detail])
    errors = [FieldError(error.field, error.detail)] if error.field else []
    headers = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = CHALLENGE
    if isinstance(error, TooMany | TooManyFailures):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, NotYet):
        headers["Retry-After"] = RETRY_SECONDS
    kind = next(_TYPES[each] for each in type(error).__mro__ if each in _TYPES)
    return problem(kind, detail, errors, headers)


def on_barred(request: Request[Any, Any, Any], error: Barred) -> Response[Problem]:
    """A denied request, which is also recorded."""
    caller = request.scope.get("user")
    backend: Backend = request.app.state.backend
    route = request.scope["path_template"] or request.url.path
    backend.refusals.note(caller.actor if caller else "", request.method, route, error.reason)
    return on_refusal(request, error)


def on_refusals(_: Request[Any, Any, Any], error: Refusals) -> Response[Problem]:
    return problem(types.INVALID, str(error), error.errors)


def on_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """Litestar's own refusals: no such route, a body that does not fit the schema, and so on."""
    if error.detail == _TOO_MANY_PARTS:
        return problem(
            types.TOO_LARGE,
            f"a form has more than {MOST_PARTS:,} parts, which is the most; send fewer files in one"
            " request, or import an archive",
        )
    if isinstance(error, ValidationException):
        entries = error.extra if isinstance(error.extra, list) else []
        errors = [_field_error(entry) for entry in entries if isinstance(entry, dict)]
        detail = "; ".join(
            f"{entry.field}: {entry.detail}" if entry.field else entry.detail for entry in errors
        )
        return problem(types.INVALID, detail or error.detail, errors)
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return on_defect(request, error)
    status = HTTPStatus(error.status_code)
    kind = types.BY_STATUS.get(status) or ProblemType("", status, status.phrase, "")
    return problem(kind, error.detail, headers=error.headers)


def _field_error(entry: dict[str, Any]) -> FieldError:
    field, message = str(entry.get("key", "")), str(entry.get("message", ""))
    unknown = re.search(r"unknown field `([^`]*)`", message)
    if unknown is not None:
        field = f"{field}.{unknown[1]}" if field else unknown[1]
    return FieldError(field, message)


def on_blob_trouble(
    request: Request[Any, Any, Any], error: BlobMissing | BlobCorrupt
) -> Response[Problem]:
    log.error("%s", error)
    backend: Backend = request.app.state.backend
    try:
        # In a folder that is away, everything is missing.
        backend.blobs.check()
    except OSError as away:
        log.error("%s", away)
        return _unavailable("the blob store does not answer; try again, or tell the operator")
    return problem(types.DAMAGED, f"{error}; tell your operator")


def on_database_trouble(_: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    log.warning("the database does not answer: %s", error)
    return _unavailable(reason_of(error) or "the database does not answer at the moment; try again")


def on_queue_trouble(_: Request[Any, Any, Any], error: QueueUnreachable) -> Response[Problem]:
    return _unavailable(str(error))


def _unavailable(detail: str) -> Response[Problem]:
    headers = {"Retry-After": RETRY_SECONDS}
    return problem(types.UNAVAILABLE, detail, headers=headers)


def on_unstorable(_: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """PostgreSQL stores no NUL in text, so an entity of that name cannot exist."""
    log.info("refused by the database: %s", error)
    return problem(
        types.INVALID,
        "an id or a text in the request has a character that is not text; remove it",
    )


def on_too_deep(_: Request[Any, Any, Any], __: RecursionError) -> Response[Problem]:
    return problem(types.INVALID, "the body is nested too deeply: send a flatter one")


def on_defect(_: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """What is no defect, if something that the server depends on is away or full."""
    if (reason := reason_of(error)) is not None:
        log.warning("%s (%s)", reason, error)
        return _unavailable(reason)
    reference = uuid.uuid4().hex[:12]
    log.error("defect %s", reference, exc_info=error)
    return problem(
        types.DEFECT,
        f"internal server error; the server's log has details under {reference}",
    )


def problem(
    kind: ProblemType,
    detail: str,
    errors: list[FieldError] | None = None,
    headers: dict[str, str] | None = None,
) -> Response[Problem]:
    return Response(
        Problem(kind.title, kind.status.value, detail, kind.uri, errors or []),
        status_code=kind.status.value,
        media_type=MEDIA_TYPE,
        headers=headers,
    )


HANDLERS: dict[Any, Any] = {
    Refusal: on_refusal,
    Barred: on_barred,
    Refusals: on_refusals,
    HTTPException: on_http_error,
    BlobMissing: on_blob_trouble,
    BlobCorrupt: on_blob_trouble,
    QueueUnreachable: on_queue_trouble,
    OperationalError: on_database_trouble,
    persistence.DataError: on_unstorable,
    psycopg.DataError: on_unstorable,
    DataError: on_unstorable,
    RecursionError: on_too_deep,
    Exception: on_defect,
} | dict.fromkeys(LogUnreachable, on_database_trouble)
