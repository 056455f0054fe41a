"""Routes of accounts and of their roles."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from api.access.guard import demand, demand_everywhere
from api.access.rights import ACCOUNT, needs
from api.backend import Backend
from api.http.commands import CommandResult, Named, carry_out, named
from api.http.parameters import Cursor, HttpRequest, Limit, Served
from api.http.schemas import Strict
from application.access.access import Caller
from application.access.accounts import (
    all_of,
    change_account,
    grant_role,
    open_account,
    withdraw_role,
)
from domain.access.account import (
    PERSON,
    Account,
    CloseAccount,
    EraseAccount,
    GrantRole,
    OpenAccount,
    WithdrawRole,
)
from domain.access.roles import Grants, Right, Role
from domain.aggregates import ACCOUNT as ACCOUNTS
from domain.aggregates import PROJECT


class NewAccount(Strict, frozen=True, kw_only=True):
    """`name` never changes: every action of the account is recorded under it."""

    name: str
    kind: str = PERSON
    email: str | None = None


class NewRole(Strict, frozen=True, kw_only=True):
    """Without `project_id` the role holds in all projects, future ones included."""

    role: Role
    project_id: str | None = None


class NewAccountErasure(Strict, frozen=True, kw_only=True):
    """The reason for an erasure, without personal data."""

    reason: str


class HeldRole(msgspec.Struct, frozen=True):
    """A role and its project; null stands for all projects."""

    role: Role
    project_id: str | None


class AccountView(msgspec.Struct, frozen=True):
    """An account as far as the caller may see it: roles only in projects that the caller
    administers."""

    account_id: str
    name: str
    kind: str
    email: str | None
    closed: bool
    roles: list[HeldRole]


class Accounts(msgspec.Struct, frozen=True):
    """A page of the accounts, ordered by name."""

    items: list[AccountView]
    next: str | None


class WhoAmI(msgspec.Struct, frozen=True):
    """The caller's account and its roles, within the limits of its key."""

    account_id: str
    actor: str
    key_id: str | None
    until: datetime | None
    roles: list[HeldRole]


class AccountController(Controller):
    """Accounts."""

    tags = ("Access",)
    dependencies = named(ACCOUNTS)

    @get("/whoami", summary="Who you are", sync_to_thread=False, opt=ACCOUNT)
    def whoami(self, request: HttpRequest) -> WhoAmI:
        caller: Caller = request.user
        roles = held_roles(caller.grants)
        return WhoAmI(caller.account_id, caller.actor, caller.key_id, caller.until, roles)

    @get(
        "/accounts",
        summary="List accounts",
        sync_to_thread=True,
        opt=needs(Right.ADMINISTER, anywhere=True),
    )
    def list_accounts(
        self, backend: Served, request: HttpRequest, cursor: Cursor = None, limit: Limit = 100
    ) -> Accounts:
        """Ordered by name. An administrator of single projects sees no e-mail addresses, and only
        the roles in those projects."""
        items, following = accounts_after(backend, request.user, cursor or "", limit)
        return Accounts(items, following)

    @post("/accounts", summary="Open an account", sync_to_thread=True, opt=needs(Right.ADMINISTER))
    def open_account(
        self, backend: Served, request: HttpRequest, data: JSONBody[NewAccount]
    ) -> Response[CommandResult]:
        """The account has no rights until it is granted a role."""
        command = OpenAccount(data.name, data.kind, data.email)
        return carry_out(
            backend,
            request,
            data,
            lambda session: open_account(session, command),
            status_code=201,
        )

    @delete(
        "/accounts/{account_id:str}",
        summary="Close an account",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.ADMINISTER),
    )
    def close_account(self, account: Named) -> Response[CommandResult]:
        """Its keys are no longer valid. Its name stays recorded and cannot be used again."""
        return account.carry_out(
            lambda session: change_account(session, account.id, CloseAccount())
        )

    @post(
        "/accounts/{account_id:str}/erase",
        summary="Erase the personal data of an account",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.ADMINISTER),
    )
    def erase_account(
        self, account: Named, data: JSONBody[NewAccountErasure]
    ) -> Response[CommandResult]:
        """Close the account and make its e-mail address and its identity at a provider unreadable.
        This is final. Its name and the reason stay recorded: the reason must not contain personal
        data."""
        command = EraseAccount(data.reason)
        return account.carry_out(lambda session: change_account(session, account.id, command), data)

    @post(
        "/accounts/{account_id:str}/roles",
        summary="Grant a role",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.ADMINISTER, anywhere=True),
    )
    def grant_role(
        self, backend: Served, request: HttpRequest, account: Named, data: JSONBody[NewRole]
    ) -> Response[CommandResult]:
        """viewer, annotator, trainer, auditor or administrator; you can grant only roles that you
        have."""
        _demand_administrator(backend, request.user, data.project_id)
        command = GrantRole(data.role, data.project_id)
        return account.carry_out(
            lambda session: grant_role(session, account.id, command, request.user), data
        )

    @delete(
        "/accounts/{account_id:str}/roles/{role:str}",
        summary="Withdraw a role",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.ADMINISTER, anywhere=True),
    )
    def withdraw_role(
        self,
        backend: Served,
        request: HttpRequest,
        account_id: FromPath[str],
        role: FromPath[Role],
        project_id: Annotated[
            str | None, QueryParameter(description="The project, for a role in one project")
        ] = None,
    ) -> Response[CommandResult]:
        """It takes effect with the next request."""
        _demand_administrator(backend, request.user, project_id)
        command = WithdrawRole(role, project_id)
        return carry_out(
            backend,
            request,
            project_id,
            lambda session: withdraw_role(session, account_id, command, request.user),
        )


def _demand_administrator(backend: Backend, caller: Caller, project_id: str | None) -> None:
    if project_id is None:
        demand_everywhere(caller, Right.ADMINISTER)
    else:
        demand(backend, caller, Right.ADMINISTER, PROJECT.stream(project_id))


def held_roles(grants: Grants) -> list[HeldRole]:
    """Roles in all projects come first."""
    roles = [HeldRole(role, None) for role in sorted(grants.everywhere)]
    for project, held in sorted(grants.by_project.items()):
        roles += [HeldRole(role, project) for role in sorted(held)]
    return roles


def accounts_after(
    backend: Backend, caller: Caller, cursor: str, limit: int, project_id: str = ""
) -> tuple[list[AccountView], str | None]:
    """A page of accounts ordered by name, and the cursor of the next page, if there is one; with a
    project those with a role in it or in all projects."""
    by_name = sorted(
        (account.name.casefold(), account_id, account)
        for account_id, account in all_of(backend.store, ACCOUNTS)
        if account.name.casefold() > cursor
        and (not project_id or {None, project_id} & {held[1] for held in account.held})
    )
    following = by_name[limit - 1][0] if len(by_name) > limit else None
    page = by_name[:limit]
    return [account_view(account_id, account, caller) for _, account_id, account in page], following


def account_view(account_id: str, account: Account, caller: Caller) -> AccountView:
    """The account as far as the caller may see it."""
    everything = caller.grants.may(Right.ADMINISTER)
    roles = [
        HeldRole(role, project)
        for role, project in sorted(account.held, key=lambda held: (held[1] or "", held[0]))
        if everything or (project and caller.grants.may(Right.ADMINISTER, project))
    ]
    email = account.email if everything else None
    return AccountView(account_id, account.name, account.kind, email, account.closed, roles)
