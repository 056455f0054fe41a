"""All records of signed checkpoints are compared: the table, the signer's file, and NATS."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import nats
import psycopg
import pytest

from adapters.audit.announce import announce_once
from adapters.audit.records import Record, file_record, stream_record
from adapters.audit.signing import sign
from adapters.audit.stored import save_checkpoint
from adapters.audit.verify import VerificationReport, verify
from adapters.nats.jetstream import CHECKPOINTS, ensure_streams
from adapters.nats.login import NatsLogin
from adapters.servers.nats import EmbeddedNats
from application.log.store import Store
from domain.audit.transparency import Checkpoint
from tests.adapters.audit.logs import Signed, append, tamper
from tests.adapters.running import with_js
from tests.servers import Database

LAST = "DELETE FROM log.checkpoints WHERE size = 9"


@pytest.fixture
def signed(store: Store, migrated: Database, tmp_path: Path) -> Signed:
    """A log that was signed over 3, 6 and 9 events."""
    made = Signed(migrated, tmp_path / "audit")
    for _ in range(3):
        append(store, 3)
        made.sign()
    return made


def findings(signed: Signed, nats_url: str = "") -> list[str]:
    with ExitStack() as stack:
        records = [file_record(signed.file.path)] if signed.file.path.exists() else []
        if nats_url:
            records.append(stack.enter_context(stream_record(NatsLogin(nats_url))))
        report = verified(signed, records)
    return report.findings


def verified(signed: Signed, records: Sequence[Record]) -> VerificationReport:
    url, keys = signed.database.app_url, signed.keys.verifiers()
    return verify(url, keys, [], records)


def announce(signed: Signed, nats_url: str) -> None:
    async def run() -> None:
        client = await nats.connect(nats_url)
        await ensure_streams(client.jetstream())
        await announce_once(signed.database.app_url, client.jetstream())
        await client.close()

    asyncio.run(run())


def test_records_that_agree_are_no_finding(signed: Signed, nats_url: str) -> None:
    assert findings(signed, nats_url) == [], "no stream is there yet"
    announce(signed, nats_url)
    assert findings(signed, nats_url) == []


def test_a_deleted_stored_checkpoint_is_named(signed: Signed) -> None:
    tamper(signed.database, "DELETE FROM log.checkpoints WHERE size = 6")
    assert findings(signed) == [
        "checkpoint 2 of checkpoints.txt, over 6 events, was signed and is missing from the table"
        " log.checkpoints"
    ]


def test_an_event_is_located_though_all_that_was_stored_was_deleted(signed: Signed) -> None:
    """The hashes are computed anew, as the insider does."""
    tamper(
        signed.database,
        "UPDATE log.stemma_events SET state = state || ' ' WHERE notification_id = 5",
        "DELETE FROM log.checkpoints",
        "DELETE FROM log.tiles",
    )
    contradiction, located, *missing = findings(signed)
    assert contradiction.startswith(
        "checkpoint 2 of checkpoints.txt was signed over 6 other events"
    )
    assert located.startswith("the first one that was changed is among events 4 to 6")
    assert len(missing) == 3


def test_without_the_file_the_stream_still_has_them(signed: Signed, nats_url: str) -> None:
    announce(signed, nats_url)
    tamper(signed.database, "DELETE FROM log.checkpoints")
    signed.file.path.unlink()
    assert [line.split(",")[0] for line in findings(signed, nats_url)] == [
        f"checkpoint {number} of the stream CHECKPOINTS" for number in (1, 2, 3)
    ]


def test_a_note_that_was_taken_out_of_the_file_is_named(signed: Signed) -> None:
    first, _, last = signed.notes()
    signed.file.path.write_text(first + last)
    assert findings(signed) == [
        "stored checkpoint 3, over 6 events, was signed and is missing from checkpoints.txt"
    ]


def test_a_forged_note_of_the_file_is_named(signed: Signed) -> None:
    signed.file.path.write_text(signed.file.path.read_text().replace("\n6\n", "\n5\n"))
    wrong, missing = findings(signed)
    assert wrong.startswith("checkpoint 2 of checkpoints.txt is not signed correctly")
    assert missing.startswith("stored checkpoint 3, over 6 events, was signed and is missing")


def test_a_stream_from_which_one_was_taken_is_a_finding(signed: Signed, nats_url: str) -> None:
    notes = {one.checkpoint_id: one.note for one in signed.stored()}
    tamper(signed.database, "DELETE FROM log.checkpoints WHERE size = 6")
    announce(signed, nats_url)
    with psycopg.connect(signed.database.admin_url) as connection:
        connection.execute(
            "INSERT INTO log.checkpoints (checkpoint_id, origin, size, root, note, note_sha256)"
            " OVERRIDING SYSTEM VALUE VALUES (3, 'stemma.test/log', 6, %s, %s,"
            " sha256(convert_to(%s, 'UTF8')))",
            (signed.roots()[6], notes[3], notes[3]),
        )
    assert findings(signed, nats_url) == [
        "stored checkpoint 3, over 6 events, was signed and is missing from the stream CHECKPOINTS"
    ]


def test_what_is_yet_to_be_published_is_not_missing(
    signed: Signed, store: Store, nats_url: str
) -> None:
    announce(signed, nats_url)
    append(store, 1)
    signed.sign()
    assert findings(signed, nats_url) == []
    with_js(nats_url, lambda js: js.delete_stream(CHECKPOINTS))
    assert findings(signed, nats_url) == []


def test_a_checkpoint_that_is_being_stored_is_awaited(
    signed: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signer writes its file first; here it commits once verify looks for the second time."""
    checkpoint = Checkpoint("stemma.test/log", 9, signed.roots()[9])
    note = signed.notes()[-1]
    tamper(signed.database, LAST)

    def commit(_: float) -> None:
        with psycopg.connect(signed.database.app_url) as connection:
            save_checkpoint(connection, checkpoint, note)

    monkeypatch.setattr("adapters.audit.checked_checkpoints.sleep", commit)
    assert findings(signed) == []


def test_a_back_dated_checkpoint_is_named(signed: Signed) -> None:
    tamper(
        signed.database,
        "UPDATE log.checkpoints SET signed_at = signed_at - interval '1 day' WHERE size = 6",
    )
    [found] = findings(signed)
    assert found.startswith("stored checkpoint 3, over 6 events, is dated ")
    assert "it was back-dated" in found


def test_a_checkpoint_dated_in_the_future_is_named(signed: Signed) -> None:
    tamper(
        signed.database,
        "UPDATE log.checkpoints SET signed_at = signed_at + interval '1 day' WHERE size = 6",
    )
    [found] = findings(signed)
    assert found.endswith("which is in the future")


def test_two_signed_histories_are_called_that(signed: Signed) -> None:
    """Whoever has the key can show one history here and another one there."""
    with signed.keys.locked():
        note = str(sign(Checkpoint("stemma.test/log", 6, bytes(32)).text(), signed.keys.signing()))
    signed.file.append(note)
    contradiction, split, missing = findings(signed)
    assert "checkpoint 4 of checkpoints.txt was signed over 6 other events" in (contradiction)
    assert split.startswith("the log agrees with a checkpoint over 9 events: they belong to")
    assert "over 6 events, was signed and is missing" in missing


def test_a_server_that_does_not_answer_is_told(private_nats: EmbeddedNats) -> None:
    url = private_nats.url
    private_nats.stop()
    with pytest.raises((nats.errors.Error, TimeoutError, OSError)), stream_record(NatsLogin(url)):
        pass
