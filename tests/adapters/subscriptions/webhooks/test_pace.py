"""Pauses grow to a ceiling, are as long as a receiver asks, and end with giving it up."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from adapters.subscriptions.webhooks.pace import Pace
from adapters.subscriptions.webhooks.positions import DeliveryState
from adapters.subscriptions.webhooks.sending import LONGEST_RETRY_AFTER, DeliveryResult, _seconds

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
PACE = Pace(1.0, 60.0, timedelta(days=5))
FAILED = DeliveryResult("answered 500", 500)


def pauses(answer: DeliveryResult, count: int) -> list[float]:
    """The seconds until the next try, after each of so many failures in a row."""
    place, found = DeliveryState(7), []
    for _ in range(count):
        place = PACE.after(place, answer, NOW)
        assert place.next_try_at is not None
        found.append((place.next_try_at - NOW).total_seconds())
    return found


def test_pauses_double_up_to_the_ceiling_less_a_share_by_chance() -> None:
    full = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0] + [60.0] * 100
    found = pauses(FAILED, len(full))
    assert all(most / 2 <= pause <= most for pause, most in zip(found, full, strict=True))
    assert len(set(found[6:])) > 1


def test_a_receiver_may_ask_for_a_longer_pause_and_for_no_shorter_one() -> None:
    assert pauses(DeliveryResult("answered 503", 503, retry_after=300.0), 3) == [300.0] * 3
    assert pauses(DeliveryResult("answered 503", 503, retry_after=0.1), 1)[0] >= 0.5


def test_failing_is_counted_from_its_beginning() -> None:
    first = PACE.after(DeliveryState(7, delivered_at=NOW), FAILED, NOW)
    second = PACE.after(first, DeliveryResult("answered 502", 502), NOW + timedelta(hours=1))
    assert (second.position, second.failures, second.failing_since) == (7, 2, NOW)
    assert (second.last_error, second.delivered_at) == ("answered 502", NOW)


@pytest.mark.parametrize(("days", "given_up"), [(0, False), (4.99, False), (5, True)])
def test_a_receiver_is_given_up_when_the_time_is_over(days: float, given_up: bool) -> None:
    place = PACE.after(DeliveryState(7), FAILED, NOW)
    reason = PACE.given_up(place, FAILED, NOW + timedelta(days=days))
    assert (reason is not None) is given_up
    assert reason in {None, "every attempt since 2026-03-04 05:06:07 UTC failed: answered 500"}


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (format_datetime(NOW + timedelta(minutes=5), usegmt=True), 300.0),
        (format_datetime(NOW - timedelta(minutes=5), usegmt=True), 0.0),
        ("Wed, 04 Mar 2026 05:11:07 -0000", 0.0),
        ("999999999", LONGEST_RETRY_AFTER),
        ("9" * 400, 0.0),
        ("9" * 5000, 0.0),
        ("-5", 0.0),
        ("soon", 0.0),
        ("", 0.0),
    ],
)
def test_what_a_receiver_asks_for_is_seconds_or_a_date(header: str, seconds: float) -> None:
    assert _seconds(header, NOW) == seconds
