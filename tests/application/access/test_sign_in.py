"""Whom a provider vouches for has one account, which is nobody else's."""

import msgspec
import pytest

from application.access.access import Caller
from application.access.accounts import all_of, change_account, grant_role, open_account
from application.access.first_key import ACCOUNT_ID, ADMINISTRATOR
from application.access.sign_in import SignInPolicy, account_of, sign_in
from application.dataset.projects import create_project
from application.handle import Decided, Request, Session, handle
from application.log.store import Store
from domain.access.account import SIGN_IN, Account, CloseAccount, GrantRole, OpenAccount
from domain.access.identity import Identity
from domain.access.roles import Grants, GroupRole, Role
from domain.aggregates import ACCOUNT
from domain.errors import SignInRefused
from tests.application.scenes import at_once, do

ISSUER = "https://idp.example"
ALL = Caller(actor="root", account_id="root", grants=Grants(frozenset({Role.ADMINISTRATOR})))
NOTHING, VIEWER = SignInPolicy(), SignInPolicy(Role.VIEWER)
ADA = Identity(ISSUER, "248289761001", "ada@example.com", "ada")


def accounts(store: Store) -> dict[str, Account]:
    return {account.name: account for _, account in all_of(store, ACCOUNT)}


def test_the_first_sign_in_opens_an_account_in_one_commit(store: Store) -> None:
    account_id = account_of(store, ADA, VIEWER)
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
    account_of(store, ADA, NOTHING)
    assert accounts(store)["ada@example.com"].roles == frozenset()


def test_later_sign_ins_find_it_whatever_it_is_called_by_then(store: Store) -> None:
    first, head = account_of(store, ADA, NOTHING), store.head()
    assert account_of(store, Identity(ISSUER, ADA.subject, "new@example.com"), VIEWER) == first
    assert store.head() == head


def test_many_first_sign_ins_at_once_open_one_account(store: Store) -> None:
    found = at_once([lambda: account_of(store, ADA, VIEWER)] * 6)
    assert len(set(found)) == 1
    assert list(accounts(store)) == ["ada@example.com"]
    assert store.head() == 3


def test_who_signs_in_elsewhere_meanwhile_is_found(store: Store) -> None:
    elsewhere: list[str] = []

    def late(session: Session) -> Decided[Account]:
        if not elsewhere:
            elsewhere.append(account_of(store, ADA, VIEWER))
        return sign_in(session, ADA, VIEWER)

    request = Request(actor=SIGN_IN, command_id="late", correlation_id="late")
    assert handle(store, request, late).id == elsewhere[0]
    assert store.head() == 3


def test_no_account_is_taken_over_by_a_name_or_an_address(store: Store) -> None:
    local = do(store, lambda s: open_account(s, OpenAccount("Ada@Example.com"))).id
    others = [
        account_of(store, ADA, NOTHING),
        account_of(store, Identity(ISSUER, "2", "ada@example.com"), NOTHING),
        account_of(store, Identity("https://another.example", ADA.subject, ADA.email), NOTHING),
    ]
    assert len({local, *others}) == 4
    assert list(accounts(store)["Ada@Example.com"].identities) == []
    assert {"ada@example.com-2", "ada@example.com-3", "ada@example.com-4"} < set(accounts(store))


@pytest.mark.parametrize("name", [ADMINISTRATOR, "Administrator", "eraser", "Operator", SIGN_IN])
def test_no_name_of_anothers_power_is_given(store: Store, name: str) -> None:
    """Above all not that of the administrator whose first key is still to be issued."""
    account_id = account_of(store, Identity(ISSUER, "1", None, name), NOTHING)
    assert account_id != ACCOUNT_ID
    assert list(accounts(store)) == [f"{name}-2"]


def test_a_closed_account_stays_closed(store: Store) -> None:
    account_id = account_of(store, ADA, NOTHING)
    do(store, lambda s: change_account(s, account_id, CloseAccount()))
    with pytest.raises(SignInRefused, match="closed"):
        account_of(store, ADA, NOTHING)
    assert len(accounts(store)) == 1


def test_groups_give_roles_for_as_long_as_one_is_in_them(store: Store) -> None:
    zoo = do(store, lambda s: create_project(s, "Zoo")).id
    trains = GroupRole("vision", Role.TRAINER, zoo)
    audits = GroupRole("audit", Role.AUDITOR)
    terms = SignInPolicy(
        None, frozenset({trains, audits, GroupRole("vision", Role.VIEWER, "gone")})
    )

    def signed_in(*groups: str) -> Account:
        ada = msgspec.structs.replace(ADA, groups=frozenset(groups))
        account_of(store, ada, terms)
        return accounts(store)["ada@example.com"]

    assert signed_in("vision", "others").by_group == {trains}
    assert signed_in("vision", "audit").held == {(Role.TRAINER, zoo), (Role.AUDITOR, None)}
    head = store.head()
    signed_in("audit", "vision")
    assert store.head() == head, "what is so already is no event"
    account_id = account_of(store, ADA, NOTHING)
    assert accounts(store)["ada@example.com"].held == frozenset(), "nor by settings any more"
    signed_in("audit")
    do(store, lambda s: grant_role(s, account_id, GrantRole(Role.AUDITOR), ALL))
    assert signed_in().held == {(Role.AUDITOR, None)}, "what was granted here stays"
    last = store.streams([ACCOUNT.stream(account_id)])[ACCOUNT.stream(account_id)][-1]
    assert (last.event.event_name, last.metadata.actor) == ("account.group_role_withdrawn", SIGN_IN)


def test_the_groups_of_the_first_sign_in_count(store: Store) -> None:
    audits = GroupRole("audit", Role.AUDITOR)
    ada = msgspec.structs.replace(ADA, groups=frozenset({"audit"}))
    account_of(store, ada, SignInPolicy(Role.VIEWER, frozenset({audits})))
    held = accounts(store)["ada@example.com"].held
    assert held == {(Role.VIEWER, None), (Role.AUDITOR, None)}


def test_the_groups_of_who_is_shut_out_give_nothing(store: Store) -> None:
    account_id = account_of(store, ADA, NOTHING)
    do(store, lambda s: change_account(s, account_id, CloseAccount()))
    ada = msgspec.structs.replace(ADA, groups=frozenset({"audit"}))
    with pytest.raises(SignInRefused, match="closed"):
        account_of(store, ada, SignInPolicy(None, frozenset({GroupRole("audit", Role.AUDITOR)})))
