"""What `stemma status` says where something is not as it should be."""

import pytest
from nats.js import JetStreamContext
from nats.js.api import StreamConfig

from adapters.nats.jetstream import EVENTS, ensure_streams
from adapters.subscriptions.relay import Relay
from application.log.store import Store
from cli.operations import status
from cli.operations.status import print_status
from tests.adapters.running import settings_for, with_js
from tests.adapters.subscriptions.test_relay import append
from tests.servers import Database


def rows(printed: str) -> dict[str, list[str]]:
    """The table's lines by their first column."""
    lines = [line.strip("│ ").split("│") for line in printed.splitlines() if "│" in line]
    return {first.strip(): [one.strip() for one in others] for first, *others in lines}


def test_a_relay_whose_messages_have_expired_is_not_behind(
    store: Store, nats_url: str, migrated: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    append(store, 3)

    async def expire(js: JetStreamContext) -> None:
        limited = StreamConfig(
            EVENTS, subjects=["stemma.events.>"], allow_atomic=True, max_age=3600
        )
        await js.add_stream(limited)
        await ensure_streams(js)
        await Relay(store, js).catch_up()
        await js.purge_stream(EVENTS)

    with_js(nats_url, expire)
    print_status(settings_for(migrated, nats_url))
    printed = capsys.readouterr().out
    shown = rows(printed)
    assert shown["relay"] == ["3", "0"]
    assert "No worker is online: start one with `stemma run worker`" in printed
    assert shown["stream EVENTS"] == ["0"]


def test_the_databases_part_is_told_while_nats_is_away(
    store: Store,
    migrated: Database,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(status, "PATIENCE_SECONDS", 0.3)
    append(store, 2)
    print_status(settings_for(migrated, "nats://127.0.0.1:1"))
    printed = capsys.readouterr().out
    assert "up to position 2" in printed
    shown = rows(printed)
    assert shown["NATS"] == ["does not answer"]
    assert shown["eraser"] == ["0", "2"]
    assert "relay" not in shown
