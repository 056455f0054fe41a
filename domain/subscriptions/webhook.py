"""A webhook: events are sent to somebody's URL, signed, until it is paused, parked or removed."""

from datetime import datetime
from typing import Annotated

import msgspec

from domain.errors import Invalid, NotFound
from domain.event import Event
from domain.personal import PERSONAL
from domain.subscriptions.event_filter import checked
from domain.text import clean_name, refuse_controls

ACTIVE, PAUSED, PARKED, REMOVED = "active", "paused", "parked", "removed"
MAX_URL = 2000


class WebhookRegistered(Event, frozen=True, tag="webhook.registered"):
    """Events are to be sent to the URL from here on: those of `names`, in the project if one is
    given. The URL may hold what nobody else should know, and the secret signs: both are sealed."""

    host: str
    names: tuple[str, ...]
    project_id: str | None
    description: str
    url: Annotated[str, PERSONAL]
    secret: Annotated[str, PERSONAL]


class WebhookPaused(Event, frozen=True, tag="webhook.paused"):
    """Someone wants nothing to be sent for now."""


class WebhookParked(Event, frozen=True, tag="webhook.parked"):
    """Nothing is sent any more, since the receiver has failed for too long or wants no more."""

    reason: str


class WebhookResumed(Event, frozen=True, tag="webhook.resumed"):
    """What was left unsent is sent now, and then what follows."""


class WebhookReplayed(Event, frozen=True, tag="webhook.replayed"):
    """What is sent next is the first event after this position of the log."""

    after: int


class WebhookSecretRotated(Event, frozen=True, tag="webhook.secret_rotated"):
    """Another secret signs; so does the one before, until `both_until`."""

    both_until: datetime
    secret: Annotated[str, PERSONAL]


class WebhookRemoved(Event, frozen=True, tag="webhook.removed"):
    """Nothing is sent any more, for good."""


class OldSecret(msgspec.Struct, frozen=True):
    secret: str
    until: datetime


class Webhook(msgspec.Struct, frozen=True):
    """`reason` says why it is parked."""

    registered: WebhookRegistered
    secret: str
    old_secrets: tuple[OldSecret, ...] = ()
    state: str = ACTIVE
    reason: str | None = None

    def secrets(self, now: datetime) -> list[str]:
        """Those that sign, the newest first."""
        return [self.secret, *(old.secret for old in self.old_secrets if now < old.until)]


class RegisterWebhook(msgspec.Struct, frozen=True):
    """`url` is one that may be called, and `host` the host in it."""

    url: str
    host: str
    names: tuple[str, ...]
    project_id: str | None
    description: str
    secret: str


class PauseWebhook(msgspec.Struct, frozen=True):
    pass


class ParkWebhook(msgspec.Struct, frozen=True):
    reason: str


class ResumeWebhook(msgspec.Struct, frozen=True):
    pass


class ReplayWebhook(msgspec.Struct, frozen=True):
    """`head` is where the log ends."""

    after: int
    head: int


class RotateSecret(msgspec.Struct, frozen=True):
    secret: str
    both_until: datetime


class RemoveWebhook(msgspec.Struct, frozen=True):
    pass


Command = (
    RegisterWebhook
    | PauseWebhook
    | ParkWebhook
    | ResumeWebhook
    | ReplayWebhook
    | RotateSecret
    | RemoveWebhook
)


def evolve(webhook: Webhook | None, event: Event) -> Webhook | None:
    match event, webhook:
        case WebhookRegistered(secret=secret), _:
            return Webhook(event, secret)
        case WebhookPaused(), Webhook():
            return msgspec.structs.replace(webhook, state=PAUSED, reason=None)
        case WebhookParked(reason=reason), Webhook():
            return msgspec.structs.replace(webhook, state=PARKED, reason=reason)
        case WebhookResumed(), Webhook():
            return msgspec.structs.replace(webhook, state=ACTIVE, reason=None)
        case WebhookRemoved(), Webhook():
            return msgspec.structs.replace(webhook, state=REMOVED, reason=None)
        case WebhookSecretRotated(secret=secret, both_until=until), Webhook():
            olds = (*webhook.old_secrets, OldSecret(webhook.secret, until))
            return msgspec.structs.replace(webhook, secret=secret, old_secrets=olds)
    return webhook


def decide(command: Command, webhook: Webhook | None) -> list[Event]:
    """Raises `NotFound` for a webhook that is not there any more."""
    if isinstance(command, RegisterWebhook):
        return _register(command)
    state = require(webhook).state
    match command:
        case PauseWebhook():
            return [] if state == PAUSED else [WebhookPaused()]
        case ParkWebhook(reason=reason):
            return [WebhookParked(reason)] if state == ACTIVE else []
        case ResumeWebhook():
            return [] if state == ACTIVE else [WebhookResumed()]
        case ReplayWebhook(after=after, head=head):
            if not 0 <= after <= head:
                raise Invalid(f"after must be from 0 to {head}, got {after}", field="after")
            return [WebhookReplayed(after)]
        case RotateSecret(secret=secret, both_until=until):
            return [WebhookSecretRotated(until, secret)]
        case RemoveWebhook():
            return [WebhookRemoved()]


def _register(command: RegisterWebhook) -> list[Event]:
    if len(command.url) > MAX_URL:
        raise Invalid(f"url has {len(command.url)} characters; at most {MAX_URL} fit", field="url")
    refuse_controls(command.url, "url")
    description = command.description.strip()
    if description:
        description = clean_name(description, "description")
    names = checked(command.names)
    return [
        WebhookRegistered(
            command.host, names, command.project_id, description, command.url, command.secret
        )
    ]


def require(webhook: Webhook | None) -> Webhook:
    if webhook is None or webhook.state == REMOVED:
        raise NotFound("webhook not found")
    return webhook
