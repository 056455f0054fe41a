"""The kinds of problems that the API answers with, each with a URI of its own (RFC 9457)."""

from http import HTTPStatus
from typing import NamedTuple

PAGE = "/problems"


class ProblemType(NamedTuple):
    """`name` stays, `title` says what happened, `advice` what a client does about it."""

    name: str
    status: HTTPStatus
    title: str
    advice: str

    @property
    def uri(self) -> str:
        """The address, on this server, of what is known about the kind; a status of the framework's
        that has no name says nothing beyond itself."""
        return f"{PAGE}#{self.name}" if self.name else "about:blank"


MALFORMED = ProblemType(
    "malformed-request",
    HTTPStatus.BAD_REQUEST,
    "Malformed request",
    "The body is not JSON, or a header is malformed. Correct the request.",
)
UNAUTHENTICATED = ProblemType(
    "unauthenticated",
    HTTPStatus.UNAUTHORIZED,
    "Not signed in",
    "Send a valid key as `Authorization: Bearer`, or sign in again.",
)
FORBIDDEN = ProblemType(
    "forbidden",
    HTTPStatus.FORBIDDEN,
    "Not permitted",
    "The account lacks a right that the detail names: ask an administrator of the project for it.",
)
SIGN_IN_REFUSED = ProblemType(
    "sign-in-refused",
    HTTPStatus.FORBIDDEN,
    "Sign-in refused",
    "The identity provider or the rules for its users refused it; the detail says why.",
)
NOT_FOUND = ProblemType(
    "not-found",
    HTTPStatus.NOT_FOUND,
    "Not found",
    "It does not exist, or the account may not see it. Check the id.",
)
METHOD_NOT_ALLOWED = ProblemType(
    "method-not-allowed",
    HTTPStatus.METHOD_NOT_ALLOWED,
    "Method not allowed",
    "The address exists, but not for this method: see /schema/openapi.json.",
)
CONFLICT = ProblemType(
    "conflict",
    HTTPStatus.CONFLICT,
    "Conflict with the current state",
    "The input is valid, but the current state forbids it. The detail says what to do first; then"
    " the same request succeeds.",
)
TRAINING_ENDED = ProblemType(
    "training-ended",
    HTTPStatus.CONFLICT,
    "The training has ended",
    "Nothing more is stored for it. Its worker acknowledges the job, and takes the next one.",
)
KEY_REUSED = ProblemType(
    "idempotency-key-reused",
    HTTPStatus.CONFLICT,
    "Idempotency key used for another request",
    "The `Idempotency-Key` was already sent with another request. Send a new key.",
)
CONTENTION = ProblemType(
    "contention",
    HTTPStatus.CONFLICT,
    "Changed by others at the same time",
    "Others kept changing the same data, so nothing was changed. Send the request again.",
)
GONE = ProblemType(
    "gone",
    HTTPStatus.GONE,
    "Permanently deleted",
    "It was erased, or deleted by retention; the detail says when. Do not repeat the request.",
)
STALE = ProblemType(
    "revision-changed",
    HTTPStatus.PRECONDITION_FAILED,
    "Revision has changed",
    "Its revision is not the one in `If-Match`. Read it again, and decide on the current state.",
)
TOO_LARGE = ProblemType(
    "too-large",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "Request too large",
    "Send less in one request; the detail states the limit.",
)
MISDIRECTED = ProblemType(
    "unknown-host",
    HTTPStatus.MISDIRECTED_REQUEST,
    "Unknown host name",
    "The server has other host names. Its operator lists them in STEMMA_API_HOSTS.",
)
INVALID = ProblemType(
    "invalid-input",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "Invalid input",
    "`errors` name the fields, files or parameters that are wrong. Correct them.",
)
TOO_MANY_REQUESTS = ProblemType(
    "too-many-requests",
    HTTPStatus.TOO_MANY_REQUESTS,
    "Too many requests",
    "Send it again after `Retry-After` seconds.",
)
TOO_MANY_SIGN_INS = ProblemType(
    "too-many-failed-sign-ins",
    HTTPStatus.TOO_MANY_REQUESTS,
    "Too many failed sign-ins",
    "Sign-ins from this address are refused for `Retry-After` seconds.",
)
DEFECT = ProblemType(
    "defect",
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "Internal server error",
    "Send the operator the reference in the detail: the server's log has details.",
)
DAMAGED = ProblemType(
    "stored-data-damaged",
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "Stored data is damaged or missing",
    "A file in the blob store differs from its digest in the log. Tell the operator.",
)
NOT_YET_VISIBLE = ProblemType(
    "not-yet-visible",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "Not visible yet",
    "The read models have not reached the requested position. Send it again after `Retry-After`"
    " seconds.",
)
UNAVAILABLE = ProblemType(
    "unavailable",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "Temporarily unavailable",
    "A service that the server needs does not answer or is full. Send it again after `Retry-After`"
    " seconds; a command with an `Idempotency-Key` is carried out once.",
)

PROBLEM_TYPES = (
    MALFORMED,
    UNAUTHENTICATED,
    FORBIDDEN,
    SIGN_IN_REFUSED,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    CONFLICT,
    TRAINING_ENDED,
    KEY_REUSED,
    CONTENTION,
    GONE,
    STALE,
    TOO_LARGE,
    MISDIRECTED,
    INVALID,
    TOO_MANY_REQUESTS,
    TOO_MANY_SIGN_INS,
    DEFECT,
    DAMAGED,
    NOT_YET_VISIBLE,
    UNAVAILABLE,
)
"""All kinds that have a name."""

BY_STATUS = {
    each.status: each
    for each in (MALFORMED, UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, METHOD_NOT_ALLOWED, TOO_LARGE)
}
"""The kinds of the framework's own refusals."""
