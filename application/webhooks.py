"""Commands about webhooks, and the webhooks that the log holds."""

import base64
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from application.access.access import Access
from application.handle import Decided, Session
from application.log.store import END, Store
from domain.access.account import account_id
from domain.access.roles import Right
from domain.aggregates import PROJECT, WEBHOOK
from domain.dataset import project as projects
from domain.errors import NotFound, Unauthenticated
from domain.event import Recorded, name_of
from domain.subscriptions import webhook as webhooks
from domain.subscriptions.webhook import (
    RegisterWebhook,
    Webhook,
    WebhookParked,
    WebhookPaused,
    WebhookRegistered,
    WebhookRemoved,
    WebhookReplayed,
    WebhookResumed,
    WebhookSecretRotated,
)

EVENTS = [
    name_of(event)
    for event in (
        WebhookRegistered,
        WebhookPaused,
        WebhookParked,
        WebhookResumed,
        WebhookReplayed,
        WebhookSecretRotated,
        WebhookRemoved,
    )
]
SECRET_BYTES = 32
BOTH_SECRETS = timedelta(hours=24)
"""The time after a rotation in which the previous secret signs too."""


class Endpoint(msgspec.Struct, frozen=True):
    """A webhook, folded from its events.

    Deliveries start with the event after `start`, as set by the event at the log's position
    `placed`. `begun` is the position of the last event that restarted deliveries. `owner` is
    the actor who registered it, or resumed it since: it delivers no more than they may read.
    """

    webhook_id: str
    webhook: Webhook
    registered: Recorded
    revision: int
    start: int
    placed: int
    begun: int
    owner: str


def new_secret() -> str:
    """A new secret in the format of Standard Webhooks."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"


def both_until() -> datetime:
    """The time until which the previous secret signs, for a rotation that happens now."""
    return datetime.now(UTC) + BOTH_SECRETS


def register_webhook(session: Session, command: RegisterWebhook) -> Decided[Webhook]:
    if command.project_id is not None:
        projects.require(session.get(PROJECT, command.project_id))
    return session.decide(WEBHOOK, session.begin(WEBHOOK), command)


def take(endpoints: dict[str, Endpoint], recorded: Recorded) -> Endpoint | None:
    """Apply an event to its endpoint and return that; None for an event of another kind."""
    event, position, key = recorded.event, recorded.position, recorded.entity_id
    if recorded.kind != WEBHOOK.kind:
        return None
    if isinstance(event, WebhookRegistered):
        webhook = webhooks.require(webhooks.evolve(None, event))
        actor = recorded.metadata.actor
        endpoints[key] = Endpoint(key, webhook, recorded, 1, position, position, position, actor)
        return endpoints[key]
    endpoint = endpoints[key]
    changed = msgspec.structs.replace(
        endpoint,
        webhook=webhooks.evolve(endpoint.webhook, event),
        revision=recorded.originator_version,
    )
    if isinstance(event, WebhookReplayed):
        changed = msgspec.structs.replace(changed, start=event.after, placed=position)
    if isinstance(event, WebhookReplayed | WebhookResumed):
        changed = msgspec.structs.replace(changed, begun=position)
    if isinstance(event, WebhookResumed):
        changed = msgspec.structs.replace(changed, owner=recorded.metadata.actor)
    endpoints[key] = changed
    return changed


def all_endpoints(store: Store, *, upto: int = END) -> dict[str, Endpoint]:
    """The webhooks that are not removed, by id, up to a position of the log."""
    endpoints = _folded(list(store.read_all(upto=upto, names=EVENTS)))
    return {
        key: endpoint
        for key, endpoint in endpoints.items()
        if endpoint.webhook.state != webhooks.REMOVED
    }


class Endpoints:
    """The webhooks that are not removed, kept up to date: each call reads new events."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._endpoints: dict[str, Endpoint] = {}
        self._position = 0

    def now(self) -> tuple[list[Endpoint], int]:
        """The webhooks, and the position of the last event."""
        head = self._store.head()
        for recorded in self._store.read_all(self._position, upto=head, names=EVENTS):
            take(self._endpoints, recorded)
        self._position = head
        active = [
            endpoint
            for endpoint in self._endpoints.values()
            if endpoint.webhook.state != webhooks.REMOVED
        ]
        return active, head


def find_endpoint(store: Store, webhook_id: str) -> Endpoint:
    """The webhook, also a removed one. Raises `NotFound` for an unknown one."""
    endpoints = _folded(_events_of(store, webhook_id))
    if webhook_id not in endpoints:
        raise NotFound("webhook not found")
    return endpoints[webhook_id]


def lost_authorization(access: Access, endpoint: Endpoint) -> str | None:
    """The reason why nothing may be sent, if the webhook's owner lacks access to its events."""
    project_id = endpoint.webhook.registered.project_id
    try:
        grants = access.by_account(account_id(endpoint.owner)).grants
        if grants.may(Right.ADMINISTER, project_id):
            return None
    except Unauthenticated:
        pass
    what = "all projects" if project_id is None else "the project"
    return (
        f"{endpoint.owner}, its owner, no longer administers {what}; an administrator who resumes"
        " the webhook becomes its owner"
    )


def secret_given(store: Store, webhook_id: str, command_id: str) -> str | None:
    """The secret that a command gave to a webhook, to answer a repeat of the command."""
    for recorded in _events_of(store, webhook_id):
        event = recorded.event
        if recorded.metadata.command_id == command_id and isinstance(
            event, WebhookRegistered | WebhookSecretRotated
        ):
            return event.secret
    return None


def _events_of(store: Store, webhook_id: str) -> list[Recorded]:
    """All events of a webhook, with their positions."""
    stream, events = WEBHOOK.stream(webhook_id), list[Recorded]()
    while page := store.of_stream(stream, after=events[-1].position if events else 0, newest=False):
        events += page
    return events


def _folded(events: Sequence[Recorded]) -> dict[str, Endpoint]:
    endpoints: dict[str, Endpoint] = {}
    for recorded in events:
        take(endpoints, recorded)
    return endpoints
