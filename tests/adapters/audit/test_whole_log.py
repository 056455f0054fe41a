"""A signer begins with the log's end, and compares all before it while it signs."""

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from adapters.audit import signer as signers
from adapters.audit.checkpoint_file import SigningRefused
from adapters.audit.signer import Signer
from application.log.store import Store
from tests.adapters.audit.logs import AT_ONCE, Signed, append, tamper
from tests.servers import Database

ALTERED = "UPDATE log.stemma_events SET state = set_byte(state, 20, 65) WHERE notification_id = {}"


@pytest.fixture
def signed(
    migrated: Database, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Signed:
    """A log of 900 events that is signed, of which a signer's start compares the last 100."""
    monkeypatch.setattr(signers, "TAIL", 100)
    made = Signed(migrated, tmp_path)
    append(store, 900)
    made.sign()
    append(store, 1)
    return made


@pytest.fixture
def connection(signed: Signed) -> Iterator[psycopg.Connection]:
    with psycopg.connect(signed.database.app_url, autocommit=True) as made:
        yield made


def begun(signed: Signed, connection: psycopg.Connection, *, whole: bool = False) -> Signer:
    made = Signer(signed.keys, signed.file, AT_ONCE)
    made.begin(connection, whole=whole)
    return made


def compare(signer: Signer, connection: psycopg.Connection) -> None:
    signer.compare(connection, threading.Event())


def test_an_event_altered_before_the_end_stops_the_signing_once_it_is_compared(
    signed: Signed, connection: psycopg.Connection
) -> None:
    tamper(signed.database, ALTERED.format(300))
    signer = begun(signed, connection)
    before = signer.sign_if_due(connection)
    assert before is not None
    compare(signer, connection)
    with pytest.raises(SigningRefused, match="from event 300 on"):
        signer.sign_if_due(connection)
    with pytest.raises(SigningRefused, match="from event 300 on"):
        begun(signed, connection, whole=True)


def test_an_altered_event_whose_hash_was_altered_too_stops_the_signing(
    signed: Signed, connection: psycopg.Connection
) -> None:
    tamper(signed.database, ALTERED.format(300))
    tamper(
        signed.database,
        "UPDATE log.tiles SET hashes = set_byte(hashes, 1500, 7) WHERE level = 0 AND number = 1",
    )
    signer = begun(signed, connection)
    compare(signer, connection)
    with pytest.raises(SigningRefused, match="are not those of a signed checkpoint"):
        signer.sign_if_due(connection)


def test_an_event_altered_at_the_end_is_noticed_at_the_start(
    signed: Signed, connection: psycopg.Connection
) -> None:
    tamper(signed.database, ALTERED.format(899))
    with pytest.raises(SigningRefused, match="from event 899 on"):
        begun(signed, connection)


def test_a_start_reads_the_logs_end_only(signed: Signed, connection: psycopg.Connection) -> None:
    """Event 300 cannot have a leaf: whoever reads it finds that it differs."""
    tamper(signed.database, "DELETE FROM log.stemma_events WHERE notification_id = 300")
    signer = begun(signed, connection)
    assert signer.sign_if_due(connection) is not None


def test_hashes_that_do_not_fit_unaltered_events_are_computed_again(
    signed: Signed, connection: psycopg.Connection, store: Store
) -> None:
    tamper(
        signed.database,
        "UPDATE log.tiles SET hashes = set_byte(hashes, 1500, 7) WHERE level = 0 AND number = 1",
    )
    signer = begun(signed, connection)
    compare(signer, connection)
    append(store, 1)
    checkpoint = signer.sign_if_due(connection)
    assert checkpoint is not None
    assert checkpoint.root == signed.roots()[-1]
    again = begun(signed, connection)
    compare(again, connection)
    append(store, 1)
    assert again.sign_if_due(connection) is not None


def test_the_comparison_ends_when_it_is_told_to(
    signed: Signed, connection: psycopg.Connection
) -> None:
    tamper(signed.database, ALTERED.format(300))
    signer = begun(signed, connection)
    stop = threading.Event()
    stop.set()
    signer.compare(connection, stop)
    assert signer.sign_if_due(connection) is not None
