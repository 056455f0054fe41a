"""What goes wrong: each error says what happened and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stemma_client._generated.answers import FieldError, VersionRow

if TYPE_CHECKING:
    from stemma_client.imports import Import
    from stemma_client.versions import Version


class StemmaError(Exception):
    """The base of all errors of this package."""

    @property
    def explanation(self) -> str:
        """What is wrong, and what to do."""
        return str(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is: a pool of processes sends the errors of its workers, or waits for ever."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(
    kind: type[StemmaError], args: tuple[Any, ...], fields: dict[str, Any]
) -> StemmaError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


class Unreachable(StemmaError):
    """The server did not answer within the patience of the client. A command may have been carried
    out: sent again with its key, it has the same outcome."""


class NotStemma(StemmaError):
    """The answer is not from Stemma, but from another program, a proxy or a sign-in page."""


class ApiError(StemmaError):
    """The server refused a request: a problem of RFC 9457.

    `kind` is the name of the problem's type, such as `not-found`; `errors` name fields that are
    wrong; `correlation_id` leads to the request in the server's log and in its audit trail.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int,
        kind: str = "",
        title: str = "",
        errors: Sequence[FieldError] = (),
        correlation_id: str = "",
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.kind = kind
        self.title = title
        self.errors = tuple(errors)
        self.correlation_id = correlation_id

    @property
    def fields(self) -> frozenset[str]:
        """The fields that the problem names."""
        return frozenset(error.field for error in self.errors)

    @property
    def explanation(self) -> str:
        """The detail, and the errors of fields that it does not have."""
        more = [f"{e.field}: {e.detail}" for e in self.errors if e.detail not in self.detail]
        return "; ".join([self.detail, *more])

    def __str__(self) -> str:
        where = f", correlation id {self.correlation_id}" if self.correlation_id else ""
        return f"{self.explanation} [{self.status}{where}]"


class Unauthenticated(ApiError):
    """There is no key, or it is not valid (any more)."""


class Forbidden(ApiError):
    """The key's account lacks a right."""


class NotFound(ApiError):
    """It does not exist, or the account may not see it."""


class Conflict(ApiError):
    """The current state forbids it."""


class Gone(ApiError):
    """It was permanently erased."""


class Stale(ApiError):
    """It has changed since it was read: read it again, and decide on the current state."""


class Invalid(ApiError):
    """The input is wrong; `errors` name the fields."""


class TooManyRequests(ApiError):
    """Too many requests, until the patience of the client ended."""


BY_STATUS: dict[int, type[ApiError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    412: Stale,
    422: Invalid,
    429: TooManyRequests,
}


class ReadOnly(StemmaError):
    """The past cannot be changed: a client that `at` returned sends no commands."""


class PresentOnly(StemmaError):
    """The server knows what was requested only for the present, and a client that `at` returned
    does not answer with the present."""


class WaitTimeout(StemmaError, TimeoutError):
    """The wait timed out. What it waited for continues; wait again, or stop it."""


class TrainingFailed(StemmaError):
    """A training failed, or was cancelled; `reason` says why.

    `row` is the version as the server answers it, and `run` the version itself, which
    `AsyncStemma` does not have.
    """

    run: Version

    def __init__(self, row: VersionRow, run: Version | None = None) -> None:
        self.row = row
        self.reason = row.reason or f"it was {row.status}"
        super().__init__(f"version {row.name!r} is {row.status}: {self.reason}")
        if run is not None:
            self.run = run


class ImportFailed(StemmaError):
    """An import was refused or failed, and changed nothing; `run` is the import."""

    def __init__(self, run: Import, reason: str) -> None:
        super().__init__(f"the import of {run.source!r} {run.status}: {reason}")
        self.run = run
        self.reason = reason


class Refused(StemmaError):
    """NATS, or the API for large events, refused access to the events; `status` is that of HTTP, if
    any."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ImageUnreadable(StemmaError):
    """A file is no image that can be read; the message names it and says why."""


class OnnxFailed(StemmaError):
    """A worker could not make a version's ONNX file; the message says why."""


class DigestMismatch(StemmaError):
    """A file differs from its digest in the log: it was altered in transit or in storage."""


class NotProven(StemmaError):
    """The log does not prove what it should: an event is not in it, or it was altered."""
