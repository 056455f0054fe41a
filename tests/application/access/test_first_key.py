"""The first administrator of a log, its key, and what becomes of both when something breaks."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from application.access.access import Access
from application.access.accounts import change_account
from application.access.first_key import ACCOUNT_ID, give_key, has_key, opens
from application.log.store import Store
from cli.main import main
from cli.operations.first_key import KEY_FILE, local_key, new_key
from domain.access.account import (
    CloseAccount,
    GrantRole,
    OpenAccount,
    account_id,
    decide,
)
from domain.access.roles import Right, Role
from domain.aggregates import ACCOUNT
from domain.errors import Conflict, Unauthenticated
from tests.application.scenes import do, recorded
from tests.servers import Database


def test_the_first_key_administers_everything(store: Store) -> None:
    assert not has_key(store)
    key = new_key()
    give_key(store, key, "first")
    caller = Access(store).by_key(key)
    assert caller.actor == "administrator"
    assert caller.grants.may(Right.ADMINISTER)
    assert has_key(store)
    head = store.head()
    give_key(store, key, "first")
    assert store.head() == head


def test_a_second_process_sees_a_revocation_at_once(store: Store, migrated: Database) -> None:
    key = new_key()
    give_key(store, key, "first")
    there = Store(migrated.app_url)
    doors = Access(there)
    doors.by_key(key)
    _another_administrator(store)
    do(store, lambda s: change_account(s, ACCOUNT_ID, CloseAccount()))
    with pytest.raises(Unauthenticated, match="closed"):
        doors.by_key(key)
    there.close()


def test_a_lost_key_of_the_data_folder_gets_a_successor(
    store: Store, migrated: Database, tmp_path: Path
) -> None:
    first, is_new = local_key(tmp_path, migrated.app_url)
    assert is_new
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert local_key(tmp_path, migrated.app_url) == (first, False)
    (tmp_path / KEY_FILE).unlink()
    second, is_new = local_key(tmp_path, migrated.app_url)
    assert is_new
    assert second != first
    assert opens(store, second)


def test_a_kill_between_writing_and_issuing_loses_nothing(
    migrated: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("cli.operations.first_key.give_key", killed)
        with pytest.raises(SystemExit):
            local_key(tmp_path, migrated.app_url)
    key, is_new = local_key(tmp_path, migrated.app_url)
    assert is_new
    assert local_key(tmp_path, migrated.app_url) == (key, False)


def test_a_closed_administrator_gets_no_key(
    store: Store, migrated: Database, tmp_path: Path
) -> None:
    give_key(store, new_key(), "first")
    _another_administrator(store)
    do(store, lambda s: change_account(s, ACCOUNT_ID, CloseAccount()))
    with pytest.raises(Conflict, match="closed"):
        local_key(tmp_path, migrated.app_url)


def test_the_command_tells_the_first_key_once(
    store: Store, migrated: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMMA_DATABASE_URL", migrated.app_url)
    told = CliRunner().invoke(main, ["keys", "first"])
    assert opens(store, told.output.strip()), told.output
    refused = CliRunner().invoke(main, ["keys", "first"])
    assert refused.exit_code == 1
    assert refused.output.startswith("Error: `stemma keys first --again` issues another key")
    again = CliRunner().invoke(main, ["keys", "first", "--again"])
    assert opens(store, again.output.strip())


def _another_administrator(store: Store) -> None:
    opened = decide(OpenAccount("grace"), None)
    stream = ACCOUNT.stream(account_id("grace"))
    state = ACCOUNT.evolve(None, opened[0])
    events = [*opened, *decide(GrantRole(Role.ADMINISTRATOR), state)]
    store.append([recorded(stream, n, event) for n, event in enumerate(events, 1)])
