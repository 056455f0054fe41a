"""When a request is sent again, and what its answer is; apart from I/O, which has two kinds."""

from __future__ import annotations

import random
import time
import uuid
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx
import msgspec

from stemma_client._generated.answers import Problem
from stemma_client._generated.operations import API_VERSION
from stemma_client.errors import BY_STATUS, ApiError, NotStemma, StemmaError, Unreachable
from stemma_client.requests import Request

T = TypeVar("T")

Outcome = httpx.Response | httpx.TransportError

CORRELATION = "Correlation-Id"
VERSION = "Stemma-API-Version"
PASSING = frozenset({429, 502, 503, 504})
"""Statuses after which the same request may succeed."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
"""Seconds between two attempts where the server names none."""
JITTER = 0.25
"""The share of a pause by which it is longer at most: many clients do not return at once."""
PROBLEM = "application/problem+json"
MOST_OF_KEY = 200


class Attempts:
    """The attempts at one request, until `patience` seconds have gone by without an answer."""

    def __init__(
        self, request: Request[Any], patience: float, is_running: Callable[[], bool]
    ) -> None:
        self._request = request
        self._is_running = is_running
        self._deadline = time.monotonic() + patience
        self._pause = FIRST_PAUSE

    def pause_after(self, outcome: Outcome) -> float:
        """The seconds until the next attempt; 0 if the outcome is an answer to decode.

        Raises `Unreachable`, and `ApiError` for what the server refuses.
        """
        error: StemmaError
        if isinstance(outcome, httpx.Response):
            if outcome.is_success:
                return 0.0
            error = problem_in(outcome)
            passing = outcome.status_code in PASSING or getattr(error, "kind", "") == "contention"
            if not passing or not self._request.is_safe:
                raise error
        else:
            if isinstance(outcome, (httpx.LocalProtocolError, httpx.UnsupportedProtocol)):
                raise StemmaError(f"{self._request.name} cannot be sent: {outcome}") from outcome
            error = Unreachable(
                f"{self._request.method} {outcome.request.url}: no answer"
                f" ({str(outcome) or type(outcome).__name__}); check that the server is running"
            )
            # Where nothing was sent, nothing can have happened.
            never_sent = isinstance(outcome, (httpx.ConnectError, httpx.ConnectTimeout))
            if not self._request.is_safe and not never_sent:
                raise error from outcome
        pause, left = self._next_pause(outcome), self._deadline - time.monotonic()
        if not isinstance(outcome, httpx.Response):
            pause = min(pause, left)  # the last attempt is at the end
        if not 0 < pause <= left or not self._is_running():
            cause = outcome if isinstance(outcome, Exception) else None
            raise error from cause
        return pause

    def _next_pause(self, outcome: Outcome) -> float:
        pause, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE)
        if isinstance(outcome, httpx.Response):
            seconds = outcome.headers.get("Retry-After", "")
            if seconds.isdecimal():
                pause = max(float(seconds), FIRST_PAUSE)
        return pause * (1 + random.uniform(0, JITTER))


def problem_in(response: httpx.Response) -> ApiError | NotStemma:
    """The error that an answer describes."""
    status, kind = response.status_code, BY_STATUS.get(response.status_code, ApiError)
    correlation_id = response.headers.get(CORRELATION, "")
    if not response.headers.get("Content-Type", "").startswith(PROBLEM):
        return not_stemma(response)
    try:
        problem = msgspec.json.decode(response.content, type=Problem)
    except msgspec.DecodeError:
        return not_stemma(response)
    return kind(
        problem.detail,
        status=status,
        kind=problem.type.rpartition("#")[2],
        title=problem.title,
        errors=problem.errors,
        correlation_id=correlation_id,
    )


def check_sender(response: httpx.Response) -> None:
    """Raise `NotStemma` for what a proxy or another program answers with, be it JSON or a file:
    each answer of Stemma's names the API's version."""
    if VERSION not in response.headers:
        raise not_stemma(response)


def not_stemma(response: httpx.Response) -> NotStemma:
    """The error about an answer that is not of Stemma's."""
    media_type = response.headers.get("Content-Type") or "no media type"
    return NotStemma(
        f"{response.request.method} {response.request.url}: {response.status_code} with"
        f" {media_type}, which is not an answer of Stemma: check the address, and proxies in"
        " between"
    )


def undecodable(request: Request[Any], error: httpx.DecodingError) -> NotStemma:
    """The error about a body that is not encoded as its headers declare."""
    return NotStemma(
        f"{request.method} {error.request.url}: the response is not encoded as its headers declare"
        f" ({error}): check the address, and proxies in between"
    )


def headers_of(
    request: Request[Any], key: str | None, if_match: int | None, correlation_id: str
) -> dict[str, str]:
    """The headers of a request. A command without a key gets a random one."""
    headers = {CORRELATION: correlation_id}
    if request.media_types is not None:
        headers["Accept"] = request.media_types
    if request.is_command:
        headers["Idempotency-Key"] = str(uuid.uuid4()) if key is None else _checked(key)
    if if_match is not None:
        headers["If-Match"] = f'"{if_match}"'
    return headers


def _checked(key: str) -> str:
    """The key of a command, as the server takes it; never another one in its place."""
    if not (1 <= len(key) <= MOST_OF_KEY and key.isascii() and key.isprintable()):
        raise StemmaError(
            f"key must have 1 to {MOST_OF_KEY} printable ASCII characters, got {key!r}"
        )
    return key


def content_of(request: Request[Any]) -> dict[str, Any]:
    """The body of a request, as httpx takes it."""
    if request.body is None:
        return {}
    if request.media_type == "multipart/form-data":
        return {"files": request.body}
    return {
        "content": msgspec.json.encode(request.body),
        "headers": {"Content-Type": request.media_type},
    }


def decode(request: Request[T], response: httpx.Response) -> T:
    """The answer in a response. Raises `NotStemma`."""
    check_sender(response)
    if request.answer is bytes:
        return response.content  # type: ignore[return-value]
    if not response.headers.get("Content-Type", "").startswith("application/json"):
        raise not_stemma(response)
    try:
        answer: T = msgspec.json.decode(response.content, type=request.answer)
    except msgspec.DecodeError as error:
        raise NotStemma(
            f"{request.method} {response.request.url}: the answer cannot be read ({error}); the"
            f" server's API version is {response.headers.get(VERSION, 'not known')}, this"
            f" package's {API_VERSION}: install the package that the server offers"
        ) from error
    return answer


class VersionNotice:
    """Warns once of a server with another version of the API."""

    def __init__(self) -> None:
        self._warned = False

    def look_at(self, headers: Mapping[str, str]) -> None:
        """Look at the version that the headers of an answer name."""
        version = headers.get(VERSION, API_VERSION)
        if version != API_VERSION and not self._warned:
            self._warned = True
            warnings.warn(
                f"the server has version {version} of the API, and this package was made for"
                f" {API_VERSION}: install the package that the server offers at /client",
                stacklevel=2,
            )
