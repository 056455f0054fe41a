"""When a message that was not taken is sent again, and when the receiver is given up."""

import random
from datetime import datetime, timedelta

import msgspec

from adapters.settings import Settings
from adapters.subscriptions.webhooks.positions import DeliveryState
from adapters.subscriptions.webhooks.sending import DeliveryResult
from domain.formatting import moment


class Pace(msgspec.Struct, frozen=True):
    """Seconds of the first pause and of the longest, and how long failing is suffered."""

    first: float
    longest: float
    suffered: timedelta

    def after(self, place: DeliveryState, answer: DeliveryResult, now: datetime) -> DeliveryState:
        """The place after another failure. Each pause is twice the one before, less up to half of
        it by chance, so that many do not come back at once; and as long as the receiver asks."""
        doubled = min(self.first * 2 ** min(place.failures, 60), self.longest)
        seconds = max(doubled * random.uniform(0.5, 1.0), answer.retry_after)
        return msgspec.structs.replace(
            place,
            failures=place.failures + 1,
            failing_since=place.failing_since or now,
            next_try_at=now + timedelta(seconds=seconds),
            last_error=answer.trouble,
        )

    def given_up(self, place: DeliveryState, answer: DeliveryResult, now: datetime) -> str | None:
        """Why nothing is to be sent any more; None to go on trying."""
        if answer.gone:
            return "the receiver answered 410 (Gone): it no longer accepts events"
        since = place.failing_since
        if since is not None and now - since >= self.suffered:
            return f"every attempt since {moment(since)} failed: {answer.trouble}"
        return None


def pace_of(settings: Settings) -> Pace:
    return Pace(
        settings.webhook_retry_seconds,
        settings.webhook_retry_ceiling_seconds,
        timedelta(days=settings.webhook_park_days),
    )
