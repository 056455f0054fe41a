"""Fixtures of the parts' tests."""

import pytest

import adapters.nats.jetstream


@pytest.fixture
def soon_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that waits for a NATS that is gone is cancelled half a second after it is to stop."""
    monkeypatch.setattr(adapters.nats.jetstream, "STOP_GRACE_SECONDS", 0.5)
