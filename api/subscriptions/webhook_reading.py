"""Webhooks as the API shows them, and whose they are."""

from collections.abc import Collection
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from adapters.subscriptions.webhooks.positions import Standing, standings
from api.backend import Backend
from api.http.parameters import HttpRequest
from api.http.schemas import Strict
from application.access.access import Caller
from application.webhooks import Endpoint, all_endpoints, find_endpoint
from domain.access.roles import Grants, Right
from domain.errors import Forbidden, NotFound
from domain.subscriptions.webhook import MAX_URL, require


class NewWebhook(Strict, frozen=True, kw_only=True):
    """`names` are of events, exactly or all of a kind; without any, all events are sent."""

    url: Annotated[str, Meta(max_length=MAX_URL, examples=["https://hooks.example.com/stemma"])]
    names: Annotated[
        tuple[str, ...],
        Meta(max_length=100, examples=[["version.training_completed", "model.*"]]),
    ] = ()
    project_id: str | None = None
    description: str = ""


class Replay(Strict, frozen=True, kw_only=True):
    """What is sent next is the first event after this position of the log; 0 is its beginning."""

    after: Annotated[int, Meta(ge=0, examples=[0])]


class GivenSecret(msgspec.Struct, frozen=True):
    """The secret that signs from now on. It is shown here and never again."""

    id: str
    secret: str
    revision: int
    position: int


class WebhookRow(msgspec.Struct, frozen=True):
    """A webhook and how it goes.

    Its `state` is `active`, `paused` by someone, or `parked` for the `reason` given; `going` is
    the same, but `failing` while it is active and its last tries failed. It has been served up
    to `position`; `behind` counts the log's events after that, wanted or not. While tries fail,
    the last one said `last_error`, and there is none before `next_try_at`. It is parked if
    `vouched_by`, who registered or resumed it, may no longer see what it tells.
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
    vouched_by: str
    revision: int
    going: str


class WebhookView(msgspec.Struct, frozen=True):
    webhook: WebhookRow
    position: int


class Webhooks(msgspec.Struct, frozen=True):
    items: list[WebhookRow]
    position: int


class Tried(msgspec.Struct, frozen=True):
    """What the receiver made of a message. `trouble` is None if it took it."""

    status: int | None
    trouble: str | None
    seconds: float


def grants_of(request: HttpRequest) -> Grants:
    """What the caller may."""
    caller: Caller = request.user
    return caller.grants


def refuse_others(grants: Grants, project_id: str | None) -> None:
    """Raises `Forbidden` for one who does not administer the project, or without
    one all of them; and `NotFound` where they may not even know of the project."""
    if grants.may(Right.ADMINISTER, project_id):
        return
    if project_id is not None and not grants.may(Right.READ, project_id):
        raise NotFound("there is no such project")
    where = "the project" if project_id is not None else "all projects"
    raise Forbidden(f"this needs the right {Right.ADMINISTER} in {where}")


def endpoint_for(
    backend: Backend, grants: Grants, webhook_id: str, *, removed_too: bool = False
) -> Endpoint:
    """Raises `NotFound` for a webhook that is not there, or is not the caller's to know."""
    endpoint = find_endpoint(backend.store, webhook_id)
    if not removed_too:
        require(endpoint.webhook)
    if not grants.may(Right.ADMINISTER, endpoint.webhook.registered.project_id):
        raise NotFound("there is no such webhook")
    return endpoint


def administered(backend: Backend, grants: Grants) -> list[Endpoint]:
    """Those that are not removed and that the caller administers, in the order of the log."""
    return [
        one
        for one in all_endpoints(backend.store).values()
        if grants.may(Right.ADMINISTER, one.webhook.registered.project_id)
    ]


def rows(backend: Backend, endpoints: Collection[Endpoint]) -> tuple[list[WebhookRow], int]:
    """The webhooks as they are now, and where the log ends."""
    head = backend.store.head()
    with backend.engine.connect() as connection:
        return [_row(one) for one in standings(connection, endpoints, head)], head


def _row(standing: Standing) -> WebhookRow:
    endpoint = standing.endpoint
    webhook, registered = endpoint.webhook, endpoint.registered
    return WebhookRow(
        webhook_id=endpoint.webhook_id,
        url=webhook.registered.url,
        names=webhook.registered.names,
        project_id=webhook.registered.project_id,
        description=webhook.registered.description,
        state=webhook.state,
        reason=webhook.reason,
        behind=standing.behind,
        registered_at=registered.metadata.occurred_at,
        registered_by=registered.metadata.actor,
        vouched_by=endpoint.owner,
        revision=endpoint.revision,
        going=standing.going,
        **msgspec.structs.asdict(standing.place),
    )
