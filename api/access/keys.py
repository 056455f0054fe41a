"""Routes of API keys: issue, list, rotate, revoke."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta

from api.access.guard import demand, demand_everywhere
from api.access.rights import ACCOUNT
from api.backend import Backend
from api.http.commands import CommandResult, Named, envelope, named
from api.http.parameters import Cursor, HttpRequest, Limit, Served
from api.http.schemas import Strict
from application.access.access import Caller
from application.access.accounts import all_of, issue_key, revoke_key, rotate_key
from application.handle import Outcome, handle
from domain.access.key import (
    LONGEST_OVERLAP,
    IssueKey,
    Key,
    RotateKey,
    Scope,
    digest_of,
    key_text,
    new_secret,
)
from domain.access.roles import Right, Role
from domain.aggregates import KEY, PROJECT
from domain.errors import Unauthenticated


class NewKey(Strict, frozen=True, kw_only=True):
    """A key of `account_id`, by default of the caller. `roles` and `projects` limit it to the
    rights of these roles in these projects."""

    label: str
    account_id: str | None = None
    roles: list[Role] | None = None
    projects: list[str] | None = None
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class Rotation(Strict, frozen=True, kw_only=True):
    """Seconds for which the previous secret stays valid."""

    overlap_seconds: Annotated[float, Meta(ge=0, le=LONGEST_OVERLAP.total_seconds())] = 0


class KeyView(msgspec.Struct, frozen=True):
    """A key without its secret, which only its holder has."""

    key_id: str
    account_id: str
    label: str
    roles: tuple[Role, ...] | None
    projects: tuple[str, ...] | None
    expires_at: datetime | None
    revoked: bool


class Keys(msgspec.Struct, frozen=True):
    """A page of the keys of an account, by id."""

    items: list[KeyView]
    next: str | None


class IssuedKey(msgspec.Struct, frozen=True):
    """A new key, shown once. `key` is null where the request repeats an earlier one: rotate it
    then."""

    id: str
    revision: int
    position: int
    key: str | None


class KeyController(Controller):
    """API keys."""

    path = "/keys"
    tags = ("Access",)
    dependencies = named(KEY)

    @get(summary="List keys", sync_to_thread=True, opt=ACCOUNT)
    def list_keys(
        self,
        backend: Served,
        request: HttpRequest,
        account_id: FromQuery[str | None] = None,
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> Keys:
        """The caller's keys; an administrator of all projects may list those of any account."""
        caller: Caller = request.user
        if account_id not in {None, caller.account_id}:
            demand_everywhere(caller, Right.ADMINISTER)
        holder = account_id or caller.account_id
        keys = (
            key_view(key_id, key)
            for key_id, key in all_of(backend.store, KEY, after=cursor or "")
            if key.account_id == holder
        )
        items = list(islice(keys, limit + 1))
        return Keys(items[:limit], items[limit - 1].key_id if len(items) > limit else None)

    @post(summary="Issue a key", sync_to_thread=True, opt=ACCOUNT)
    def issue_key(
        self, backend: Served, request: HttpRequest, data: JSONBody[NewKey]
    ) -> Response[IssuedKey]:
        """The key is shown only in this answer: only its digest is stored.

        A key for the caller has at most the rights of the key that issues it, and expires at the
        same time or earlier.
        """
        caller: Caller = request.user
        demand(backend, caller, Right.READ, *map(PROJECT.stream, data.projects or ()))
        secret = new_secret()
        command = IssueKey(
            data.account_id or caller.account_id,
            data.label,
            digest_of(secret),
            datetime.now(UTC),
            Scope(
                None if data.roles is None else tuple(data.roles),
                None if data.projects is None else tuple(data.projects),
            ),
            data.expires_at,
        )
        outcome = handle(
            backend.store,
            envelope(request, data),
            lambda session: issue_key(session, command, caller),
        )
        return _issued(backend, outcome, secret, 201)

    @post("/{key_id:str}/rotate", summary="Rotate a key", sync_to_thread=True, opt=ACCOUNT)
    def rotate_key(
        self,
        backend: Served,
        request: HttpRequest,
        key_id: FromPath[str],
        data: JSONBody[Rotation],
    ) -> Response[IssuedKey]:
        """A new secret with the same id and limits; it is shown only in this answer."""
        secret = new_secret()
        command = RotateKey(
            digest_of(secret), datetime.now(UTC), timedelta(seconds=data.overlap_seconds)
        )
        outcome = handle(
            backend.store,
            envelope(request, data),
            lambda session: rotate_key(session, key_id, command, request.user),
        )
        return _issued(backend, outcome, secret, 200)

    @delete(
        "/{key_id:str}", summary="Revoke a key", status_code=200, sync_to_thread=True, opt=ACCOUNT
    )
    def revoke_key(self, request: HttpRequest, key: Named) -> Response[CommandResult]:
        """The key is invalid from the next request on."""
        return key.carry_out(lambda session: revoke_key(session, key.id, request.user))


def _issued(
    backend: Backend, outcome: Outcome, secret: str, status_code: int
) -> Response[IssuedKey]:
    """The answer with the key, if this request made it."""
    text = key_text(outcome.id, secret)
    try:
        backend.access.by_key(text)
        key = text
    except Unauthenticated:
        key = None
    return Response(
        IssuedKey(outcome.id, outcome.revision, outcome.position, key),
        status_code=status_code,
        headers={"ETag": f'"{outcome.revision}"', "Cache-Control": "no-store"},
    )


def key_view(key_id: str, key: Key) -> KeyView:
    """The key without its secret."""
    return KeyView(
        key_id,
        key.account_id,
        key.label,
        key.scope.roles,
        key.scope.projects,
        key.expires_at,
        key.revoked,
    )
