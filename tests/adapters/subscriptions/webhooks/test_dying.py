"""Whatever dies, no event is left out, and none comes before one that it follows."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from adapters.settings import Settings
from tests.adapters.running import eventually
from tests.adapters.subscriptions.webhooks.receiver import OK, Received, Reply
from tests.adapters.subscriptions.webhooks.scene import Hooks
from tests.waiting import HANG_SECONDS


@contextmanager
def process(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    """The part in a process of its own, to be killed."""
    argv = [sys.executable, "-m", "cli.main", "courier"]
    child = subprocess.Popen(argv, env=dict(os.environ) | settings.environment())
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def test_killed_in_mid_delivery_another_process_goes_on(
    idle_hooks: Hooks, caplog: pytest.LogCaptureFixture
) -> None:
    """Only the message that was under way comes twice, though two were there to send."""
    hooks = idle_hooks
    caplog.set_level(logging.INFO)
    hook = hooks.register("killed")
    hooks.rename(hooks.project(), 40)
    positions = list(range(hook.start + 1, hooks.store.head() + 1))
    reached = {number: threading.Event() for number in (10, 20)}
    passed = {number: threading.Event() for number in (10, 20)}

    def hold(_: Received) -> Reply:
        count = len(hooks.receiver.got)
        if count in reached:
            reached[count].set()
            passed[count].wait()
        return OK

    hooks.receiver.reply = hold
    with process(hooks.settings) as first:
        assert reached[10].wait(HANG_SECONDS)
        with hooks.delivering():
            eventually(lambda: "this one waits" in caplog.text)
            passed[10].set()
            assert reached[20].wait(HANG_SECONDS)
            os.kill(first.pid, signal.SIGKILL)
            hooks.served(hook)
            passed[20].set()
    assert hooks.receiver.sequences("killed") == [*positions[:20], *positions[19:]]


def test_a_pause_between_tries_outlives_the_process(idle_hooks: Hooks) -> None:
    hooks = idle_hooks
    hook = hooks.register("later")
    hooks.receiver.reply = lambda _: Reply(503, {"Retry-After": "60"})
    hooks.project()
    with hooks.delivering():
        eventually(lambda: hooks.place(hook).failures == 1)
    before = hooks.place(hook)
    other = hooks.register("other")
    hooks.receiver.reply = lambda _: OK
    with hooks.delivering():
        hooks.project()
        hooks.served(other)
    assert len(hooks.receiver.at("later")) == 1
    assert hooks.place(hook) == before
