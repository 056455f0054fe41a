"""Queries of webhooks and their request and response bodies; access to them."""

from collections.abc import Collection
from datetime import datetime
from typing import Annotated

import msgspec
from litestar.params import BodyKwarg
from msgspec import Meta

from adapters.subscriptions.webhooks.positions import WebhookLag, webhook_lags
from api.backend import Backend
from api.http.parameters import HttpRequest
from api.http.schemas import Strict
from application.access.access import Caller
from application.webhooks import Endpoint, all_endpoints, find_endpoint
from domain.access.roles import Grants, Right
from domain.errors import Forbidden, NotFound
from domain.subscriptions.webhook import MAX_URL, require


class NewWebhook(Strict, frozen=True, kw_only=True):
    """A webhook to register. `names` are names of events or of all events of a kind; without any,
    all events are sent."""

    url: Annotated[str, Meta(max_length=MAX_URL, examples=["https://hooks.example.com/stemma"])]
    names: Annotated[
        tuple[str, ...],
        Meta(max_length=100, examples=[["version.training_completed", "model.*"]]),
    ] = ()
    project_id: str | None = None
    description: str = ""


class Replay(Strict, frozen=True, kw_only=True):
    """The position of the log after which deliveries continue; 0 is its beginning."""

    after: Annotated[int, Meta(ge=0, examples=[0])]


class GivenSecret(msgspec.Struct, frozen=True):
    """The secret that signs messages from now on. It is shown only here."""

    id: str
    secret: str
    revision: int
    position: int


class WebhookRow(msgspec.Struct, frozen=True):
    """A webhook and its deliveries.

    Its `state` is `active`, `paused` by a user, or `parked` for the given `reason`; `going` is the
    same, except `failing` while it is active and its last attempts failed. It has processed the log
    up to `position`; `behind` is the number of the log's events after that, filtered or not. While
    attempts fail, `last_error` is of the last one, and the next is not before `next_try_at`. The
    webhook is parked if its `owner`, who registered or last resumed it, may no longer see its
    events. `vouched_by` is the former name of `owner`.
    """

    webhook_id: str
    url: str
    names: tuple[str, ...]
    project_id: str | None
    description: str
    state: str
    reason: str | None
    position: int
    behind: int
    failures: int
    failing_since: datetime | None
    last_error: str | None
    next_try_at: datetime | None
    delivered_at: datetime | None
    registered_at: datetime
    registered_by: str
    owner: str
    vouched_by: Annotated[str, BodyKwarg(schema_extra={"deprecated": True})]
    revision: int
    going: str


class WebhookView(msgspec.Struct, frozen=True):
    webhook: WebhookRow
    position: int


class Webhooks(msgspec.Struct, frozen=True):
    items: list[WebhookRow]
    position: int


class WebhookTest(msgspec.Struct, frozen=True):
    """The result of a test message. `trouble` is None if the receiver accepted it."""

    status: int | None
    trouble: str | None
    seconds: float


def grants_of(request: HttpRequest) -> Grants:
    """The caller's roles."""
    caller: Caller = request.user
    return caller.grants


def refuse_others(grants: Grants, project_id: str | None) -> None:
    """Raise `Forbidden` for a caller who does not administer the project (None: all projects), and
    `NotFound` where the project is hidden from the caller."""
    if grants.may(Right.ADMINISTER, project_id):
        return
    if project_id is not None and not grants.may(Right.READ, project_id):
        raise NotFound("project not found")
    where = "the project" if project_id is not None else "all projects"
    raise Forbidden(f"this needs the right {Right.ADMINISTER} in {where}")


def endpoint_for(
    backend: Backend, grants: Grants, webhook_id: str, *, removed_too: bool = False
) -> Endpoint:
    """The webhook. Raises `NotFound` if it is missing or hidden from the caller."""
    endpoint = find_endpoint(backend.store, webhook_id)
    if not removed_too:
        require(endpoint.webhook)
    if not grants.may(Right.ADMINISTER, endpoint.webhook.registered.project_id):
        raise NotFound("webhook not found")
    return endpoint


def administered(backend: Backend, grants: Grants) -> list[Endpoint]:
    """The webhooks that are not removed and that the caller administers, in the order of the
    log."""
    return [
        endpoint
        for endpoint in all_endpoints(backend.store).values()
        if grants.may(Right.ADMINISTER, endpoint.webhook.registered.project_id)
    ]


def rows(backend: Backend, endpoints: Collection[Endpoint]) -> tuple[list[WebhookRow], int]:
    """The present state of webhooks, and the end of the log."""
    head = backend.store.head()
    with backend.engine.connect() as connection:
        return [_row(lag) for lag in webhook_lags(connection, endpoints, head)], head


def _row(lag: WebhookLag) -> WebhookRow:
    endpoint = lag.endpoint
    webhook, registered = endpoint.webhook, endpoint.registered
    return WebhookRow(
        webhook_id=endpoint.webhook_id,
        url=webhook.registered.url,
        names=webhook.registered.names,
        project_id=webhook.registered.project_id,
        description=webhook.registered.description,
        state=webhook.state,
        reason=webhook.reason,
        behind=lag.behind,
        registered_at=registered.metadata.occurred_at,
        registered_by=registered.metadata.actor,
        owner=endpoint.owner,
        vouched_by=endpoint.owner,
        revision=endpoint.revision,
        going=lag.going,
        **msgspec.structs.asdict(lag.place),
    )
