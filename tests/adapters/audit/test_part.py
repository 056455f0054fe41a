"""The part `checkpoints` as `stemma up` runs it, while servers come and go."""

from functools import partial
from pathlib import Path

import msgspec
import pytest
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from adapters.audit.signing import open_checkpoint
from adapters.nats.jetstream import CHECKPOINT_SUBJECT, CHECKPOINTS, ensure_streams
from adapters.servers.nats import EmbeddedNats
from adapters.servers.postgres import EmbeddedPostgres
from adapters.settings import Settings
from application.log.store import Store
from tests.adapters.audit.logs import Signed, append, tamper
from tests.adapters.running import eventually, kill, messages, running, with_js
from tests.servers import Database

PART = "checkpoints"


def settings_for(database: Database, nats_url: str, folder: Path) -> Settings:
    return Settings(
        data=folder,
        database_url=database.app_url,
        nats_url=nats_url,
        log_origin="stemma.test/log",
        log_checkpoint_events=1,
        log_checkpoint_seconds=0.0,
    )


def signed_by(settings: Settings, database: Database) -> Signed:
    made = Signed(database, settings.data / "audit")
    assert (made.keys.path, made.file.path) == (
        settings.signing_key_file,
        settings.checkpoint_file,
    )
    return made


def told(url: str) -> list[Msg]:
    async def read(js: JetStreamContext) -> list[Msg]:
        await ensure_streams(js)
        return await messages(js, CHECKPOINTS)

    return with_js(url, read)


def published(url: str) -> list[str]:
    return [message.data.decode() for message in told(url)]


def all_told(signed: Signed, url: str, head: int) -> bool:
    """Whether file, database and stream hold the same checkpoints, up to the log's head."""
    notes = signed.notes()
    same = [one.note for one in signed.stored()] == notes == published(url)
    return same and bool(notes) and signed.checkpoints()[-1].size == head


def test_each_checkpoint_is_filed_stored_and_published(
    store: Store, migrated: Database, nats_url: str, tmp_path: Path
) -> None:
    settings = settings_for(migrated, nats_url, tmp_path)
    signed = signed_by(settings, migrated)
    with running(settings, PART):
        for _ in range(3):
            head = append(store, 40)
            eventually(partial(all_told, signed, nats_url, head))
    roots = signed.roots()
    assert all(one.root == roots[one.size] for one in signed.checkpoints())
    assert {message.subject for message in told(nats_url)} == {CHECKPOINT_SUBJECT}


def test_a_stream_that_was_lost_is_filled_again(
    store: Store, migrated: Database, nats_url: str, tmp_path: Path
) -> None:
    settings = settings_for(migrated, nats_url, tmp_path)
    signed = signed_by(settings, migrated)
    for _ in range(2):
        with running(settings, PART):
            head = append(store, 5)
            eventually(partial(all_told, signed, nats_url, head))
        with_js(nats_url, lambda js: js.delete_stream(CHECKPOINTS))


def test_it_signs_while_nats_is_away_and_tells_later(
    store: Store, migrated: Database, private_nats: EmbeddedNats, tmp_path: Path
) -> None:
    settings = settings_for(migrated, private_nats.url, tmp_path)
    signed = signed_by(settings, migrated)
    with running(settings, PART):
        head = append(store, 5)
        eventually(lambda: all_told(signed, private_nats.url, head))
        kill(private_nats)
        later = append(store, 5)
        eventually(lambda: signed.checkpoints()[-1].size == later)
        private_nats.start()
        eventually(lambda: all_told(signed, private_nats.url, later))


def test_it_survives_a_restart_of_postgresql(
    private_postgres: EmbeddedPostgres, nats_url: str, tmp_path: Path
) -> None:
    server = private_postgres
    database = Database("stemma", server.admin_url, server.app_url)
    settings = settings_for(database, nats_url, tmp_path)
    signed = signed_by(settings, database)
    with running(settings, PART):
        for take_down in (server.stop, lambda: kill(server)):
            store = Store(database.app_url)
            head = append(store, 20)
            store.close()
            eventually(partial(all_told, signed, nats_url, head))
            take_down()
            server.start()
            store = Store(database.app_url)
            head = append(store, 20)
            store.close()
            eventually(partial(all_told, signed, nats_url, head))
    assert all(one.root == signed.roots()[one.size] for one in signed.checkpoints())


def test_a_log_that_contradicts_what_was_signed_is_said_and_signed_no_more(
    store: Store,
    migrated: Database,
    nats_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = settings_for(migrated, nats_url, tmp_path)
    signed = signed_by(settings, migrated)
    with running(settings, PART):
        head = append(store, 20)
        eventually(lambda: all_told(signed, nats_url, head))
    tamper(migrated, "DELETE FROM log.stemma_events WHERE notification_id > 15")
    append(store, 30)
    notes = signed.notes()
    with running(settings, PART):
        eventually(lambda: "NO CHECKPOINT IS SIGNED: the log's first 20 events" in caplog.text)
    assert signed.notes() == notes


def test_a_rotated_key_signs_at_once(
    store: Store, migrated: Database, nats_url: str, tmp_path: Path
) -> None:
    settings = settings_for(migrated, nats_url, tmp_path)
    settings = msgspec.structs.replace(settings, log_checkpoint_seconds=3600.0)
    signed = signed_by(settings, migrated)
    with running(settings, PART):
        head = append(store, 5)
        eventually(lambda: all_told(signed, nats_url, head))
        new = signed.keys.rotate()
        eventually(lambda: new in open_checkpoint(signed.notes()[-1], signed.keys.verifiers())[1])
    assert signed.checkpoints()[-1].size == head
