"""Webhooks as commands, and as the log tells which there are."""

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
    name_of(one)
    for one in (
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
"""How long the secret before signs too after a rotation."""


class Endpoint(msgspec.Struct, frozen=True):
    """A webhook as its events tell.

    What is sent first is the event after `start`, as the event at position `placed` of the log
    says. `begun` is the position of the last event that let deliveries begin anew. `vouched_by`
    is the actor who registered it, or resumed it since: it tells no more than they may know.
    """

    webhook_id: str
    webhook: Webhook
    registered: Recorded
    revision: int
    start: int
    placed: int
    begun: int
    vouched_by: str


def new_secret() -> str:
    """A secret as Standard Webhooks writes it."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"


def both_until() -> datetime:
    """When the secret before a rotation that happens now signs for the last time."""
    return datetime.now(UTC) + BOTH_SECRETS


def register_webhook(session: Session, command: RegisterWebhook) -> Decided[Webhook]:
    if command.project_id is not None:
        projects.require(session.get(PROJECT, command.project_id))
    return session.decide(WEBHOOK, session.begin(WEBHOOK), command)


def take(endpoints: dict[str, Endpoint], recorded: Recorded) -> Endpoint | None:
    """Let an event change the endpoint that it is about; None for an event of something else."""
    event, position, key = recorded.event, recorded.position, recorded.entity_id
    if recorded.kind != WEBHOOK.kind:
        return None
    if isinstance(event, WebhookRegistered):
        webhook = webhooks.require(webhooks.evolve(None, event))
        actor = recorded.metadata.actor
        endpoints[key] = Endpoint(key, webhook, recorded, 1, position, position, position, actor)
        return endpoints[key]
    known = endpoints[key]
    changed = msgspec.structs.replace(
        known,
        webhook=webhooks.evolve(known.webhook, event),
        revision=recorded.originator_version,
    )
    if isinstance(event, WebhookReplayed):
        changed = msgspec.structs.replace(changed, start=event.after, placed=position)
    if isinstance(event, WebhookReplayed | WebhookResumed):
        changed = msgspec.structs.replace(changed, begun=position)
    if isinstance(event, WebhookResumed):
        changed = msgspec.structs.replace(changed, vouched_by=recorded.metadata.actor)
    endpoints[key] = changed
    return changed


def all_endpoints(store: Store, *, upto: int = END) -> dict[str, Endpoint]:
    """The webhooks that are not removed, by id, up to a position of the log."""
    found = _folded(list(store.read_all(upto=upto, names=EVENTS)))
    return {key: one for key, one in found.items() if one.webhook.state != webhooks.REMOVED}


class Endpoints:
    """The webhooks that are not removed, kept up with the log: each look reads what is new."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, Endpoint] = {}
        self._position = 0

    def now(self) -> tuple[list[Endpoint], int]:
        """Them, and where the log ends."""
        head = self._store.head()
        for recorded in self._store.read_all(self._position, upto=head, names=EVENTS):
            take(self._known, recorded)
        self._position = head
        there = [one for one in self._known.values() if one.webhook.state != webhooks.REMOVED]
        return there, head


def find_endpoint(store: Store, webhook_id: str) -> Endpoint:
    """Also one that is removed. Raises `NotFound` for one that never was."""
    found = _folded(_events_of(store, webhook_id))
    if webhook_id not in found:
        raise NotFound("there is no such webhook")
    return found[webhook_id]


def distrusted(access: Access, endpoint: Endpoint) -> str | None:
    """Why nothing may be sent, where whoever vouches for the webhook may not see what it tells."""
    project_id = endpoint.webhook.registered.project_id
    try:
        grants = access.by_account(account_id(endpoint.vouched_by)).grants
        if grants.may(Right.ADMINISTER, project_id):
            return None
    except Unauthenticated:
        pass
    what = "all projects" if project_id is None else "the project"
    return (
        f"{endpoint.vouched_by}, who vouches for it, does not administer {what} any more; whoever"
        " does and resumes it vouches for it from then on"
    )


def secret_given(store: Store, webhook_id: str, command_id: str) -> str | None:
    """The secret that a command has given to a webhook, to answer the same command again."""
    for recorded in _events_of(store, webhook_id):
        event = recorded.event
        if recorded.metadata.command_id == command_id and isinstance(
            event, WebhookRegistered | WebhookSecretRotated
        ):
            return event.secret
    return None


def _events_of(store: Store, webhook_id: str) -> list[Recorded]:
    """All events of a webhook, with their positions."""
    stream, found = WEBHOOK.stream(webhook_id), list[Recorded]()
    while page := store.of_stream(stream, after=found[-1].position if found else 0, newest=False):
        found += page
    return found


def _folded(events: Sequence[Recorded]) -> dict[str, Endpoint]:
    endpoints: dict[str, Endpoint] = {}
    for recorded in events:
        take(endpoints, recorded)
    return endpoints
