"""Rights follow from the log as it stands, also where it was altered below its triggers."""

import logging

import psycopg
import pytest

from application.access.access import Access
from application.access.accounts import change_account
from application.access.first_key import ACCOUNT_ID, give_key
from application.log.store import Store
from cli.operations.first_key import new_key
from domain.access.account import GrantRole, WithdrawRole
from domain.access.roles import Right, Role
from domain.aggregates import ACCOUNT
from tests.adapters.audit.logs import tamper
from tests.application.scenes import do
from tests.servers import Database

PROJECT = "project-1"


@pytest.fixture
def key(store: Store) -> str:
    made = new_key()
    give_key(store, made, "first")
    return made


@pytest.mark.usefixtures("key")
def test_no_event_can_be_stored_before_the_first_position(migrated: Database) -> None:
    insert = (
        "INSERT INTO log.stemma_events (originator_id, originator_version, topic, state,"
        " notification_id) SELECT 'account-x', 1, topic, state, %s FROM log.stemma_events LIMIT 1"
    )
    with psycopg.connect(migrated.admin_url) as connection:
        for position in (0, -5):
            with pytest.raises(psycopg.errors.CheckViolation), connection.transaction():
                connection.execute(insert, (position,))


def test_an_event_before_the_first_position_grants_nothing(
    store: Store, migrated: Database, key: str
) -> None:
    """As a superuser can store one: a role that was withdrawn stands there again."""
    stream = ACCOUNT.stream(ACCOUNT_ID)
    do(store, lambda s: change_account(s, ACCOUNT_ID, GrantRole(Role.VIEWER, PROJECT)))
    granted = len(store.streams([stream])[stream])
    do(store, lambda s: change_account(s, ACCOUNT_ID, WithdrawRole(Role.VIEWER, PROJECT)))
    access = Access(store)
    before = access.by_key(key).grants
    tamper(
        migrated,
        "INSERT INTO log.stemma_events (originator_id, originator_version, topic, state,"
        f" notification_id) SELECT originator_id, {granted + 2}, topic, state, 0"
        f" FROM log.stemma_events WHERE originator_id = '{stream}'"
        f" AND originator_version = {granted}",
    )
    assert access.by_key(key).grants == before
    assert Access(store).by_key(key).grants == before
    assert store.revisions([stream]) == {stream: granted + 1}


def test_a_stream_that_went_back_is_read_again_and_reported(
    store: Store, migrated: Database, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    stream = ACCOUNT.stream(ACCOUNT_ID)
    do(store, lambda s: change_account(s, ACCOUNT_ID, GrantRole(Role.VIEWER, PROJECT)))
    access = Access(store)
    assert Role.VIEWER in access.by_key(key).grants.by_project.get(PROJECT, ())
    last = len(store.streams([stream])[stream])
    tamper(
        migrated,
        f"DELETE FROM log.stemma_events WHERE originator_id = '{stream}'"
        f" AND originator_version = {last}",
    )
    with caplog.at_level(logging.ERROR):
        assert Role.VIEWER not in access.by_key(key).grants.by_project.get(PROJECT, ())
    assert f"went back from revision {last} to {last - 1}" in caplog.text
    assert access.by_key(key).grants.may(Right.ADMINISTER)
