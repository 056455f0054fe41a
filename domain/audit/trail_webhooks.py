"""Descriptions of a webhook's events on the trail, without its URL and secrets."""

from domain.aggregates import PROJECT
from domain.audit.trail_descriptions import Description, States, named_in
from domain.event import Event
from domain.formatting import moment
from domain.subscriptions import webhook


def of_webhook(event: Event, subject: str, states: States) -> Description | None:
    """The description, or None for an event that is not about a webhook."""
    match event:
        case webhook.WebhookRegistered() as made:
            what = ", ".join(made.names) or "all events"
            project = made.project_id
            where = f" of {named_in(states, PROJECT.stream(project))}" if project else ""
            return Description(f"{subject} registered for {what}{where}")
        case webhook.WebhookPaused():
            return Description(f"{subject} paused")
        case webhook.WebhookParked(reason=reason):
            return Description(f"{subject} parked: {reason}")
        case webhook.WebhookResumed():
            return Description(f"{subject} resumed")
        case webhook.WebhookReplayed(after=after):
            return Description(f"{subject} set to continue after position {after}")
        case webhook.WebhookSecretRotated(both_until=until):
            return Description(
                f"{subject} signed with another secret; the previous one is valid until"
                f" {moment(until)}"
            )
        case webhook.WebhookRemoved():
            return Description(f"{subject} removed")
    return None
