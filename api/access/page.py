"""The access page: the caller, its keys, and the permissions of all accounts."""

from collections.abc import Iterable

from litestar import Controller, get
from litestar.params import FromQuery
from litestar.response import Template

from api.access.accounts import AccountView, HeldRole, accounts_after, held_roles
from api.access.keys import KeyView, key_view
from api.access.messages import ALL_PROJECTS, ROLES
from api.access.rights import ACCOUNT
from api.backend import Backend
from api.http.parameters import HttpRequest, Served
from api.pages.html import Page, render
from application.access.access import Caller
from application.access.accounts import all_of
from domain.access.roles import Right, Role
from domain.aggregates import KEY
from projections.dataset.catalog import CATALOG, find_project, list_projects

ACCOUNTS_A_PAGE = 100
PROJECTS_OFFERED = 200


class AccessPage(Page, frozen=True, kw_only=True):
    """The access page. `accounts` is None for a caller that administers nothing; `projects` are
    those in which roles may be granted, as values and labels of a form; `names` are names of
    projects by id; `project` is the one whose members alone are listed, if any."""

    caller: Caller
    held: list[HeldRole]
    keys: list[KeyView]
    accounts: list[AccountView] | None
    everything: bool
    projects: list[tuple[str, str]]
    names: dict[str, str]
    project: str
    first: bool
    following: str | None

    @property
    def roles_explained(self) -> list[tuple[str, str]]:
        """The roles as choices of a form, each with what it may."""
        return [(role, f"{role}: {ROLES[role]}") for role in Role]

    def where(self, project_id: str | None) -> str:
        """The text for a project; None stands for all projects."""
        return ALL_PROJECTS if project_id is None else self.names.get(project_id, project_id)


class AccessPages(Controller):
    """Access."""

    @get("/access", sync_to_thread=True, opt=ACCOUNT)
    def access(
        self,
        backend: Served,
        request: HttpRequest,
        project: FromQuery[str] = "",
        cursor: FromQuery[str] = "",
    ) -> Template:
        caller: Caller = request.user
        accounts, following = None, None
        if caller.grants.may_somewhere(Right.ADMINISTER):
            accounts, following = accounts_after(backend, caller, cursor, ACCOUNTS_A_PAGE, project)
        roles, head = held_roles(caller.grants), backend.store.head()
        among = caller.grants.projects(Right.ADMINISTER)
        with backend.reading(None, CATALOG) as (connection, _):
            offered = list_projects(connection, limit=PROJECTS_OFFERED, among=among)
            held = [*roles, *(role for account in accounts or () for role in account.roles)]
            names = {project.project_id: project.name for project in offered}
            for project_id in {role.project_id for role in held} - {None, *names}:
                found = find_project(connection, str(project_id))
                names |= {found.project_id: found.name} if found else {}
        page = AccessPage(
            position=head,
            api="/api/v1/whoami" if accounts is None else "/api/v1/accounts",
            caller=caller,
            held=roles,
            keys=_keys(backend, caller),
            accounts=accounts,
            everything=among is None,
            projects=_choices(among is None, ((row.project_id, row.name) for row in offered)),
            names=names,
            project=project if project in names else "",
            first=not cursor,
            following=following,
        )
        return render("access/access.html", page)


def _keys(backend: Backend, caller: Caller) -> list[KeyView]:
    """The caller's keys that are not revoked."""
    return [
        key_view(key_id, key)
        for key_id, key in all_of(backend.store, KEY)
        if key.account_id == caller.account_id and not (key.revoked or key.invitation)
    ]


def _choices(everything: bool, projects: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [*([("", ALL_PROJECTS)] if everything else []), *projects]
