"""Stories of accounts: opened, granted roles, linked, closed."""

import pytest

from domain.access.account import (
    Account,
    AccountClosed,
    AccountErased,
    AccountOpened,
    CloseAccount,
    EraseAccount,
    GrantRole,
    GroupRoleGranted,
    GroupRoleWithdrawn,
    IdentityLinked,
    LinkIdentity,
    OpenAccount,
    RoleGranted,
    RoleWithdrawn,
    SetGroupRoles,
    WithdrawRole,
    account_id,
    decide,
    evolve,
    refuse_beyond,
    refuse_without_administrator,
)
from domain.access.roles import Grants, GroupRole, Right, Role
from domain.errors import Conflict, Forbidden, Invalid, NotFound
from tests.domain.story import Story

given = Story(evolve, decide).given

OPENED = AccountOpened("ada", "person")
TRAINER = RoleGranted(Role.TRAINER, "zoo")
EVERYTHING = RoleGranted(Role.ADMINISTRATOR, None)


def state(*events: object) -> Account:
    found = given(*events).state  # type: ignore[arg-type]
    assert found is not None
    return found


def test_an_account_is_opened_under_its_trimmed_name() -> None:
    command = OpenAccount(" ada ", "service", "ada@example.com")
    given().when(command).then(AccountOpened("ada", "service", "ada@example.com"))


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (OpenAccount(""), "name"),
        (OpenAccount("-ada"), "name"),
        (OpenAccount("a" * 101), "name"),
        (OpenAccount("worker:gpu-1"), "name"),
        (OpenAccount("POLICY"), "name"),
        (OpenAccount("ada", "robot"), "kind"),
        (OpenAccount("ada", email="at home"), "email"),
    ],
)
def test_what_cannot_be_an_account_is_refused(command: OpenAccount, field: str) -> None:
    given().when(command).then(Invalid, field=field)


def test_a_name_is_taken_for_ever() -> None:
    given(OPENED).when(OpenAccount("ada")).then(Conflict, field="name")
    given(OPENED, AccountClosed()).when(OpenAccount("ada")).then(
        Conflict, field="name", says="closed"
    )
    assert account_id("Ada") == account_id("ada") != account_id("adah")


def test_roles_come_and_go() -> None:
    given(OPENED).when(GrantRole(Role.TRAINER, "zoo")).then(TRAINER)
    given(OPENED, TRAINER).when(GrantRole(Role.TRAINER, "zoo")).then()
    given(OPENED, TRAINER).when(GrantRole(Role.TRAINER)).then(RoleGranted(Role.TRAINER, None))
    given(OPENED, TRAINER).when(WithdrawRole(Role.TRAINER)).then()
    withdrawn = RoleWithdrawn(Role.TRAINER, "zoo")
    given(OPENED, TRAINER).when(WithdrawRole(Role.TRAINER, "zoo")).then(withdrawn)
    assert state(OPENED, TRAINER, withdrawn).roles == frozenset()


def test_grants_are_those_of_all_roles() -> None:
    grants = state(OPENED, TRAINER, RoleGranted(Role.VIEWER, None)).grants
    assert grants.may(Right.TRAIN, "zoo")
    assert not grants.may(Right.TRAIN, "farm")
    assert grants.may(Right.READ, "farm")


def test_what_groups_give_is_held_beside_what_is_granted() -> None:
    vision = GroupRole("vision", Role.TRAINER, "zoo")
    given_by = GroupRoleGranted(Role.TRAINER, "zoo", "vision")
    taken = GroupRoleWithdrawn(Role.TRAINER, "zoo", "vision")
    given(OPENED).when(SetGroupRoles(frozenset({vision}))).then(given_by)
    given(OPENED, given_by).when(SetGroupRoles(frozenset({vision}))).then()
    given(OPENED, given_by).when(SetGroupRoles(frozenset())).then(taken)
    given(OPENED, given_by).when(GrantRole(Role.TRAINER, "zoo")).then(TRAINER)
    assert state(OPENED, TRAINER, given_by, taken).held == {(Role.TRAINER, "zoo")}
    assert state(OPENED, given_by).grants.may(Right.TRAIN, "zoo")
    withdrawing = WithdrawRole(Role.TRAINER, "zoo")
    given(OPENED, TRAINER, given_by).when(withdrawing).then(RoleWithdrawn(Role.TRAINER, "zoo"))
    given(OPENED, given_by).when(withdrawing).then(Conflict, field="role", says="group vision")


def test_an_administrator_by_a_group_is_not_the_one_who_is_always_left() -> None:
    by_group = state(OPENED, GroupRoleGranted(Role.ADMINISTRATOR, None, "it"))
    assert by_group.grants.may(Right.ADMINISTER)
    with pytest.raises(Conflict, match="last administrator"):
        refuse_without_administrator([by_group])


def test_a_closed_account_may_nothing_and_is_granted_nothing() -> None:
    closed = (OPENED, EVERYTHING, AccountClosed())
    assert state(*closed).grants == Grants()
    assert not state(*closed).administers
    given(*closed).when(GrantRole(Role.VIEWER)).then(Conflict, says="closed")
    given(*closed).when(CloseAccount()).then()
    given(OPENED).when(CloseAccount()).then(AccountClosed())


def test_an_identity_is_linked_once() -> None:
    linked = IdentityLinked("https://id.example.com", "7")
    given(OPENED).when(LinkIdentity("https://id.example.com", "7")).then(linked)
    given(OPENED, linked).when(LinkIdentity("https://id.example.com", "7")).then()
    assert state(OPENED, linked).identities == {("https://id.example.com", "7")}


def test_erasing_closes_too_and_is_final() -> None:
    erased = AccountErased("asked for")
    given(OPENED).when(EraseAccount(" asked for ")).then(AccountClosed(), erased)
    given(OPENED, AccountClosed()).when(EraseAccount("asked for")).then(erased)
    given(OPENED, AccountClosed(), erased).when(EraseAccount("again")).then()
    given(OPENED).when(EraseAccount(" ")).then(Invalid, field="reason")


def test_no_account_is_no_account() -> None:
    given().when(GrantRole(Role.VIEWER)).then(NotFound)


@pytest.mark.parametrize("role", Role)
def test_who_administers_a_project_gives_any_role_in_it_and_none_beyond(role: Role) -> None:
    held = Grants(by_project={"zoo": frozenset({Role.ADMINISTRATOR})})
    refuse_beyond(held, role, "zoo")
    for beyond in ("farm", None):
        with pytest.raises(Forbidden, match="you lack the right"):
            refuse_beyond(held, role, beyond)


def test_a_trainer_gives_no_more_than_it_has() -> None:
    held = Grants(everywhere=frozenset({Role.TRAINER}))
    refuse_beyond(held, Role.ANNOTATOR, None)
    with pytest.raises(Forbidden, match="audit"):
        refuse_beyond(held, Role.AUDITOR, None)


def test_an_administrator_of_everything_is_always_left() -> None:
    some = [state(OPENED, RoleGranted(Role.ADMINISTRATOR, "zoo")), state(OPENED)]
    with pytest.raises(Conflict, match="last administrator"):
        refuse_without_administrator([*some, state(OPENED, EVERYTHING, AccountClosed())])
    refuse_without_administrator([*some, state(OPENED, EVERYTHING)])
