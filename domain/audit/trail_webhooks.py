"""What the events of a webhook say on the trail. Its URL and secrets are not told."""

from domain.aggregates import PROJECT
from domain.audit.trail_telling import States, Telling, named_in
from domain.event import Event
from domain.subscriptions import webhook


def of_webhook(event: Event, subject: str, states: States) -> Telling | None:
    """None for an event that is not about a webhook."""
    match event:
        case webhook.WebhookRegistered() as made:
            what = ", ".join(made.names) or "all events"
            project = made.project_id
            where = f" of {named_in(states, PROJECT.stream(project))}" if project else ""
            return Telling(f"{subject} registered for {what}{where}")
        case webhook.WebhookPaused():
            return Telling(f"{subject} paused")
        case webhook.WebhookParked(reason=reason):
            return Telling(f"{subject} parked: {reason}")
        case webhook.WebhookResumed():
            return Telling(f"{subject} resumed")
        case webhook.WebhookReplayed(after=after):
            return Telling(f"{subject} set to go on after position {after}")
        case webhook.WebhookSecretRotated(both_until=until):
            return Telling(
                f"{subject} signed with another secret; the one before holds until {until:%F %T}"
            )
        case webhook.WebhookRemoved():
            return Telling(f"{subject} removed")
    return None
