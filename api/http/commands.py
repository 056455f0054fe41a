"""From an HTTP request to a command, and from its outcome to a response."""

import hashlib
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
from litestar import Response
from litestar.di import NamedDependency, Provide

from api.backend import Backend
from api.http.parameters import HttpRequest, Served, provided
from api.http.watching import HEADER as CORRELATION
from api.http.watching import LONGEST, is_id
from application.access.access import Caller
from application.handle import Decided, Outcome, Request, Session, command_id_of, handle
from domain.aggregates import Aggregate
from domain.errors import Invalid


class CommandResult(msgspec.Struct, frozen=True):
    """The result of a command.

    `revision` is that of the entity, also sent as `ETag`; query with `at_least=<position>` to see
    the effect. `ids` are those of the concepts or images in the command, in order.
    """

    id: str
    revision: int
    position: int
    ids: tuple[str, ...] = ()


def carry_out(
    backend: Backend,
    request: HttpRequest,
    content: object,
    decide: Callable[[Session], Decided[Any]],
    *,
    status_code: int = 200,
) -> Response[CommandResult]:
    """Carry a command out as the request's headers ask.

    `Idempotency-Key` makes it happen once, `If-Match` only if the revision still stands.
    `content` tells the request from another one under the same key.
    """
    return respond(handle(backend.store, envelope(request, content), decide), status_code)


class Entity:
    """What the path of a request names, for commands about it."""

    def __init__(self, backend: Backend, request: HttpRequest, aggregate: Aggregate[Any]) -> None:
        self._backend, self._request, self._aggregate = backend, request, aggregate
        self.id: str = request.path_params[f"{aggregate.kind}_id"]

    def change(self, command: object, content: object = None) -> Response[CommandResult]:
        """Carry a command of its own out; `content` is the body that it came with."""
        return self.carry_out(
            lambda session: session.change(self._aggregate, self.id, command), content
        )

    def carry_out(
        self,
        decide: Callable[[Session], Decided[Any]],
        content: object = None,
        *,
        status_code: int = 200,
    ) -> Response[CommandResult]:
        """The same for a command that takes more."""
        return carry_out(self._backend, self._request, content, decide, status_code=status_code)


Named = NamedDependency[Entity]


def named(*aggregates: Aggregate[Any]) -> dict[str, Provide]:
    """The dependencies of a controller whose paths name an entity of one of these kinds.

    A path that names two is taken apart by its handler: OpenAPI tells their order by that alone.
    """

    def maker(aggregate: Aggregate[Any]) -> Callable[..., Entity]:
        def entity(backend: Served, request: HttpRequest) -> Entity:
            return Entity(backend, request, aggregate)

        return entity

    return provided(**{aggregate.kind: maker(aggregate) for aggregate in aggregates})


def respond(outcome: Outcome, status_code: int) -> Response[CommandResult]:
    return Response(
        _result(outcome),
        status_code=status_code,
        headers={"ETag": f'"{outcome.revision}"'} if outcome.revision else {},
    )


def _result(outcome: Outcome) -> CommandResult:
    return CommandResult(outcome.id, outcome.revision, outcome.position, outcome.ids)


def envelope(request: HttpRequest, content: object) -> Request:
    """Who asks and under which ids, as the headers say. Raises `Invalid`."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and (not 1 <= len(key) <= 200 or not key.isprintable()):
        raise Invalid("Idempotency-Key has 1 to 200 printable characters", field="Idempotency-Key")
    caller: Caller = request.user
    command_id = str(uuid.uuid4()) if key is None else command_id_of(caller.account_id, key)
    target = f"{caller.account_id} {request.method} {request.url.path} "
    hashed = target.encode() + msgspec.json.encode(content)
    return Request(
        actor=caller.actor,
        command_id=command_id,
        correlation_id=_correlation(request),
        expected_revision=_expected(request.headers.get("If-Match")),
        fingerprint=hashlib.sha256(hashed).hexdigest(),
        fresh=key is None,
    )


def _correlation(request: HttpRequest) -> str:
    """The correlation id of the request, which `RequestLog` set. Raises `Invalid` if the caller's
    is malformed."""
    given = request.headers.get(CORRELATION)
    if given is not None and not is_id(given):
        raise Invalid(f"{CORRELATION} has 1 to {LONGEST} printable characters", field=CORRELATION)
    return str(request.state["correlation_id"])


def _expected(header: str | None) -> int | None:
    if header is None or header == "*":
        return None
    revision = header.removeprefix("W/").strip('"')
    if not revision.isdecimal() or len(revision) > 18:
        raise Invalid('If-Match must be the ETag of a response, such as "3"', field="If-Match")
    return int(revision)
