"""What a receiver gets: every event that is wanted, in order, signed, until it takes it."""

import threading
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from standardwebhooks import WebhookVerificationError

from application.webhooks import new_secret
from domain.subscriptions.cloud_events import cloud_event
from domain.subscriptions.webhook import (
    PauseWebhook,
    RemoveWebhook,
    ReplayWebhook,
    ResumeWebhook,
    RotateSecret,
)
from tests.adapters.running import eventually
from tests.adapters.subscriptions.webhooks.receiver import OK, Received, Reply
from tests.adapters.subscriptions.webhooks.scene import Hooks
from tests.waiting import HANG_SECONDS


def failing(hooks: Hooks, path: str, reply: Reply, times: int = 10**9) -> None:
    """Let the receiver answer so to a path for the next messages, and well afterwards."""
    count = len(hooks.receiver.at(path)) + times

    def answer(received: Received) -> Reply:
        if received.path == f"/{path}" and len(hooks.receiver.at(path)) <= count:
            return reply
        return OK

    hooks.receiver.reply = answer


def test_every_event_comes_in_order_signed_and_whole(hooks: Hooks) -> None:
    hook = hooks.register("all")
    hooks.rename(hooks.project(), 30)
    hooks.served(hook)
    got = hooks.receiver.at("all")
    assert [one.sequence for one in got] == list(range(hook.start + 1, hooks.store.head() + 1))
    for one, recorded in zip(got, hooks.store.read(hook.start), strict=True):
        one.verify(hook.webhook.secret)
        assert one.headers["webhook-id"] == recorded.metadata.event_id
        assert one.headers["Content-Type"] == "application/cloudevents+json"
        assert one.body == msgspec.json.encode(cloud_event(recorded))
    with pytest.raises(WebhookVerificationError):
        got[0].verify(new_secret())


def test_only_what_is_wanted_comes(hooks: Hooks) -> None:
    mine, other = hooks.project(), hooks.project()
    named = hooks.register("named", names=("project.renamed",))
    kinds = hooks.register("kinds", names=("webhook.*",))
    scoped = hooks.register("scoped", project_id=mine)
    hooks.rename(other, 2)
    [first, last] = hooks.rename(mine, 2)
    for hook in (named, kinds, scoped):
        hooks.served(hook)
    assert hooks.receiver.sequences("named") == [first - 2, first - 1, first, last]
    assert hooks.receiver.sequences("kinds") == [scoped.start]
    assert hooks.receiver.sequences("scoped") == [first, last]


def test_a_failing_receiver_gets_the_same_message_until_it_takes_it(hooks: Hooks) -> None:
    hook = hooks.register("flaky")
    project_id = hooks.project()
    hooks.served(hook)
    failing(hooks, "flaky", Reply(500), 4)
    positions = hooks.rename(project_id, 3)
    hooks.served(hook)
    got = hooks.receiver.at("flaky")[1:]
    assert [one.sequence for one in got] == [positions[0]] * 5 + positions[1:]
    assert len({one.body for one in got[:5]}) == 1
    place = hooks.place(hook)
    assert (place.failures, place.failing_since, place.last_error) == (0, None, None)


def test_what_is_wrong_can_be_asked_for(hooks: Hooks) -> None:
    hook = hooks.register("wrong")
    failing(hooks, "wrong", Reply(503, {"Retry-After": "30"}))
    began = datetime.now(UTC)
    hooks.project()
    eventually(lambda: hooks.place(hook).failures == 1)
    place = hooks.place(hook)
    assert place.last_error == "answered 503"
    assert place.position == hook.start
    assert place.next_try_at is not None
    assert place.next_try_at >= began + timedelta(seconds=30)
    hooks.receiver.reply = lambda _: OK
    hooks.change(hook, PauseWebhook())
    hooks.change(hook, ResumeWebhook())
    hooks.served(hook)  # without the half minute's wait


