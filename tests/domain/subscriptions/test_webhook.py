"""What may be decided about a webhook, and which secrets sign."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.audit.trail import line_of
from domain.errors import Invalid, NotFound
from domain.event import Event, Metadata, Recorded
from domain.subscriptions.cloud_events import cloud_event
from domain.subscriptions.webhook import (
    PARKED,
    Command,
    ParkWebhook,
    PauseWebhook,
    RegisterWebhook,
    RemoveWebhook,
    ReplayWebhook,
    ResumeWebhook,
    RotateSecret,
    Webhook,
    WebhookParked,
    WebhookPaused,
    WebhookRegistered,
    WebhookRemoved,
    WebhookReplayed,
    WebhookResumed,
    WebhookSecretRotated,
    decide,
    evolve,
)
from tests.domain.story import Story

URL, SECRET = "https://hooks.example.com/in?token=hidden", "whsec_b25l"
NOW = datetime(2026, 3, 4, tzinfo=UTC)
LATER = NOW + timedelta(hours=24)
REGISTERED = WebhookRegistered(
    "hooks.example.com", ("webhook.*",), "project-1", "Ticker", URL, SECRET
)
PAUSED, RESUMED, GONE = WebhookPaused(), WebhookResumed(), WebhookParked("answered 410")
ROTATED = WebhookSecretRotated(LATER, "whsec_dHdv")

given = Story[Webhook](evolve, decide).given


def register(**changes: object) -> RegisterWebhook:
    values = {
        "url": URL,
        "host": "hooks.example.com",
        "names": ("webhook.*", "webhook.*"),
        "project_id": "project-1",
        "description": " Ticker ",
        "secret": SECRET,
    }
    return RegisterWebhook(**(values | changes))  # type: ignore[arg-type]


def test_a_webhook_is_registered() -> None:
    given().when(register()).then(REGISTERED)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"names": ("webhook",)}, "names"),
        ({"names": ("webhook.registred",)}, "names"),
        ({"names": ("*",)}, "names"),
        ({"names": ("webhook.registered.*",)}, "names"),
        ({"url": f"https://h/{'x' * 2000}"}, "url"),
        ({"description": "a\tb"}, "description"),
        ({"description": "x" * 201}, "description"),
    ],
)
def test_what_a_registration_refuses(changes: dict[str, object], field: str) -> None:
    given().when(register(**changes)).then(Invalid, field=field)


@pytest.mark.parametrize(
    ("history", "command", "events"),
    [
        ((), PauseWebhook(), [PAUSED]),
        ((PAUSED,), PauseWebhook(), []),
        ((GONE,), PauseWebhook(), [PAUSED]),
        ((), ParkWebhook("answered 410"), [GONE]),
        ((PAUSED,), ParkWebhook("answered 410"), []),
        ((GONE,), ParkWebhook("answered 410"), []),
        ((), ResumeWebhook(), []),
        ((PAUSED,), ResumeWebhook(), [RESUMED]),
        ((GONE,), ResumeWebhook(), [RESUMED]),
        ((), ReplayWebhook(0, 7), [WebhookReplayed(0)]),
        ((GONE,), ReplayWebhook(7, 7), [WebhookReplayed(7)]),
        ((), RotateSecret("whsec_dHdv", LATER), [ROTATED]),
        ((GONE,), RemoveWebhook(), [WebhookRemoved()]),
    ],
)
def test_a_webhook_goes_from_state_to_state(
    history: tuple[Event, ...], command: Command, events: list[Event]
) -> None:
    given(REGISTERED, *history).when(command).then(*events)


@pytest.mark.parametrize("after", [-1, 8])
def test_a_replay_is_of_what_the_log_has(after: int) -> None:
    given(REGISTERED).when(ReplayWebhook(after, 7)).then(Invalid, field="after", says="0 to 7")


@pytest.mark.parametrize(
    "command", [PauseWebhook(), ResumeWebhook(), RemoveWebhook(), ReplayWebhook(0, 7)]
)
def test_what_is_removed_is_not_there(command: Command) -> None:
    given().when(command).then(NotFound)
    given(REGISTERED, WebhookRemoved()).when(command).then(NotFound)


def test_the_secret_before_signs_until_its_time_is_over() -> None:
    webhook = given(REGISTERED, ROTATED).state
    assert webhook is not None
    assert webhook.secrets(NOW) == ["whsec_dHdv", SECRET]
    assert webhook.secrets(LATER) == ["whsec_dHdv"]


def test_a_reason_goes_with_what_it_was_the_reason_for() -> None:
    parked, resumed = given(REGISTERED, GONE).state, given(REGISTERED, GONE, RESUMED).state
    assert (parked and (parked.state, parked.reason)) == (PARKED, "answered 410")
    assert resumed is not None
    assert resumed.reason is None


@pytest.mark.parametrize("event", [REGISTERED, ROTATED])
def test_neither_the_trail_nor_a_subscriber_sees_urls_and_secrets(event: Event) -> None:
    recorded = Recorded("webhook-1", 1, event, Metadata("1", NOW, "ada", "c", "r"), 1)
    state = given(REGISTERED).state
    line = line_of(recorded, {"webhook-1": state}, state)
    for told in (str(line), str(cloud_event(recorded))):
        assert "hooks.example.com" in told or event is ROTATED
        assert not any(hidden in told for hidden in ("token", SECRET, ROTATED.secret))
