"""Whom a provider vouches for has one account, which is nobody else's."""

import pytest

from application.accounts import all_of, close_account, open_account
from application.first_key import ACCOUNT_ID, ADMINISTRATOR
from application.handle import ACCOUNT
from application.sign_in import account_of
from application.store import Store
from domain.account import SIGN_IN, Account, OpenAccount
from domain.errors import SignInRefused
from domain.identity import Identity
from domain.roles import Role
from tests.application.scenes import at_once, do

ISSUER = "https://idp.example"
ADA = Identity(ISSUER, "248289761001", "ada@example.com", "ada")


def accounts(store: Store) -> dict[str, Account]:
    return {account.name: account for _, account in all_of(store, ACCOUNT)}


def test_the_first_sign_in_opens_an_account_in_one_commit(store: Store) -> None:
    account_id = account_of(store, ADA, Role.VIEWER)
    events = store.streams([ACCOUNT.stream(account_id)])[ACCOUNT.stream(account_id)]
    assert [one.event.event_name for one in events] == [
        "account.opened",
        "account.identity_linked",
        "account.role_granted",
    ]
    assert {(one.metadata.actor, one.metadata.command_id) for one in events} == {
        (SIGN_IN, events[0].metadata.command_id)
    }
    account = accounts(store)["ada@example.com"]
    assert account.roles == {(Role.VIEWER, None)}
    assert account.email == "ada@example.com"


def test_without_a_default_there_is_no_role(store: Store) -> None:
    account_of(store, ADA, None)
    assert accounts(store)["ada@example.com"].roles == frozenset()


def test_later_sign_ins_find_it_whatever_it_is_called_by_then(store: Store) -> None:
    first, head = account_of(store, ADA, None), store.head()
    assert account_of(store, Identity(ISSUER, ADA.subject, "new@example.com"), Role.VIEWER) == first
    assert store.head() == head


def test_many_first_sign_ins_at_once_open_one_account(store: Store) -> None:
    found = at_once([lambda: account_of(store, ADA, Role.VIEWER)] * 6)
    assert len(set(found)) == 1
    assert list(accounts(store)) == ["ada@example.com"]
    assert store.head() == 3


def test_no_account_is_taken_over_by_a_name_or_an_address(store: Store) -> None:
    local = do(store, lambda s: open_account(s, OpenAccount("Ada@Example.com"))).id
    others = [
        account_of(store, ADA, None),
        account_of(store, Identity(ISSUER, "2", "ada@example.com"), None),
        account_of(store, Identity("https://another.example", ADA.subject, ADA.email), None),
    ]
    assert len({local, *others}) == 4
    assert list(accounts(store)["Ada@Example.com"].identities) == []
    assert {"ada@example.com-2", "ada@example.com-3", "ada@example.com-4"} < set(accounts(store))


@pytest.mark.parametrize("name", [ADMINISTRATOR, "Administrator", "eraser", "Operator", SIGN_IN])
def test_no_name_of_anothers_power_is_given(store: Store, name: str) -> None:
    """Above all not that of the administrator whose first key is still to be issued."""
    account_id = account_of(store, Identity(ISSUER, "1", None, name), None)
    assert account_id != ACCOUNT_ID
    assert list(accounts(store)) == [f"{name}-2"]


def test_a_closed_account_stays_closed(store: Store) -> None:
    account_id = account_of(store, ADA, None)
    do(store, lambda s: close_account(s, account_id))
    with pytest.raises(SignInRefused, match="closed"):
        account_of(store, ADA, None)
    assert len(accounts(store)) == 1