def test_a_receiver_that_fails_for_too_long_is_parked_with_the_reason(idle_hooks: Hooks) -> None:
    hooks = idle_hooks
    hook = hooks.register("down")
    failing(hooks, "down", Reply(500))
    positions = hooks.rename(hooks.project(), 2)
    with hooks.delivering(webhook_park_days=0.5 / 86_400):
        eventually(lambda: hooks.state(hook)[0] == "parked")
        reason = hooks.state(hook)[1]
        assert reason is not None
        assert reason.startswith("every attempt since ")
        assert reason.endswith("failed: answered 500")
        hooks.receiver.reply = lambda _: OK
        tries = len(hooks.receiver.at("down"))
        first = hook.start + 1
        assert tries > 1
        assert set(hooks.receiver.sequences("down")) == {first}
        hooks.change(hook, ResumeWebhook())
        hooks.served(hook)
    parked_and_resumed = [positions[-1] + 1, positions[-1] + 2]
    assert hooks.receiver.sequences("down")[tries:] == [first, *positions, *parked_and_resumed]


def test_a_receiver_that_is_gone_is_parked_at_once(hooks: Hooks) -> None:
    hook = hooks.register("gone")
    failing(hooks, "gone", Reply(410))
    hooks.project()
    eventually(lambda: hooks.state(hook)[0] == "parked")
    assert "410 (Gone)" in str(hooks.state(hook)[1])
    assert len(hooks.receiver.at("gone")) == 1


def test_a_replay_goes_on_from_any_position(hooks: Hooks) -> None:
    hook = hooks.register("again", names=("project.renamed",))
    positions = hooks.rename(hooks.project(), 4)
    hooks.served(hook)
    hooks.change(hook, ReplayWebhook(positions[1], hooks.store.head()))
    got = hooks.receiver.wait("again", 6)
    assert [one.sequence for one in got] == [*positions, *positions[2:]]
    hooks.change(hook, ReplayWebhook(0, hooks.store.head()))
    hooks.served(hook)
    every = [one.position for one in hooks.store.read_all(names=["project.renamed"])]
    assert hooks.receiver.sequences("again")[6:] == every


def test_a_message_that_is_never_taken_can_be_passed_over(hooks: Hooks) -> None:
    hook = hooks.register("poison", names=("project.renamed",))
    project_id = hooks.project()
    [bad, good] = hooks.rename(project_id, 2)

    def refuse(received: Received) -> Reply:
        refused = received.path == "/poison" and received.sequence == bad
        return Reply(400, {"Retry-After": "60"}) if refused else OK

    hooks.receiver.reply = refuse
    hooks.change(hook, ReplayWebhook(bad - 1, hooks.store.head()))
    eventually(lambda: hooks.place(hook).failures > 0)
    hooks.change(hook, ReplayWebhook(bad, hooks.store.head()))
    hooks.served(hook)
    assert hooks.receiver.sequences("poison")[-1] == good


def test_nothing_comes_while_paused_and_nothing_is_left_out(hooks: Hooks) -> None:
    hook = hooks.register("paused", names=("project.renamed",))
    other = hooks.register("other", names=("project.renamed",))
    project_id = hooks.project()
    hooks.change(hook, PauseWebhook())
    positions = hooks.rename(project_id, 2)
    hooks.served(other)
    assert hooks.receiver.at("paused") == []
    hooks.change(hook, ResumeWebhook())
    hooks.served(hook)
    assert hooks.receiver.sequences("paused") == positions
    hooks.change(hook, RemoveWebhook())
    hooks.rename(project_id, 1)
    hooks.served(other)
    assert hooks.receiver.sequences("paused") == positions


def test_after_a_rotation_both_secrets_sign(hooks: Hooks) -> None:
    hook = hooks.register("rotated", names=("project.renamed",))
    project_id = hooks.project()
    until = datetime.now(UTC) + timedelta(hours=1)
    new = hooks.change(hook, RotateSecret(new_secret(), until))
    hooks.rename(project_id, 1)
    [both] = hooks.receiver.wait("rotated", 1)
    both.verify(hook.webhook.secret)
    both.verify(new.webhook.secret)
    past = datetime.now(UTC) - timedelta(seconds=1)
    newest = hooks.change(hook, RotateSecret(new_secret(), past))
    hooks.rename(project_id, 1)
    one = hooks.receiver.wait("rotated", 2)[1]
    one.verify(newest.webhook.secret)
    one.verify(hook.webhook.secret)  # its hour is not over
    with pytest.raises(WebhookVerificationError):
        one.verify(new.webhook.secret)


