"""From an HTTP request to a command, and from its outcome to a response."""

import hashlib
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
from litestar import Response
from litestar.di import NamedDependency

from api.http.parameters import HttpRequest, Served
from api.http.watching import HEADER as CORRELATION
from api.http.watching import LONGEST, is_id
from application.access.access import Caller
from application.handle import Decided, Outcome, Request, Session, handle
from domain.errors import Invalid


class Answer(msgspec.Struct, frozen=True):
    """What a command did.

    `revision` is the entity's, also sent as `ETag`; ask queries for `at_least=<position>` to be
    sure to see the effect. `ids` are those of the concepts or images the command named, in order.
    """

    id: str
    revision: int
    position: int
    ids: tuple[str, ...] = ()


class CommandRunner:
    """Carries commands out as a request's headers ask: a dependency of routes."""

    def __init__(self, backend: Served, request: HttpRequest) -> None:
        self._backend, self._request = backend, request

    def __call__(
        self,
        decide: Callable[[Session], Decided[Any]],
        content: object = None,
        *,
        status_code: int = 200,
    ) -> Response[Answer]:
        """`Idempotency-Key` makes it happen once, `If-Match` only if the revision still stands.

        `content` tells the request from another one under the same key.
        """
        outcome = handle(self._backend.store, envelope(self._request, content), decide)
        return respond(outcome, status_code)


CarryOut = NamedDependency[CommandRunner]


def respond(outcome: Outcome, status_code: int) -> Response[Answer]:
    return Response(
        _answer(outcome),
        status_code=status_code,
        headers={"ETag": f'"{outcome.revision}"'} if outcome.revision else {},
    )


def _answer(outcome: Outcome) -> Answer:
    return Answer(outcome.id, outcome.revision, outcome.position, outcome.ids)


def envelope(request: HttpRequest, content: object) -> Request:
    """Who asks and under which ids, as the headers say. Raises `Invalid`."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and (not 1 <= len(key) <= 200 or not key.isprintable()):
        raise Invalid("Idempotency-Key has 1 to 200 printable characters", field="Idempotency-Key")
    command_id = key or str(uuid.uuid4())
    caller: Caller = request.user
    asked = f"{caller.account_id} {request.method} {request.url.path} "
    told = asked.encode() + msgspec.json.encode(content)
    return Request(
        actor=caller.actor,
        command_id=command_id,
        correlation_id=_correlation(request),
        expected_revision=_expected(request.headers.get("If-Match")),
        fingerprint=hashlib.sha256(told).hexdigest(),
    )


def _correlation(request: HttpRequest) -> str:
    """The id that `Watching` has found for the request, unless the caller said a wrong one."""
    said = request.headers.get(CORRELATION)
    if said is not None and not is_id(said):
        raise Invalid(f"{CORRELATION} has 1 to {LONGEST} printable characters", field=CORRELATION)
    return str(request.state["correlation_id"])


def _expected(header: str | None) -> int | None:
    if header is None or header == "*":
        return None
    revision = header.removeprefix("W/").strip('"')
    if not revision.isdecimal() or len(revision) > 18:
        raise Invalid('If-Match is an ETag as responses carry it, such as "3"', field="If-Match")
    return int(revision)
