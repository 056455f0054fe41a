"""The end of the log that no checkpoint covers yet: how long it is, and who says so."""

from functools import partial
from pathlib import Path

import msgspec
import psycopg
from sqlalchemy import Engine

from adapters.audit.part import LOOK_SECONDS
from adapters.health.consumer_lag import DatabaseStatus, read_database_status
from adapters.settings import Settings
from application.log.store import Store
from tests.adapters.audit.logs import Signed, append
from tests.adapters.audit.test_part import PART, settings_for
from tests.adapters.running import eventually, running
from tests.servers import Database


def status(engine: Engine) -> DatabaseStatus:
    with engine.connect() as connection:
        return read_database_status(connection)


def test_it_is_known_and_ends_with_the_next_checkpoint(
    store: Store, engine: Engine, migrated: Database, tmp_path: Path
) -> None:
    signed = Signed(migrated, tmp_path)
    assert (status(engine).signed, status(engine).unsigned_seconds) == (0, 0.0)
    append(store, 3)
    signed.sign()
    assert (status(engine).signed, status(engine).unsigned_seconds) == (3, 0.0)
    append(store, 2)
    with psycopg.connect(migrated.admin_url) as connection:
        # Event 4 occurred a day earlier, as a signer that was away for a day finds it.
        connection.execute("ALTER TABLE log.stemma_events DISABLE TRIGGER ALL")
        connection.execute(
            "UPDATE log.stemma_events SET state = convert_to(regexp_replace(convert_from(state,"
            ' \'UTF8\'), \'"occurred_at":"[^"]*"\', format(\'"occurred_at":"%s"\','
            " to_char(now() - interval '1 day', 'YYYY-MM-DD\"T\"HH24:MI:SSOF:00'))), 'UTF8')"
            " WHERE notification_id = 4"
        )
    late = status(engine)
    assert (late.head, late.signed) == (5, 3)
    assert late.unsigned_seconds is not None
    assert late.unsigned_seconds >= 86_400


def test_the_default_pace_signs_within_a_second(
    store: Store, migrated: Database, nats_url: str, tmp_path: Path
) -> None:
    default = Settings(data=tmp_path).log_checkpoint_seconds
    assert default + LOOK_SECONDS < 1.0
    settings = msgspec.structs.replace(
        settings_for(migrated, nats_url, tmp_path),
        log_checkpoint_seconds=default,
        log_checkpoint_events=10_000,
    )
    signed = Signed(migrated, tmp_path / "audit")
    with running(settings, PART):
        for _ in range(3):
            head = append(store, 1)
            eventually(partial(is_signed_up_to, signed, head))


def is_signed_up_to(signed: Signed, head: int) -> bool:
    return [one.size for one in signed.checkpoints()][-1:] == [head]