def test_a_redirect_is_not_followed(hooks: Hooks) -> None:
    hook = hooks.register("moved")
    failing(hooks, "moved", Reply(307, {"Location": hooks.receiver.url("elsewhere")}), 2)
    hooks.project()
    eventually(lambda: hooks.place(hook).last_error is not None)
    assert hooks.place(hook).last_error == "answered 307; redirects are not followed"
    hooks.served(hook)
    assert hooks.receiver.at("elsewhere") == []


def test_a_long_answer_is_not_read_to_its_end(hooks: Hooks) -> None:
    hook = hooks.register("chatty")
    failing(hooks, "chatty", Reply(200, endless=True), 1)
    hooks.project()
    hooks.served(hook)
    assert len(hooks.receiver.at("chatty")) == 1
    assert hooks.receiver.hung_up.wait(HANG_SECONDS)
    assert hooks.receiver.written < 20_000_000  # what the system's buffers take


def test_a_receiver_that_hangs_holds_up_no_other(hooks: Hooks) -> None:
    waits, goes_on = threading.Event(), threading.Event()

    def hang(received: Received) -> Reply:
        if received.path == "/hangs":
            waits.set()
            goes_on.wait(HANG_SECONDS)
        return OK

    hooks.receiver.reply = hang
    hanging = hooks.register("hangs")
    quick = hooks.register("quick", names=("project.renamed",))
    project_id = hooks.project()
    assert waits.wait(HANG_SECONDS)
    positions = hooks.rename(project_id, 20)
    hooks.served(quick)
    assert hooks.receiver.sequences("quick") == positions
    assert hooks.place(hanging).position == hanging.start
    hooks.change(hanging, RemoveWebhook())
    goes_on.set()


def test_a_receiver_that_hangs_is_not_waited_for_longer_than_the_settings_say(
    idle_hooks: Hooks,
) -> None:
    hooks = idle_hooks

    def hang(_: Received) -> Reply:
        hooks.receiver.over.wait()
        return OK

    hooks.receiver.reply = hang
    hanging = hooks.register("hangs")
    hooks.project()
    with hooks.delivering(webhook_timeout_seconds=0.5):
        eventually(lambda: hooks.place(hanging).last_error == "no answer within 0.5 s")


def test_nobody_is_told_through_a_webhook_what_they_may_not_see_any_more(hooks: Hooks) -> None:
    project_id = hooks.project()
    eve = hooks.person("eve", project_id)
    hook = hooks.register("hers", project_id=project_id, actor=eve)
    told = hooks.rename(project_id, 2)
    hooks.served(hook)
    hooks.depose(eve, project_id)
    untold = hooks.rename(project_id, 2)
    eventually(lambda: hooks.state(hook)[0] == "parked")
    assert str(hooks.state(hook)[1]).startswith("eve, its owner, no longer administers")
    assert set(hooks.receiver.sequences("hers")) == set(told)
    hooks.change(hook, ResumeWebhook())
    hooks.served(hook)
    assert list(dict.fromkeys(hooks.receiver.sequences("hers"))) == told + untold


def test_who_loses_their_rights_while_a_message_fails_gets_it_no_more(hooks: Hooks) -> None:
    project_id = hooks.project()
    mallory = hooks.person("mallory", project_id)
    hook = hooks.register("waits", project_id=project_id, actor=mallory)
    failing(hooks, "waits", Reply(503, {"Retry-After": "60"}))
    hooks.rename(project_id, 1)
    eventually(lambda: hooks.place(hook).last_error == "answered 503")
    tries = len(hooks.receiver.at("waits"))
    hooks.depose(mallory, project_id)
    eventually(lambda: hooks.state(hook)[0] == "parked")
    assert len(hooks.receiver.at("waits")) == tries
